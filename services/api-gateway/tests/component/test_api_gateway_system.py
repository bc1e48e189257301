from datetime import timedelta
from decimal import Decimal
from typing import Any

from api_gateway.domain.books import GIVEN_UP, Finding
from api_gateway.handlers.context import Gateway


async def test_figures_count_from_the_time_that_is_asked_for(client_as: Any, gateway: Gateway) -> None:
    since = gateway.clock.now() - timedelta(minutes=5)
    figures = (await client_as("viewer").get("/api/v1/system/figures", params={"since": since.isoformat()})).json()
    assert gateway.system.since == [since]  # type: ignore[attr-defined]
    assert (figures["signals"], figures["denials"], figures["orders"]) == (3, {"price_stale": 2}, {"filled": 1})
    assert Decimal(figures["tick_to_order_p50_ms"]) == Decimal("1.5")


async def test_figures_of_no_given_time_are_those_of_the_last_day(client_as: Any, gateway: Gateway) -> None:
    assert (await client_as("viewer").get("/api/v1/system/figures")).status_code == 200
    assert gateway.system.since == [gateway.clock.now() - timedelta(days=1)]  # type: ignore[attr-defined]


async def test_a_time_without_its_zone_is_refused(client_as: Any) -> None:
    answer = await client_as("viewer").get("/api/v1/system/figures?since=2026-01-05T09:00:00")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")


async def test_a_viewer_sees_figures_and_has_no_books_checked(client_as: Any) -> None:
    answer = await client_as("viewer").get("/api/v1/system/books")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-allowed")
    for role in ("trader", "admin"):
        assert (await client_as(role).get("/api/v1/system/books")).status_code == 200


async def test_books_tell_each_invariant_and_what_breaks_it(client_as: Any, gateway: Gateway) -> None:
    gateway.system.found.append(Finding("positions equal the sum of fills", ["BTC: position 1, fills 0"]))  # type: ignore[attr-defined]
    books = (await client_as("admin").get("/api/v1/system/books")).json()
    assert not books["are_right"]
    assert [(one["invariant"], one["holds"]) for one in books["findings"]] == [
        ("the ledger sums to zero", True),
        ("positions equal the sum of fills", False),
        (GIVEN_UP, False),  # nobody is heard of
    ]
    assert books["findings"][1]["broken_by"] == ["BTC: position 1, fills 0"]
