"""A chain is followed from its rows alone: whatever was done to it shows at the first row that does not fit."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from sigmax.domain.audit import GENESIS, START, Break, Head, Link, Walk, chain_hash, is_signed, sign
from sigmax.schemas.control import AuditHead

T0 = datetime(2026, 1, 5, 9, 0, 0, 120_000, tzinfo=UTC)
CHAIN = UUID("6f1c2f3e-8a0d-5a55-9b41-51e6a8d5c0de")
KEY = b"k" * 32


def a_chain(length: int, first: str = "BTC") -> list[Link]:
    links: list[Link] = []
    previous = GENESIS
    for position in range(1, length + 1):
        at, kind, subject = T0 + timedelta(seconds=position), "send", f"{first}-{position}"
        correlation = CHAIN if position % 2 else None
        entry = json.dumps(
            {
                "position": position,
                "at": at.isoformat(),
                "kind": kind,
                "subject": subject,
                "correlation_id": str(correlation) if correlation else None,
                "data": {"quantity": 1},
            }
        )
        links.append(Link(position, at, kind, subject, correlation, entry, previous, chain_hash(previous, entry)))
        previous = links[-1].hash
    return links


def walked(links: list[Link], *heads: Head) -> Break | None:
    walk = Walk(heads)
    return walk.follow(links) or walk.end()


def test_a_whole_chain_holds() -> None:
    links = a_chain(20)
    assert walked(links) is None
    assert walked(links, links[6].head, links[19].head, links[6].head) is None


def test_an_empty_chain_holds() -> None:
    assert walked([]) is None


def test_an_edited_entry_is_named() -> None:
    links = a_chain(9)
    links[4] = replace(links[4], entry=links[4].entry.replace('"quantity": 1', '"quantity": 2'))
    broken = walked(links)
    assert broken is not None
    assert broken.position == 5
    assert "edited" in broken.what


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "ETH-5"},
        {"kind": "fill"},
        {"at": T0},
        {"correlation_id": None},
    ],
)
def test_an_edited_column_is_named_though_its_entry_is_whole(change: dict[str, object]) -> None:
    links = a_chain(9)
    links[4] = replace(links[4], **change)  # type: ignore[arg-type]
    broken = walked(links)
    assert broken is not None
    assert broken.position == 5
    assert next(iter(change)) in broken.what


def test_an_entry_edited_with_its_hash_shows_at_the_row_behind_it() -> None:
    links = a_chain(9)
    entry = links[4].entry.replace('"quantity": 1', '"quantity": 2')
    links[4] = replace(links[4], entry=entry, hash=chain_hash(links[4].previous, entry))
    broken = walked(links)
    assert broken is not None
    assert broken.position == 6


@pytest.mark.parametrize("removed", [0, 4, 7])
def test_a_removed_row_is_named(removed: int) -> None:
    links = a_chain(9)
    del links[removed]
    broken = walked(links)
    assert broken is not None
    assert broken.position == removed + 1
    assert "missing" in broken.what


def test_rows_that_changed_places_are_named() -> None:
    links = a_chain(9)
    third, fourth = links[2], links[3]
    links[2], links[3] = replace(fourth, position=3), replace(third, position=4)
    broken = walked(links)
    assert broken is not None
    assert broken.position == 3


def test_a_cut_end_shows_against_a_head_that_was_told_and_not_without() -> None:
    links = a_chain(9)
    assert walked(links[:7]) is None
    assert walked(links[:7], links[6].head) is None
    broken = walked(links[:7], links[7].head)
    assert broken is not None
    assert broken.position == 8
    assert "cut" in broken.what


def test_a_chain_written_anew_shows_at_the_head_that_was_told() -> None:
    told = a_chain(9)[5].head
    broken = walked(a_chain(12, first="ETH"), told)
    assert broken is not None
    assert broken.position == 6


def test_two_heads_of_one_place_do_not_both_hold() -> None:
    links = a_chain(9)
    assert walked(links, links[5].head, replace(links[5].head, hash="f" * 64)) is not None


def test_a_walk_goes_on_where_it_was() -> None:
    links = a_chain(9)
    walk = Walk(start=links[3].head)
    assert walk.follow(links[4:]) is None
    assert walk.head == links[8].head
    other = Walk(start=replace(links[3].head, hash="f" * 64))
    assert other.follow(links[4:]) is not None
    assert Walk().head == START


def a_head(**changes: object) -> AuditHead:
    head = AuditHead(**AuditHead.first("7", T0), producer="risk_gate", position=7, hash="a" * 64, at=T0)
    return head.model_copy(update=changes)


def test_a_head_is_sealed_with_the_services_own_key() -> None:
    signed = sign("risk_gate", a_head(), KEY)
    assert is_signed("risk_gate", signed, KEY)
    assert not is_signed("order_worker", signed, KEY)
    assert not is_signed("risk_gate", signed, b"o" * 32)
    for change in ({"position": 8}, {"hash": "b" * 64}, {"at": T0 + timedelta(seconds=1)}):
        assert not is_signed("risk_gate", signed.model_copy(update=change), KEY)


def test_a_short_key_seals_nothing() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        sign("risk_gate", a_head(), b"k" * 31)
