"""What every message has: who sent it, when, and what caused it.

Message ids derive from their cause. A handler that runs twice for one delivery makes the same messages twice, and the
inbox of whoever reads them drops the second.
"""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, model_validator

from sigmax.schemas.types import Name, Utc

NAMESPACE = UUID("6f1c2f3e-8a0d-5a55-9b41-51e6a8d5c0de")
"""The root of all derived ids. Changing it would make every redelivery look new."""


class Message(BaseModel):
    """A fact that one service tells the others. It never changes; fields it does not know it ignores."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TOPIC: ClassVar[str]
    """`<owner>.<message>.v<n>`; `*` as the owner means that every service publishes it under its own name."""

    message_id: UUID
    correlation_id: UUID
    """One per chain, from the market event on."""
    causation_id: UUID | None = None
    occurred_at: Utc
    producer: Name = ""
    schema_version: int = 1

    @model_validator(mode="before")
    @classmethod
    def _owner_is_the_producer(cls, values: Any) -> Any:
        owner = cls.TOPIC.split(".", 1)[0]
        if isinstance(values, dict) and owner != "*" and not values.get("producer"):
            return {**values, "producer": owner}
        return values

    @property
    def topic(self) -> str:
        """Name the routing key this message is published under."""
        return self.TOPIC.replace("*", self.producer, 1)

    @classmethod
    def after(cls, cause: "Message", now: datetime, part: str = "") -> dict[str, Any]:
        """Derive the envelope of a message from the message that caused it.

        `part` tells apart several messages of one kind that follow from one cause.
        """
        return {
            "message_id": uuid5(cause.message_id, f"{cls.TOPIC}:{part}"),
            "correlation_id": cause.correlation_id,
            "causation_id": cause.message_id,
            "occurred_at": now,
        }

    @classmethod
    def first(cls, key: str, now: datetime, correlation_id: UUID | None = None) -> dict[str, Any]:
        """Derive the envelope of a message that no message caused, from a key that names the event."""
        message_id = uuid5(NAMESPACE, f"{cls.TOPIC}:{key}")
        return {"message_id": message_id, "correlation_id": correlation_id or message_id, "occurred_at": now}

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Parse the JSON of one message. Raises `pydantic.ValidationError` on anything malformed."""
        return cls.model_validate_json(body)

    def encode(self) -> bytes:
        """Give the message as JSON; decimals are strings, times are ISO 8601."""
        return self.model_dump_json().encode()
