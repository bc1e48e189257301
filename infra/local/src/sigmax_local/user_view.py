"""What is shown of people and their logins."""

from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text


def added(user: dict[str, Any], by: str) -> Text:
    """Show the password of a new login, and what its owner does first."""
    login = user["login"]
    lines = [f"{login} may sign in as {user['role']} with: {user['password']}"]
    lines.append(f"First of all {login} chooses another: sigmax user password --as {login}")
    if user["role"] != "viewer":
        lines.append(f"Then, from {_day(user['independent_from'])} on, it counts as a second person beside {by}.")
    return Text("\n".join(lines))


def changed(me: dict[str, Any]) -> Text:
    """Say that a password was changed, and what that means for the rule of two."""
    text = f"The password of {me['login']} is changed; everybody who was signed in with the old one is signed out."
    if me["independent_from"]:
        text += f"\nIt counts as a second person beside whoever made this login from {_day(me['independent_from'])} on."
    return Text(text)


def users(found: list[dict[str, Any]]) -> RenderableType:
    """Show who may sign in, and since when each login is its owner's alone."""
    table = Table("login", "role", "accounts", "last signed in", "counts as a person of its own")
    for one in found:
        role = one["role"] if one["is_active"] else f"{one['role']}, switched off"
        table.add_row(one["login"], role, ", ".join(one["accounts"]), _day(one["last_login_at"]), _own(one))
    return table


def _own(user: dict[str, Any]) -> str:
    since = user["independent_from"]
    if not user["has_own_password"]:
        first = f"once sigmax user password --as {user['login']} was run"
        return f"{first}, from {_day(since)} on" if since else first
    return f"from {_day(since)} on" if since else "yes"


def _day(text: str | None) -> str:
    return "never" if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
