"""After everything: nothing lost, nothing doubled, and the past as it was."""

from sigmax.domain.ledger_check import BALANCED, FILL_BOOKED
from sigmax_local import audit_check, ledger_check
from sigmax_local.operations.database import InContainer, query
from sigmax_local.testkit.container_report import Report
from sigmax_local.testkit.container_stack import ContainerStack


async def test_after_all_of_this_the_books_are_right(stack: ContainerStack, report: Report) -> None:
    await stack.trades_again()
    broken = await stack.comes_to_rest()

    done = await stack.figures()
    orders = sum(done["orders"].values())
    twice = [line for line in broken if line.startswith("each order reached the venue at most once")]
    report.figures["lost"] = max(0, done["approved"] - orders) + len(broken) - len(twice)
    report.figures["doubled"] = max(0, orders - done["approved"]) + len(twice)
    assert broken == []
    assert done["approved"] == orders, "an approval made no order, or two"
    assert not set(done["orders"]) & {"pending_new"}, done["orders"]


def test_after_all_of_this_the_ledger_and_the_audit_chains_hold(stack: ContainerStack) -> None:
    assert ledger_check.check(InContainer(stack.compose)) == []
    assert _broken_chains(stack) == {}


def test_an_edit_by_the_administrator_is_named_with_its_row(stack: ContainerStack) -> None:
    place = InContainer(stack.compose)
    newest = "FROM order_worker.ledger_entries WHERE execution_id IS NOT NULL ORDER BY entry_id DESC LIMIT 1"
    ((entry, execution),) = query(place, f"SELECT entry_id, execution_id {newest}")
    _edit(stack, f"UPDATE order_worker.ledger_entries SET amount = amount + 1 WHERE entry_id = {entry}")
    _edit(stack, "UPDATE risk_gate.audit_log SET subject = subject || '!' WHERE position = 2")
    try:
        wrong = {one.rule: one.what for one in ledger_check.check(place)}
        chains = _broken_chains(stack)
    finally:
        _edit(stack, f"UPDATE order_worker.ledger_entries SET amount = amount - 1 WHERE entry_id = {entry}")
        _edit(stack, "UPDATE risk_gate.audit_log SET subject = rtrim(subject, '!') WHERE position = 2")
    assert f"(execution {execution})" in wrong[FILL_BOOKED]
    assert BALANCED in wrong
    assert set(chains) == {"risk_gate"}
    assert "row 2" in chains["risk_gate"]


def _broken_chains(stack: ContainerStack) -> dict[str, str]:
    verdicts = audit_check.check(InContainer(stack.compose), [], audit_check.keys_of(stack.compose.secrets))
    return {one.owner: one.broken.what for one in verdicts if one.broken is not None}


def _edit(stack: ContainerStack, sql: str) -> None:
    # What no login of a service may: the tables refuse it.
    query(InContainer(stack.compose), f"SET session_replication_role = replica; {sql}")
