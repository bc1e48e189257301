"""Commands typed beside a stack whose gateway is a function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from sigmax_local import cli, stacks, steering_talk
from sigmax_local.gateway import Gateway
from sigmax_local.runs import Kind


class Running:
    """A stack that runs."""

    gateway_url = "http://gateway.test"
    secrets = Path("/nowhere")
    kind = Kind.PROCESSES


def answered_by(answer: Callable[[httpx2.Request], httpx2.Response], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one stack run, whose gateway answers so."""
    monkeypatch.setattr(stacks, "found", lambda _kind: [Running()])
    monkeypatch.setattr(steering_talk, "Gateway", lambda url: Gateway(url, transport=httpx2.MockTransport(answer)))
    monkeypatch.setattr(steering_talk.console, "width", 200)


def invoke(*words: str, typed: str = "") -> Any:
    """Type a command, and what it asks for."""
    return CliRunner().invoke(cli.app, words, input=typed)
