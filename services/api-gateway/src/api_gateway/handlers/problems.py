"""Every no of the API in one shape: RFC 9457, with what the caller can do."""

import secrets
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api_gateway.domain.problems import STATUS, TITLES, WHAT_TO_DO, Problem, ProblemKind
from api_gateway.domain.views.base import FieldError, ProblemView

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_KIND_OF_STATUS = {
    400: ProblemKind.BAD_REQUEST,
    401: ProblemKind.NOT_SIGNED_IN,
    403: ProblemKind.NOT_ALLOWED,
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD_NOT_ALLOWED,
    413: ProblemKind.BODY_TOO_LARGE,
    422: ProblemKind.INVALID,
    429: ProblemKind.TOO_MANY,
    503: ProblemKind.UNAVAILABLE,
}
_DESCRIPTIONS = {
    400: "The body cannot be read",
    401: "Not signed in, or the session has ended",
    403: "The role or the account does not allow it",
    404: "No such thing",
    405: "Wrong method",
    409: "Does not fit the present state",
    413: "The body is too large",
    422: "A value is not valid",
    429: "Too many requests; see Retry-After",
    500: "Our fault",
    503: "A part of the platform is away; see Retry-After",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
    }
    for status, description in _DESCRIPTIONS.items()
}
"""What OpenAPI says about every route's errors."""


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """Give the answer to a request that is answered with a no."""
    kind = problem.kind
    view = ProblemView(
        type=f"/problems/{kind.value}",
        title=TITLES[kind],
        status=STATUS[kind],
        detail=problem.detail or TITLES[kind],
        what_to_do=problem.what_to_do or WHAT_TO_DO[kind],
        instance=f"urn:sigmax:answer:{secrets.token_hex(8)}",
        errors=[FieldError(where=where, what=what) for where, what in problem.errors],
    )
    extra = dict(headers or {})
    if problem.retry_after_s is not None:
        extra["Retry-After"] = str(problem.retry_after_s)
    if view.status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="sigmax"'
    if view.status >= 500:
        log.error("answered_with_fault", instance=view.instance, kind=kind.value)
    return JSONResponse(view.model_dump(), status_code=view.status, headers=extra, media_type=MEDIA_TYPE)


async def _on_problem(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return problem_response(problem)


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = _KIND_OF_STATUS.get(error.status_code, ProblemKind.INTERNAL)
    return problem_response(Problem(kind), dict(error.headers or {}))


async def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The caller's values stay out of the answer and out of the logs: one of them may be a password.
    errors = [(".".join(str(part) for part in found["loc"]), str(found["msg"])) for found in error.errors()]
    return problem_response(Problem(ProblemKind.INVALID, "Some values are not valid.", errors=errors[:50]))


def install_problems(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
