"""Ask the gateway on behalf of a person."""

from typing import Any

import httpx2

_TIMEOUT_S = 10.0


class GatewayError(RuntimeError):
    """The gateway said no, or nothing. The text says why."""


def fetch_token(url: str, login: str, password: str) -> str:
    """Sign in and give an access token. Raises `GatewayError`."""
    session = _post(url, "/auth/login", {"login": login, "password": password})
    return str(session["access_token"])


def add_user(url: str, token: str, login: str, role: str, accounts: list[str]) -> str:
    """Add a user and give the password that was made. Raises `GatewayError`."""
    return str(_post(url, "/users", {"login": login, "role": role, "accounts": accounts}, token)["password"])


def _post(url: str, path: str, body: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with httpx2.Client(trust_env=False, timeout=_TIMEOUT_S) as client:
            answer = client.post(f"{url}/api/v1{path}", json=body, headers=headers)
    except httpx2.HTTPError as error:
        raise GatewayError(f"The gateway at {url} does not answer: {error}") from None
    if answer.is_success:
        content: dict[str, Any] = answer.json()
        return content
    try:
        problem = answer.json()
    except ValueError:
        raise GatewayError(f"The gateway answered {answer.status_code}.") from None
    said = [problem.get("detail") or problem.get("title") or f"The gateway answered {answer.status_code}."]
    said += [f"  {error}" for error in problem.get("errors", [])]
    raise GatewayError("\n".join(said))
