"""After everything: nothing lost, nothing doubled."""

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
