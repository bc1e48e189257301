"""Who sent a request, proven over the bytes as they were sent."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from paper_venue.domain import errors

RECV_WINDOW_MS = Decimal(5000)
RECV_WINDOW_MAX_MS = Decimal(60_000)
_AHEAD_MAX_MS = 1000
_MICROSECONDS_FROM = 10**14
"""A timestamp this large counts microseconds."""
_signature = re.compile(r"(?:^|&)signature=([^&]*)")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one key pair of the venue and the account it trades for."""

    api_key: str
    api_secret: str
    account_id: str

    def check_key(self, api_key: str | None) -> None:
        """Raise `DialectError` when the key is absent or not ours."""
        if not api_key:
            raise errors.bad_key_format()
        if not hmac.compare_digest(api_key.encode(), self.api_key.encode()):
            raise errors.unknown_key()

    def check_raw(self, raw_query: str, raw_body: str) -> None:
        """Hold the signature against query and body exactly as they came, joined without a separator.

        Raises `DialectError` when it is absent or wrong.
        """
        found = list(_signature.finditer(raw_body)) or list(_signature.finditer(raw_query))
        if not found:
            raise errors.missing("signature")
        last = found[-1]
        if _signature.search(raw_body):
            payload = raw_query + raw_body[: last.start()] + raw_body[last.end() :]
        else:
            payload = raw_query[: last.start()] + raw_query[last.end() :] + raw_body
        self._check(payload.lstrip("&"), last.group(1))

    def check_sorted(self, params: Mapping[str, Any]) -> None:
        """Hold the signature of a WebSocket request against its parameters, sorted by name.

        Raises `DialectError` when it is absent or wrong.
        """
        signature = params.get("signature")
        if not isinstance(signature, str) or not signature:
            raise errors.missing("signature")
        pairs = [(name, text_of(params[name])) for name in sorted(params) if name != "signature"]
        plain = "&".join(f"{name}={value}" for name, value in pairs)
        encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
        try:
            self._check(plain, signature)
        except errors.DialectError:
            self._check(encoded, signature)

    def _check(self, payload: str, signature: str) -> None:
        expected = hmac.new(self.api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature.lower().encode("ascii", "replace").decode()):
            raise errors.bad_signature()


def check_time(timestamp: str | None, recv_window: str | None, now_ms: int) -> None:
    """Raise `DialectError` when a request is too old, from the future, or tells no time."""
    if not timestamp or not timestamp.isascii() or not timestamp.isdigit():
        raise errors.missing("timestamp")
    sent_ms = int(timestamp) if int(timestamp) < _MICROSECONDS_FROM else int(timestamp) // 1000
    window = RECV_WINDOW_MS
    if recv_window is not None:
        try:
            window = Decimal(recv_window)
        except InvalidOperation:
            raise errors.missing("recvWindow") from None
        if not window.is_finite() or not 0 < window <= RECV_WINDOW_MAX_MS:
            raise errors.RECV_WINDOW_TOO_LARGE.error()
    if sent_ms >= now_ms + _AHEAD_MAX_MS:
        raise errors.from_the_future()
    if now_ms - sent_ms > window:
        raise errors.too_old()


def text_of(value: Any) -> str:
    """Give a JSON value as it stands in a signed payload."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
