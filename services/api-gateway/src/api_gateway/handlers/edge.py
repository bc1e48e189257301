"""The outermost layer of every HTTP request: size limit, headers, origins, counting, and the last safety net."""

import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.domain.problems import Problem, ProblemKind
from api_gateway.handlers.context import Gateway
from api_gateway.handlers.problems import problem_response

log = structlog.get_logger()

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_HSTS = "max-age=31536000; includeSubDomains"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH",
    "Access-Control-Allow-Headers": "authorization, content-type, idempotency-key, x-requested-with",
    "Access-Control-Max-Age": "600",
}
_AWAY_S = 5
_UNAVAILABLE = (SQLAlchemyError, RedisError, OSError, TimeoutError)


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; live connections and the lifespan pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        gateway: Gateway = scope["app"].state.gateway
        started = time.perf_counter()
        answer = _Answer(scope, send, gateway.limits.origins)
        try:
            await self._serve(scope, receive, answer, gateway.limits.body_bytes_max)
        except _UNAVAILABLE as error:
            log.warning("part_unreachable", operation=_operation(scope), error=str(error))
            await _refuse(Problem(ProblemKind.UNAVAILABLE, retry_after_s=_AWAY_S), scope, receive, answer)
        except Exception:
            log.exception("request_failed", operation=_operation(scope))
            await _refuse(Problem(ProblemKind.INTERNAL), scope, receive, answer)
        gateway.counters.request(_operation(scope), scope["method"], answer.status, time.perf_counter() - started)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer", body_bytes_max: int) -> None:
        headers = Headers(scope=scope)
        if answer.is_other_origin and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, answer)
            return
        stated = headers.get("content-length", "0")
        if not stated.isdecimal() or int(stated) > body_bytes_max:
            raise_kind = ProblemKind.BODY_TOO_LARGE if stated.isdecimal() else ProblemKind.BAD_REQUEST
            await _refuse(Problem(raise_kind, f"At most {body_bytes_max} bytes."), scope, receive, answer)
            return
        await self.app(scope, _counted(receive, body_bytes_max), answer)


class _Answer:
    """Sends one answer with the security headers, and remembers its status."""

    def __init__(self, scope: Scope, send: Send, origins: tuple[str, ...]) -> None:
        origin = Headers(scope=scope).get("origin")
        self.is_other_origin = origin in origins
        self.status = 500
        self.has_started = False
        self._send = send
        self._headers = dict(_HEADERS)
        if scope["path"].startswith("/api/"):
            self._headers["Cache-Control"] = "no-store"
        if scope.get("scheme") == "https":
            self._headers["Strict-Transport-Security"] = _HSTS
        if self.is_other_origin and origin:
            self._headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
            self._headers |= {"Access-Control-Expose-Headers": "location, retry-after"}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers[name] = value
            headers.add_vary_header("Origin")
        await self._send(message)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, answer: _Answer) -> None:
    if not answer.has_started:
        await problem_response(problem)(scope, receive, answer)


def _counted(receive: Receive, body_bytes_max: int) -> Receive:
    taken = 0

    async def counting() -> MutableMapping[str, Any]:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > body_bytes_max:
            raise HTTPException(413)
        return message

    return counting


def _operation(scope: Scope) -> str:
    """Name the route by its operation: a path would make as many series as there are ids."""
    return getattr(scope.get("route"), "name", None) or "unmatched"
