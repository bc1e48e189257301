"""The seal on an approved order: who holds no key cannot make, or change, an order that order-worker would send."""

import hashlib
import hmac
import json
from uuid import UUID, uuid5

from sigmax.schemas.orders import OrderApproved

KEY_BYTES_MIN = 32


def client_order_id(signal_id: UUID) -> str:
    """Derive the venue-facing id of the order a signal asks for: 32 characters that every venue accepts.

    The same signal always gives the same id, so an order cannot be made twice out of one wish.
    """
    return "sx" + uuid5(signal_id, "client_order_id").hex[:30]


def sign(approved: OrderApproved, key: bytes) -> OrderApproved:
    """Give the approval with its signature: HMAC-SHA256 over the canonical JSON of every other field.

    Raises `ValueError` for a key shorter than 32 bytes.
    """
    complete = approved.model_copy(update={name: getattr(approved, name) for name in OrderApproved.model_fields})
    return complete.model_copy(update={"signature": _signature(complete, key)})


def verify(approved: OrderApproved, key: bytes) -> bool:
    """Say whether the approval is exactly what risk-gate signed.

    Only the fields that were sent are looked at: a field of a later release, which the sender did not know, is neither
    in its signature nor, with its default, in what is traded.
    """
    return hmac.compare_digest(approved.signature, _signature(approved, key))


def _signature(approved: OrderApproved, key: bytes) -> str:
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"the approval key has {len(key)} bytes; it needs at least {KEY_BYTES_MIN}")
    fields = approved.model_dump(mode="json", exclude={"signature"}, exclude_unset=True)
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()
