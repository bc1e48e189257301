"""Who signs in to a stack, and with which password."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from sigmax_local.gateway import Gateway, WrongPasswordError

ADMIN = "admin"
Ask = Callable[[str], str]
"""Asks a person for the password of a login."""

_REFUSED_FOR_S = 900.0
"""The gateway shuts a login after five failures in this time: a password that was refused waits for so long."""


def first_password_file(secrets: Path) -> Path:
    """Give the file with the password that `admin` got at the first start."""
    return secrets / "api_gateway" / "first_admin_password"


async def sign_in(gateway: Gateway, secrets: Path, login: str = ADMIN, ask: Ask | None = None) -> None:
    """Sign in with `SIGMAX_PASSWORD`, else as `admin` with the first password, else with what a person types.

    Raises `GatewayError`; where nobody can be asked, with what to do.
    """
    if given := os.environ.get("SIGMAX_PASSWORD"):
        await gateway.sign_in(login, given)
        return
    first, refused = first_password_file(secrets), secrets.parent / "first-password-refused"
    if login == ADMIN and first.exists() and not _is_recent(refused):
        try:
            await gateway.sign_in(login, first.read_text(encoding="utf-8").strip())
        except WrongPasswordError:
            refused.touch()
        else:
            return
    if ask is None:
        raise WrongPasswordError(
            f"The password of {login} is not the first one any more: say it in the variable SIGMAX_PASSWORD."
        )
    await gateway.sign_in(login, await asyncio.to_thread(ask, login))


def _is_recent(mark: Path) -> bool:
    return mark.exists() and time.time() - mark.stat().st_mtime < _REFUSED_FOR_S
