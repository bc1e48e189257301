"""The gateway, asked on behalf of a person: all that is shown of a stack comes through this door."""

import contextlib
import time
from typing import Any, Self

import httpx2

_TIMEOUT_S = 10.0
_RENEWED_AFTER = 0.8
"""Part of its life after which an access token is exchanged."""
_PASSING = frozenset({429, 500, 502, 503, 504})
_UNAUTHORIZED = 401


class GatewayError(RuntimeError):
    """The gateway said no. The text says why."""


class GatewayAwayError(GatewayError):
    """The gateway gave no answer now; it may a moment later."""


class WrongPasswordError(GatewayError):
    """Login and password do not belong together."""


class Gateway:
    """One person's session. Leaving the context signs out, unless it is to be kept."""

    def __init__(self, url: str, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.url = url
        self._http = httpx2.AsyncClient(
            base_url=f"{url}/api/v1", trust_env=False, timeout=_TIMEOUT_S, transport=transport
        )
        self._login = ""
        self._password = ""
        self._refresh_token = ""
        self._access_token = ""
        self._renew_at = 0.0
        self._is_kept = False

    async def __aenter__(self) -> Self:
        """Use it for as long as the context lasts."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Sign out, if the gateway still listens."""
        with contextlib.suppress(GatewayError):
            if self._refresh_token and not self._is_kept:
                await self._send("POST", "/auth/logout", {"refresh_token": self._refresh_token})
        await self._http.aclose()

    async def sign_in(self, login: str, password: str) -> None:
        """Open a session. Raises `WrongPasswordError` or another `GatewayError`."""
        body = {"login": login, "password": password, "wants_refresh_token": True}
        answer = await self._send("POST", "/auth/login", body)
        if answer.status_code == _UNAUTHORIZED:
            raise WrongPasswordError(f"The password of {login} is not this one.")
        self._note(_content(answer))
        self._login, self._password = login, password

    async def change_password(self, new: str) -> None:
        """Choose another password for the login that is signed in. All its sessions end; a new one is opened.

        Raises `GatewayError`.
        """
        await self.post("/auth/password", {"current_password": self._password, "new_password": new})
        await self.sign_in(self._login, new)

    def keep_session(self) -> str:
        """Give the access token for use elsewhere; the session stays open."""
        self._is_kept = True
        return self._access_token

    async def get(self, path: str, **params: str) -> Any:
        """Read. Raises `GatewayError`."""
        return await self._ask("GET", path, params=params)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Change something. Raises `GatewayError`."""
        return await self._ask("POST", path, body)

    async def command(self, method: str, path: str, body: dict[str, Any], key: str) -> Any:
        """Give a command; the same key and body again is the same command. Raises `GatewayError`."""
        return await self._ask(method, path, body, headers={"Idempotency-Key": key})

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        if time.monotonic() >= self._renew_at:
            await self._renew()
        answer = await self._send(method, path, body, params, headers)
        if answer.status_code == _UNAUTHORIZED:  # the session was ended meanwhile: the password opens another
            await self.sign_in(self._login, self._password)
            answer = await self._send(method, path, body, params, headers)
        return _content(answer)

    async def _renew(self) -> None:
        answer = await self._send("POST", "/auth/refresh", {"refresh_token": self._refresh_token})
        if answer.status_code == _UNAUTHORIZED:
            await self.sign_in(self._login, self._password)
        else:
            self._note(_content(answer))

    def _note(self, session: dict[str, Any]) -> None:
        self._access_token = session["access_token"]
        self._refresh_token = session["refresh_token"]
        self._renew_at = time.monotonic() + _RENEWED_AFTER * session["expires_in_s"]

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        signed = {"Authorization": f"Bearer {self._access_token}"} if self._access_token else {}
        try:
            answer = await self._http.request(
                method, path, json=body, params=params, headers={**signed, **(headers or {})}
            )
        except httpx2.HTTPError as error:
            raise GatewayAwayError(
                f"The gateway at {self.url} does not answer: {error or type(error).__name__}."
                " Look how it fares: sigmax status, sigmax logs api-gateway"
            ) from None
        if answer.status_code in _PASSING:
            raise GatewayAwayError(_said(answer))
        return answer


def _content(answer: httpx2.Response) -> Any:
    if not answer.is_success:
        raise GatewayError(_said(answer))
    return answer.json() if answer.content else None


def _said(answer: httpx2.Response) -> str:
    """Give what is wrong, where, and what to do about it."""
    try:
        problem = answer.json()
    except ValueError:
        return f"The gateway answered {answer.status_code}."
    said = [problem.get("detail") or problem.get("title") or f"The gateway answered {answer.status_code}."]
    errors = [f"  {error['where'].removeprefix('body.')}: {error['what']}" for error in problem.get("errors", [])]
    todo = problem.get("what_to_do")
    return "\n".join([*said, *(errors or ([todo] if todo else []))])
