"""New limits, held against those in force: the risk gate has the last word, and typing errors need not reach it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

_NOT_A_LIMIT = "version"


class Kind(StrEnum):
    """What a JSON value is to a person."""

    NOTHING = "nothing"
    YES_OR_NO = "yes or no"
    NUMBER = "a number"
    TEXT = "text"
    LIST = "a list"
    TABLE = "a table by name"


_KIND_OF_TYPE = {type(None): Kind.NOTHING, bool: Kind.YES_OR_NO, list: Kind.LIST, dict: Kind.TABLE}


def kind_of(value: Any) -> Kind:
    """Name the kind of a JSON value; a number may be written as text."""
    if type(value) in _KIND_OF_TYPE:
        return _KIND_OF_TYPE[type(value)]
    try:
        return Kind.NUMBER if Decimal(str(value)).is_finite() else Kind.TEXT
    except InvalidOperation:
        return Kind.TEXT


def wrong_limits(wanted: Mapping[str, Any], known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give each limit that is not known, or is of another kind than the one in force, with what is wrong."""
    wrong = []
    for name, value in sorted(wanted.items()):
        if name not in known or name == _NOT_A_LIMIT:
            close = get_close_matches(name, sorted(set(known) - {_NOT_A_LIMIT}))
            meant = f"; is it {' or '.join(close)}?" if close else ""
            wrong.append((name, f"there is no such limit{meant} GET /api/v1/risk/limits (sigmax limits) lists all"))
            continue
        kind, expected = kind_of(value), kind_of(known[name])
        # A list that bounds nothing is null: which of the two is in force says nothing about the other.
        may_be_nothing = {kind, expected} <= {Kind.NOTHING, Kind.LIST, Kind.TABLE}
        if kind is not expected and not may_be_nothing:
            wrong.append((name, f"it is {expected}, and not {kind}"))
    return wrong
