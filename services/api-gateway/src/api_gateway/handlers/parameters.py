"""Parameters that many routes take, with their bounds."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Header, Path, Query
from pydantic import AfterValidator, AwareDatetime, Field

from api_gateway.domain.paging import (
    CURSOR_CHARACTERS_MAX,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    YEAR_MAX,
    YEAR_MIN,
    Cursor,
    CursorError,
    PageRequest,
)
from api_gateway.domain.problems import Problem, ProblemKind
from api_gateway.ports.books import Filters
from sigmax.schemas.types import AlertLevel, DenialCode, OrderStatus, Verdict

_PRINTABLE = r"^[!-~]{1,64}$"


def _in_calendar(at: AwareDatetime) -> AwareDatetime:
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise ValueError(f"a time between the years {YEAR_MIN} and {YEAR_MAX}")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_in_calendar)]
Word = Annotated[str | None, Query(pattern=_PRINTABLE, max_length=64)]
Id = Annotated[str, Path(pattern=_PRINTABLE, max_length=64)]
IdText = Annotated[str, Field(pattern=_PRINTABLE, max_length=64)]
Since = Annotated[Moment | None, Query(description="From this time on, with its time zone.")]
Until = Annotated[Moment | None, Query(description="Before this time, with its time zone.")]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=128,
        pattern=r"^[!-~]+$",
        description="Made by the caller, one per wish: sent again, it is the same wish and happens once.",
        examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    ),
]


def page_request(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=CURSOR_CHARACTERS_MAX, description="`next_cursor` of a page.")
    ] = None,
) -> PageRequest:
    """Read which part of a list is asked for. Raises `Problem`."""
    try:
        return PageRequest(limit, Cursor.decode(cursor) if cursor else None)
    except CursorError as error:
        raise Problem(ProblemKind.INVALID, "The cursor is not valid.", errors=[("query.cursor", str(error))]) from None


def common_filters(
    account_id: Word = None,
    strategy_id: Word = None,
    instrument_id: Word = None,
    since: Since = None,
    until: Until = None,
) -> Filters:
    """Read what signals are narrowed to."""
    return Filters(
        account_id=account_id, strategy_id=strategy_id, instrument_id=instrument_id, since=since, until=until
    )


def order_filters(
    common: Annotated[Filters, Depends(common_filters)], status: OrderStatus | None = None, is_open: bool | None = None
) -> Filters:
    """Read what orders are narrowed to."""
    return replace(common, status=status.value if status else None, is_open=is_open)


def fill_filters(common: Annotated[Filters, Depends(common_filters)], client_order_id: Word = None) -> Filters:
    """Read what fills are narrowed to."""
    return replace(common, client_order_id=client_order_id)


def decision_filters(
    strategy_id: Word = None,
    instrument_id: Word = None,
    verdict: Verdict | None = None,
    since: Since = None,
    until: Until = None,
) -> Filters:
    """Read what decisions are narrowed to."""
    return Filters(
        strategy_id=strategy_id,
        instrument_id=instrument_id,
        verdict=verdict.value if verdict else None,
        since=since,
        until=until,
    )


def verdict_filters(
    common: Annotated[Filters, Depends(common_filters)],
    outcome: Annotated[str | None, Query(pattern="^(approved|denied)$")] = None,
    code: DenialCode | None = None,
) -> Filters:
    """Read what verdicts are narrowed to."""
    return replace(common, outcome=outcome, code=code.value if code else None)


def ledger_filters(account_id: Word = None, asset: Word = None, since: Since = None, until: Until = None) -> Filters:
    """Read what ledger entries are narrowed to."""
    return Filters(account_id=account_id, asset=asset, since=since, until=until)


def alert_filters(
    level: AlertLevel | None = None,
    code: Word = None,
    is_acknowledged: bool | None = None,
    since: Since = None,
    until: Until = None,
) -> Filters:
    """Read what alerts are narrowed to."""
    return Filters(
        level=level.value if level else None, code=code, is_acknowledged=is_acknowledged, since=since, until=until
    )


PageDep = Annotated[PageRequest, Depends(page_request)]
CommonFilters = Annotated[Filters, Depends(common_filters)]
OrderFilters = Annotated[Filters, Depends(order_filters)]
FillFilters = Annotated[Filters, Depends(fill_filters)]
DecisionFilters = Annotated[Filters, Depends(decision_filters)]
VerdictFilters = Annotated[Filters, Depends(verdict_filters)]
LedgerFilters = Annotated[Filters, Depends(ledger_filters)]
AlertFilters = Annotated[Filters, Depends(alert_filters)]
