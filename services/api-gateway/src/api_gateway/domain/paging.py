"""Pages by keyset: a cursor names the last row seen, so that new rows never shift a page."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
CURSOR_CHARACTERS_MAX = 300
YEAR_MIN, YEAR_MAX = 1971, 2199
"""Times beyond these are nobody's; at the very ends of the calendar even changing the time zone overflows."""


class CursorError(ValueError):
    """The cursor is not one of ours."""


@dataclass(frozen=True)
class Cursor:
    """The place of one row in a list ordered by time, then id, newest first."""

    at: datetime
    row_id: str

    def encode(self) -> str:
        """Give the cursor as a short opaque text that fits into a URL."""
        body = json.dumps([self.at.isoformat(), self.row_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Read a cursor. Raises `CursorError` on anything that `encode` did not make."""
        if len(text) > CURSOR_CHARACTERS_MAX:
            raise CursorError("a cursor is shorter than that")
        try:
            body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            at_text, row_id = json.loads(body)
            at = datetime.fromisoformat(at_text)
        except (binascii.Error, ValueError, TypeError) as error:
            raise CursorError("not a cursor of this API") from error
        if (
            at.tzinfo is None
            or not YEAR_MIN <= at.year <= YEAR_MAX
            or not isinstance(row_id, str)
            or not row_id
            or "\x00" in row_id
        ):
            raise CursorError("not a cursor of this API")
        return cls(at, row_id)


@dataclass(frozen=True)
class PageRequest:
    """Which part of a list is asked for."""

    limit: int = LIMIT_DEFAULT
    after: Cursor | None = None
