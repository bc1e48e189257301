"""Every message version has a stored example that today's code still reads and writes alike."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from sigmax.domain.approval import verify
from sigmax.schemas import market
from sigmax.schemas.base import Message
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.topology import MESSAGES, REACH, SERVICES

EXAMPLES = Path(__file__).parent / "examples"
PACKED = {
    "md.ticks": market.TickBatch,
    "md.bars": market.Bar,
    "md.latest": market.Quote,
    "md.instruments": market.Instrument,
    "ops.heartbeats": market.Heartbeat,
}


def _example(message: type[Message]) -> str:
    path = EXAMPLES / f"{message.TOPIC.replace('*', 'any')}.json"
    assert path.exists(), f"{message.__name__} has no stored example: run python tests/contracts/make_examples.py"
    return path.read_text()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_stored_message_reads_and_writes_the_same(message: type[Message]) -> None:
    text = _example(message)

    written = json.loads(message.decode(text.encode()).encode())

    stored = json.loads(text)
    assert _known(written, stored) == stored, "a field of the stored version was renamed or dropped"


def _known(written: Any, stored: Any) -> Any:
    """Give what was written without the fields, at any depth, that the stored version does not have yet."""
    if isinstance(stored, dict):
        return {key: _known(written[key], value) for key, value in stored.items()}
    return written


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_message_ignores_fields_it_does_not_know(message: type[Message]) -> None:
    newer = {**json.loads(_example(message)), "a_field_of_tomorrow": 1}

    assert message.decode(json.dumps(newer).encode()) == message.decode(_example(message).encode())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
@pytest.mark.parametrize("key", ["message_id", "correlation_id", "occurred_at"])
def test_a_message_without_its_envelope_is_refused(message: type[Message], key: str) -> None:
    broken = {name: value for name, value in json.loads(_example(message)).items() if name != key}

    with pytest.raises(ValidationError, match=key):
        message.decode(json.dumps(broken).encode())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_message_with_a_naive_time_is_refused(message: type[Message]) -> None:
    broken = {**json.loads(_example(message)), "occurred_at": "2026-01-05T09:30:00"}

    with pytest.raises(ValidationError, match="occurred_at"):
        message.decode(json.dumps(broken).encode())


@pytest.mark.parametrize("field", ["quantity", "limit_price", "reference_price"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "0", "-1", "abc", "1e500"])
def test_an_order_with_an_absurd_number_is_refused(field: str, value: str) -> None:
    broken = {**json.loads(_example(OrderApproved)), field: value}

    with pytest.raises(ValidationError, match=field):
        OrderApproved.decode(json.dumps(broken).encode())


def test_the_stored_approval_carries_a_signature_that_still_verifies() -> None:
    approved = OrderApproved.decode(_example(OrderApproved).encode())

    assert verify(approved, b"an example key of thirty-two bytes")
    assert not verify(
        approved.model_copy(update={"quantity": approved.quantity * 2}), b"an example key of thirty-two bytes"
    )


@pytest.mark.parametrize("name", PACKED)
def test_a_stored_stream_entry_reads_and_writes_the_same(name: str) -> None:
    body = bytes.fromhex((EXAMPLES / f"{name}.msgpack.hex").read_text())

    stored = msgspec.msgpack.decode(body)
    written = msgspec.msgpack.decode(PACKED[name].decode(body).encode())
    assert _known(written, stored) == stored, "a field of the stored version was renamed or dropped"


def test_every_message_that_is_read_is_published_by_its_owner() -> None:
    for service in SERVICES:
        for message in REACH[service].consumes:
            publishers = [other for other in SERVICES if message in REACH[other].publishes]
            assert publishers, f"{service} waits for {message.__name__}, which nobody publishes"


def test_every_message_that_is_published_has_a_reader() -> None:
    for service in SERVICES:
        for message in REACH[service].publishes:
            assert any(message in REACH[other].consumes for other in SERVICES), (
                f"{message.__name__} would be unroutable"
            )


def test_only_its_owner_publishes_a_message() -> None:
    for service in SERVICES:
        for message in REACH[service].publishes:
            owner = message.TOPIC.split(".", 1)[0]
            assert owner in {"*", service.replace("-", "_")}
