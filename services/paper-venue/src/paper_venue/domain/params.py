"""Parameters of a request, read as strictly as the real venue reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import unquote_plus

import msgspec

from paper_venue.domain import errors

SIGNED = frozenset({"timestamp", "recvWindow", "signature"})
"""Parameters that every signed request may carry."""

_DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_INTEGER = r"^[0-9]{1,19}$"
_CLIENT_ID = r"^[a-zA-Z0-9-_.:/]{1,36}$"
_decimal = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?", re.ASCII)
_integer = re.compile(r"[0-9]{1,19}", re.ASCII)
_client_id = re.compile(r"[a-zA-Z0-9\-_.:/]{1,36}", re.ASCII)


def split(raw_query: str, raw_body: str = "") -> dict[str, str]:
    """Read a query and a form body; where both name a parameter the query wins.

    Raises `DialectError` for a parameter that is repeated within one of them.
    """
    return _pairs(raw_body) | _pairs(raw_query)


def _pairs(raw: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in raw.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name in pairs:
            raise errors.repeated(name)
        pairs[name] = unquote_plus(value)
    return pairs


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of one request; every reader raises `DialectError` on what it cannot accept."""

    values: Mapping[str, str]

    def require(self, required: frozenset[str], optional: frozenset[str]) -> None:
        """Refuse a parameter that is missing, empty, or unknown."""
        known = required | optional
        for name in sorted(required):
            if not self.values.get(name):
                raise errors.missing(name)
        unknown = [name for name in self.values if name not in known]
        if unknown:
            raise errors.unknown_parameters(len(self.values) - len(unknown), len(self.values))
        for name, value in self.values.items():
            if not value:
                raise errors.empty(name)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        """Give a mandatory text."""
        value = self.values.get(name)
        if not value:
            raise errors.missing(name)
        return value

    def decimal(self, name: str, decimals_max: int) -> Decimal | None:
        """Give a number without sign or exponent, or None where it was not sent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not _decimal.fullmatch(value):
            raise errors.illegal(name, _DECIMAL)
        if len(value.partition(".")[2].rstrip("0")) > decimals_max:
            raise errors.too_precise(name)
        return Decimal(value)

    def integer(self, name: str) -> int | None:
        """Give a whole number, or None where it was not sent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not _integer.fullmatch(value):
            raise errors.illegal(name, _INTEGER)
        return int(value)

    def limit(self, default: int, maximum: int) -> int:
        """Give the number of rows that is asked for, at least 1 and at most `maximum`."""
        asked = self.integer("limit")
        return default if asked is None else max(1, min(asked, maximum))

    def client_id(self, name: str) -> str | None:
        """Give a client's name for an order, or None where it was not sent."""
        value = self.values.get(name)
        if value is not None and not _client_id.fullmatch(value):
            raise errors.illegal(name, _CLIENT_ID)
        return value

    def flag(self, name: str) -> bool:
        """Give a boolean; absent is false."""
        value = self.values.get(name, "false").lower()
        if value not in {"true", "false"}:
            raise errors.illegal(name, "true|false")
        return value == "true"

    def names(self, name: str) -> list[str] | None:
        """Give a JSON list of texts, or None where it was not sent."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            return msgspec.json.decode(value, type=list[str])
        except msgspec.DecodeError:
            raise errors.illegal(name, '^\\["[A-Z0-9]+"(,"[A-Z0-9]+")*\\]$') from None
