"""What people see who steer a stack."""

import json
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from sigmax.runtime.clock import SystemClock
from sigmax_local.gateway import GatewayError

_OUTCOMES = {
    "done": "Done: {what}.",
    "requested": (
        "Asked for: {what}. Its effect is not seen yet: sigmax stage shows what holds, sigmax status whether all"
        " services are ready, and the alerts on the page whether it was refused."
    ),
    "unconfirmed": "Asked for: {what}, and no effect is seen. It may have been refused: the alerts on the page tell.",
    "refused": "Refused: {what}.",
    "expired": "Nobody approved it in time: {what}.",
    "awaiting_second_person": "It waits for a second person: {what}.",
}


_SHOWN_BEFORE = frozenset({"from", "user_id"})
"""Values that name what is changed, and stand beside it already."""


def outcome(command: dict[str, Any]) -> Text:
    """Say how far a command has come."""
    return Text(_OUTCOMES[command["status"]].format(what=_what(command), status_url=command["status_url"]))


def flattening(command: dict[str, Any], found: list[dict[str, Any]]) -> Text:
    """Say how a flatten ended, and what is left and why; or that it goes on."""
    if not found or found[0]["is_flat"] is None:
        return Text(f"It goes on: {_what(command)}. What is left in the end is an alert, and on the page.")
    left = [
        f"  {one['quantity']} {one['instrument_id']} of {_owner(one['strategy_id'])}: {one['reason']}"
        for one in found[0]["remaining"]
    ]
    said = "Nothing is held that could be sold." if found[0]["is_flat"] else "It did not end flat."
    return Text("\n".join([said, *(["Left:"] if left else []), *left]))


def _owner(strategy_id: str) -> str:
    return "no strategy" if strategy_id == "unowned" else strategy_id


def waits(approval: dict[str, Any]) -> RenderableType:
    """Say that a request waits, and what its second person types."""
    short = approval["approval_id"][:8]
    lines = [
        Text(f"It waits for a second person, until {_time(approval['expires_at'])}:"),
        approvals({"items": [approval]}),
        Text(f"Another person approves it: sigmax approve {short} --as <login>"),
    ]
    if approval["approvers"] == 0 and approval["next_approver"]:
        lines += _next(approval)
    elif approval["approvers"] == 0:
        role = "admin" if approval["needed_right"] != "transfer" else f"trader --account {approval['account_id']}"
        lines.append(
            Text(
                "Nobody else may do so yet. Add the second login, whose password is shown once:"
                f" sigmax user add <login> --role {role}. It counts as another person once its owner has chosen a"
                " password, and after the cool-down (sigmax user list)."
            )
        )
    return Group(*lines)


def _next(approval: dict[str, Any]) -> list[Text]:
    """Say who could approve it soonest, and what that takes."""
    login, since = approval["next_approver"], datetime.fromisoformat(approval["next_approver_from"])
    lines = [f"Nobody else may do so now: {login} does not count as another person than who set that login yet."]
    if approval["next_approver_needs_own_password"]:
        lines.append(f"{login} chooses a password first: sigmax user password --as {login}")
    if since > SystemClock().now():
        lines.append(f"It counts from {since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC on; ask again then.")
    return [Text(line) for line in lines]


def approvals(found: dict[str, Any]) -> RenderableType:
    """Show requests with exactly what would be done."""
    if not found["items"]:
        return Text("Nothing waits for a second person.")
    names = ("id", "asked by", "what", "now", "then", "why", "until")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for one in found["items"]:
        table.add_row(
            one["approval_id"][:8],
            one["requested_by"],
            f"{one['action'].replace('_', ' ')} {one['subject']}",
            _values(one["before"]),
            _values({name: value for name, value in one["values"].items() if name not in _SHOWN_BEFORE}),
            one["reason"],
            _time(one["expires_at"]),
        )
    return table


def stages(found: list[dict[str, Any]]) -> Table:
    """Show how much is traded, by scope."""
    table = Table("scope", "stage", "since", "by", "why")
    for one in found:
        name = one["scope"] if one["scope"] == "global" else f"{one['scope']} {one['scope_id']}"
        table.add_row(name, one["stage"], _time(one["changed_at"]), one["changed_by"], one["reason"])
    return table


def postures(found: list[dict[str, Any]]) -> RenderableType:
    """Show how boldly each account trades."""
    if not found:
        return Text("No posture was chosen yet: each account has the one of its limits (sigmax limits).")
    table = Table("account", "posture", "chosen", "by", "why", "asked again")
    for one in found:
        again = "when a person says so" if one["is_manual"] else _time(one["evaluate_at"])
        table.add_row(one["account_id"], one["posture"], one["cause"], one["changed_by"], one["reason"], again)
    return table


def limits(found: list[dict[str, Any]], account: str) -> RenderableType:
    """Show the limits of one account. Raises `GatewayError` where it has none."""
    one = next((one for one in found if one["account_id"] == account), None)
    if one is None:
        names = ", ".join(one["account_id"] for one in found) or "no account"
        raise GatewayError(f"There are no limits of {account}: there are those of {names}. Say which with --account.")
    table = Table("limit", "value")
    for name, value in sorted(one["values"].items()):
        table.add_row(name, _plain(value))
    return Group(Text(f"{account}, version {one['version']}, by {one['changed_by']}"), table)


def _what(command: dict[str, Any]) -> str:
    values = _values(command["values"])
    return f"{command['command']} {command['subject']}{f' ({values})' if values else ''}"


def _values(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _time(text: str | None) -> str:
    return "" if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%H:%M:%S} UTC"
