"""How users are shown, to themselves and to admins."""

from datetime import datetime, timedelta
from typing import Any

from api_gateway.handlers.context import Gateway
from api_gateway.ports.people import User


async def shown(user: User, gateway: Gateway) -> dict[str, Any]:
    """Give the fields of one user's view."""
    return fields_of(user, gateway.clock.now(), await gateway.approvals.cooldown())


def fields_of(user: User, now: datetime, cooldown: timedelta) -> dict[str, Any]:
    """Give the fields of a user's view at a time."""
    ends = [end for end in user.credentials.ends(cooldown) if end > now]
    return {
        "user_id": user.user_id,
        "login": user.login,
        "role": user.role,
        "accounts": sorted(user.accounts),
        "is_active": user.is_active,
        "has_own_password": user.credentials.is_own_password,
        "independent_from": max(ends, default=None),
        "created_at": user.created_at,
        "last_login_at": user.last_login_at,
    }
