"""What a person's command makes of the strategies."""

from collections.abc import Sequence
from dataclasses import replace

from sigmax.schemas.control import Command, CommandName
from strategy_engine.domain.params import ParamsError
from strategy_engine.domain.spec import Spec, Status, check_params

ALL = "global"
_OURS = (CommandName.ACTIVATE_STRATEGY, CommandName.STOP_STRATEGY, CommandName.SET_PARAMS)


def is_ours(command: Command) -> bool:
    """Say whether a command is about strategies; the others are for risk-gate."""
    return command.command in _OURS


def carry_out(command: Command, specs: Sequence[Spec]) -> list[Spec] | str:
    """Give the strategies that change, as they are to be; or why nothing does, in a sentence for a person."""
    chosen = [spec for spec in specs if command.subject in (spec.strategy_id, ALL)]
    if not chosen:
        return f"there is no strategy {command.subject!r}"
    if command.command is CommandName.STOP_STRATEGY:
        return [replace(spec, status=Status.STOPPED) for spec in chosen if spec.status is not Status.STOPPED]
    if command.command is CommandName.SET_PARAMS and command.subject == ALL:
        return "parameters are set for one strategy at a time"
    try:
        if command.command is CommandName.ACTIVATE_STRATEGY:
            for spec in chosen:
                check_params(spec.kind, spec.params)
            return [replace(spec, status=Status.ACTIVE) for spec in chosen if spec.status is not Status.ACTIVE]
        return _set_params(command, chosen[0])
    except ParamsError as error:
        return str(error)


def _set_params(command: Command, spec: Spec) -> list[Spec] | str:
    if not command.values:
        return "no parameter was named"
    # An empty value takes a parameter back to what it is by default.
    wanted = {name: value for name, value in {**spec.params, **command.values}.items() if value != ""}
    params = check_params(spec.kind, wanted)
    return [] if params == spec.params else [replace(spec, params=params, version=spec.version + 1)]
