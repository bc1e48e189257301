"""The command line's session with the gateway: opened with the right password, renewed in time, closed in the end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sigmax_local import gateway as gateways
from sigmax_local.gateway import Gateway, GatewayAwayError, GatewayError, WrongPasswordError
from sigmax_local.people import sign_in


class FakeGateway:
    """Knows one password, gives tokens, and counts."""

    def __init__(self, password: str = "first") -> None:
        self.password = password
        self.asked: list[str] = []
        self.tried: list[str] = []
        self.tokens = 0
        self.is_away = False
        self.has_ended = False
        """The next request meets a session that is over."""

    def session(self) -> httpx2.Response:
        self.tokens += 1
        tokens = {"access_token": f"access-{self.tokens}", "refresh_token": f"refresh-{self.tokens}"}
        return httpx2.Response(200, json={**tokens, "expires_in_s": 600})

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api/v1")
        self.asked.append(path)
        if self.is_away:
            raise httpx2.ConnectError("refused")
        if path == "/auth/login":
            self.tried.append(json.loads(request.content)["password"])
            return self.session() if self.tried[-1] == self.password else httpx2.Response(401, json={})
        if path == "/auth/refresh":
            is_newest = json.loads(request.content)["refresh_token"] == f"refresh-{self.tokens}"
            return self.session() if is_newest and not self.has_ended else httpx2.Response(401, json={})
        if path == "/auth/logout":
            return httpx2.Response(204)
        if path == "/forbidden":
            return httpx2.Response(403, json={"detail": "It asks for more.", "errors": [{"where": "a", "what": "b"}]})
        if path == "/busy":
            return httpx2.Response(503, json={"title": "A part cannot be reached"})
        if self.has_ended:
            self.has_ended = False
            return httpx2.Response(401, json={"title": "Your session has ended"})
        key = {"key": request.headers["idempotency-key"]} if "idempotency-key" in request.headers else {}
        return httpx2.Response(200, json={"token": request.headers["authorization"], **key})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    monkeypatch.delenv("SIGMAX_PASSWORD", raising=False)
    return FakeGateway()


@pytest.fixture
def connect(fake: FakeGateway) -> Callable[[], Gateway]:
    return lambda: Gateway("http://gateway.test", httpx2.MockTransport(fake))


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "stack" / "secrets"
    (folder / "api_gateway").mkdir(parents=True)
    (folder / "api_gateway" / "first_admin_password").write_text("first\n", encoding="utf-8")
    return folder


async def test_a_session_is_opened_used_and_closed(fake: FakeGateway, connect: Any) -> None:
    async with connect() as gateway:
        await gateway.sign_in("admin", "first")
        assert await gateway.get("/orders") == {"token": "Bearer access-1"}
    assert fake.asked == ["/auth/login", "/orders", "/auth/logout"]


async def test_a_command_carries_its_key(fake: FakeGateway, connect: Any) -> None:
    async with connect() as gateway:
        await gateway.sign_in("admin", "first")
        done = await gateway.command("POST", "/risk/halt", {"reason": "drill"}, "key-00001")
    assert done == {"token": "Bearer access-1", "key": "key-00001"}


async def test_a_token_for_use_elsewhere_stays_good(fake: FakeGateway, connect: Any) -> None:
    async with connect() as gateway:
        await gateway.sign_in("admin", "first")
        assert gateway.keep_session() == "access-1"
    assert "/auth/logout" not in fake.asked


async def test_a_token_is_renewed_before_it_ends(
    fake: FakeGateway, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(gateways.time, "monotonic", lambda: now_s)
    async with connect() as gateway:
        await gateway.sign_in("admin", "first")
        now_s += 400
        assert await gateway.get("/orders") == {"token": "Bearer access-1"}
        now_s += 100
        assert await gateway.get("/orders") == {"token": "Bearer access-2"}
        now_s += 500
        fake.tokens = 9  # somebody else renewed: ours is worth nothing, and the password opens another session
        assert await gateway.get("/orders") == {"token": "Bearer access-10"}


async def test_a_session_that_was_ended_is_opened_anew(fake: FakeGateway, connect: Any) -> None:
    async with connect() as gateway:
        await gateway.sign_in("admin", "first")
        fake.has_ended = True
        assert await gateway.get("/orders") == {"token": "Bearer access-2"}


async def test_a_no_is_told_with_its_reasons_and_an_absence_apart(fake: FakeGateway, connect: Any) -> None:
    async with connect() as gateway:
        await gateway.sign_in("admin", "first")
        with pytest.raises(GatewayError, match=r"It asks for more\.\n  a: b") as refused:
            await gateway.get("/forbidden")
        assert not isinstance(refused.value, GatewayAwayError)
        with pytest.raises(GatewayAwayError, match="A part cannot be reached"):
            await gateway.get("/busy")
        fake.is_away = True
        with pytest.raises(GatewayAwayError, match="does not answer"):
            await gateway.get("/orders")


async def test_an_admin_signs_in_with_the_first_password(fake: FakeGateway, connect: Any, secrets: Path) -> None:
    async with connect() as gateway:
        await sign_in(gateway, secrets)
    assert fake.tried == ["first"]


async def test_a_password_in_the_environment_goes_before_all_others(
    fake: FakeGateway, connect: Any, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMAX_PASSWORD", "given")
    async with connect() as gateway:
        with pytest.raises(WrongPasswordError):
            await sign_in(gateway, secrets, ask=lambda _login: "first")
    assert fake.tried == ["given"]


async def test_a_first_password_that_was_changed_is_asked_for_and_not_tried_again(
    fake: FakeGateway, connect: Any, secrets: Path
) -> None:
    fake.password = "second"
    async with connect() as gateway:
        await sign_in(gateway, secrets, ask=lambda _login: "second")
    async with connect() as gateway:
        with pytest.raises(WrongPasswordError, match="SIGMAX_PASSWORD"):
            await sign_in(gateway, secrets)
    assert fake.tried == ["first", "second"], "five failures would shut the login"


async def test_nobody_but_the_admin_has_a_first_password(fake: FakeGateway, connect: Any, secrets: Path) -> None:
    async with connect() as gateway:
        with pytest.raises(WrongPasswordError):
            await sign_in(gateway, secrets, "mina", ask=lambda login: f"of {login}")
    assert fake.tried == ["of mina"]
