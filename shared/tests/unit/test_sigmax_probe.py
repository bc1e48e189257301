import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sigmax.runtime import probe


class _Service(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()
        self.wfile.write(b'{"problems": ["postgres: away"]}')

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Service]]:
    server = HTTPServer(("127.0.0.1", 0), _Service)
    monkeypatch.setenv("SIGMAX_HTTP_PORT", str(server.server_port))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield _Service
    server.shutdown()
    server.server_close()


def test_a_ready_service_passes_in_silence(service: type[_Service], capsys: pytest.CaptureFixture[str]) -> None:
    service.status = 200
    assert probe.main() == 0
    assert capsys.readouterr().out == ""


def test_a_service_that_is_not_ready_fails_with_its_problems(
    service: type[_Service], capsys: pytest.CaptureFixture[str]
) -> None:
    service.status = 503
    assert probe.main() == 1
    assert "postgres: away" in capsys.readouterr().out


def test_no_service_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SIGMAX_HTTP_PORT", "1")
    assert probe.main() == 1
    assert "no answer on port 1" in capsys.readouterr().out
