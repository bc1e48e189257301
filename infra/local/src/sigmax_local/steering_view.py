"""What people see who steer a stack."""

import json
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_OUTCOMES = {
    "done": "Done: {what}.",
    "requested": "Asked for: {what}. Its effect is not seen yet; ask again: GET {status_url}",
    "unconfirmed": "Asked for: {what}, and no effect is seen. It may have been refused: the alerts say why.",
    "refused": "Refused: {what}.",
    "expired": "Nobody approved it in time: {what}.",
    "awaiting_second_person": "It waits for a second person: {what}.",
}


def outcome(command: dict[str, Any]) -> Text:
    """Say how far a command has come."""
    return Text(_OUTCOMES[command["status"]].format(what=_what(command), status_url=command["status_url"]))


def flattening(command: dict[str, Any], found: list[dict[str, Any]]) -> RenderableType:
    """Say how a flatten ended, and what is left and why; or that it goes on."""
    if not found or found[0]["is_flat"] is None:
        return Group(outcome(command), Text("It goes on; what is left in the end is an alert, and on the page."))
    left = [f"  {one['quantity']} {one['instrument_id']}: {one['reason']}" for one in found[0]["remaining"]]
    said = "Nothing is held that could be sold." if found[0]["is_flat"] else "It did not end flat."
    return Text("\n".join([said, *(["Left:"] if left else []), *left]))


def waits(approval: dict[str, Any]) -> RenderableType:
    """Say that a request waits, and what its second person types."""
    short = approval["approval_id"][:8]
    lines = [
        Text(f"It waits for a second person, until {_time(approval['expires_at'])}:"),
        approvals({"items": [approval]}),
        Text(f"Another person approves it: sigmax approve {short} --as <login>"),
    ]
    if approval["approvers"] == 0:
        role = "admin" if approval["needed_right"] != "transfer" else f"trader --account {approval['account_id']}"
        lines.append(
            Text(
                "Nobody else may do so yet. Add the second login, whose password is shown once:"
                f" sigmax user add <login> --role {role}"
            )
        )
    return Group(*lines)


def approvals(found: dict[str, Any]) -> RenderableType:
    """Show requests with exactly what would be done."""
    if not found["items"]:
        return Text("Nothing waits for a second person.")
    table = Table("id", "asked by", "what", "now", "then", "why", "until")
    for one in found["items"]:
        table.add_row(
            one["approval_id"][:8],
            one["requested_by"],
            f"{one['action']} {one['subject']}",
            _values(one["before"]),
            _values(one["values"]),
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
    """Show the limits of one account."""
    one = next((one for one in found if one["account_id"] == account), None)
    if one is None:
        return Text(f"There are no limits of {account}.")
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
