"""Says no to a command, and who stands behind one."""

from risk_gate.domain.stages import OWNER
from risk_gate.ports import LedgerPort, World
from sigmax.domain.two_people import needs_second_person, second_person_problem
from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.types import AlertLevel, Scope, Stage


def is_alone(command: Command, ledger: LedgerPort, world: World, from_stage: Stage | None = None) -> bool:
    """Say whether a command lacks the second person it needs; then it is refused, and people hear of it."""
    if not needs_second_person(command.command, command.values, from_stage):
        return False
    problem = second_person_problem(command, world.clock.now())
    if problem is not None:
        ledger.publish(refusal(command, "second_person_missing", f"it needs two people, and {problem}", world))
    return problem is not None


def refusal(command: Command, code: str, reason: str, world: World) -> Alert:
    """Tell people that a command was not carried out, and why."""
    whose = command.scope if command.scope is Scope.GLOBAL else f"{command.scope} {command.subject}"
    subject = command.subject if command.command is CommandName.CANCEL_ORDER else whose
    text = f"{command.command} of {subject}, asked for by {command.requested_by}, was refused: {reason}."
    return notice(command, code, text, world)


def notice(
    command: Command,
    code: str,
    text: str,
    world: World,
    *,
    level: AlertLevel = AlertLevel.WARNING,
    values: dict[str, str] | None = None,
) -> Alert:
    """Tell people what became of a command."""
    return Alert(
        **Alert.after(command, world.clock.now(), part=f"{code}:{text[:100]}"),
        producer=OWNER,
        level=level,
        code=code,
        subject=command.subject,
        text=text[:2000],
        values=values or {},
        dedupe_key=f"{code}:{command.scope}:{command.subject}"[:200],
    )


def people_of(command: Command) -> str:
    """Name who asked for a command and, where two are needed, who approved it."""
    asker = command.requested_by
    return f"{asker}, {command.approved_by}" if command.approved_by else asker
