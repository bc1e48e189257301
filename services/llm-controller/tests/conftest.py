"""A model server of our own: real HTTP on loopback, the OpenAI chat API, scripted answers."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from sigmax.schemas.signals import JudgementRequested, Signal
from sigmax.schemas.types import Action

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@dataclass
class Script:
    """What the server does with one request."""

    status: int = 200
    body: str | None = None
    """The whole response body; None makes a completion of `content`."""
    content: str | None = ""
    delay_s: float = 0
    content_type: str = "application/json"
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 400, "completion_tokens": 60})


class FakeModel:
    """Answers with its scripts one after the other, the last one for ever; keeps what it was asked."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.refused_formats: set[str] = set()
        self.base_url = ""

    def answers(self, **reply: Any) -> None:
        """Answer all requests with this reply."""
        self.scripts = [Script(content=json.dumps(reply))]

    def app(self) -> FastAPI:
        """Make the server."""
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def complete(request: Request) -> Response:
            body = await request.json()
            self.headers.append(dict(request.headers))
            self.requests.append(body)
            kind = body.get("response_format", {}).get("type", "text")
            if kind in self.refused_formats:
                error = {
                    "error": {"message": f"response_format {kind} is not supported", "type": "invalid_request_error"}
                }
                return Response(json.dumps(error), 400, media_type="application/json")
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            await asyncio.sleep(script.delay_s)
            if script.body is not None:
                return Response(script.body, script.status, media_type=script.content_type)
            return Response(self._completion(script), script.status, media_type="application/json")

        return app

    @staticmethod
    def _completion(script: Script) -> str:
        message = {"role": "assistant", "content": script.content}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        completion = {"id": "x", "object": "chat.completion", "created": 0, "model": "fake", "choices": [choice]}
        return json.dumps(completion | ({"usage": script.usage} if script.usage else {}))


@pytest.fixture
def fake_model() -> Iterator[FakeModel]:
    model = FakeModel()
    config = uvicorn.Config(model.app(), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    model.base_url = f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    yield model
    server.should_exit = True
    server.force_exit = True
    thread.join(timeout=10)


@pytest.fixture
def script() -> type[Script]:
    return Script


def _a_request(
    key: str = "1", *, now: datetime = NOW, action: Action = Action.BUY, **changes: Any
) -> JudgementRequested:
    signal = Signal(
        **Signal.first(f"signal:{key}", now),
        strategy_id="donchian",
        strategy_version=3,
        account_id="paper",
        instrument_id="BTC/USDT@binance",
        action=action,
        strength=changes.pop("strength", Decimal("0.7")),
        reference_price=Decimal("64250.5"),
        stop_pct=Decimal("1.2"),
        reason=changes.pop("reason", "Close above the 20 bar high."),
        snapshot_id="6f1c2f3e-8a0d-5a55-9b41-51e6a8d5c0de",
        market_time=now,
        tick_received_at=now,
        valid_until=changes.pop("valid_until", now + timedelta(seconds=30)),
    )
    fields = {
        "snapshot": {"rsi_14": "61.25", "high_20": "64180.0", "trend": "up"},
        "deadline_at": now + timedelta(seconds=5),
    }
    return JudgementRequested(**JudgementRequested.first(f"request:{key}", now), signal=signal, **(fields | changes))


@pytest.fixture
def a_request() -> Callable[..., JudgementRequested]:
    return _a_request
