"""After everything: nothing lost, nothing doubled."""

from sigmax_local.testkit.container_report import Report
from sigmax_local.testkit.container_stack import ContainerStack


async def test_after_all_of_this_the_books_are_right(stack: ContainerStack, report: Report) -> None:
    await stack.trades_again()
    broken = await stack.comes_to_rest()

    told = {line.split(":")[0]: line for line in broken}
    done = await stack.figures()
    report.figures["approved, and no order"] = done["approved"] - sum(done["orders"].values())
    report.figures["invariants broken"] = len(broken)
    assert broken == [], told
    assert done["approved"] == sum(done["orders"].values()), "an approval made no order, or two"
    assert not set(done["orders"]) & {"pending_new"}, done["orders"]
