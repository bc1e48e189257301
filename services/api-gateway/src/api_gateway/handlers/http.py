"""The HTTP application: all routes, behind the table of rights, with OpenAPI as their contract."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from api_gateway.domain.rights import PUBLIC, ROUTES
from api_gateway.domain.views.base import ProblemView
from api_gateway.handlers import (
    approvals,
    auth,
    commands,
    judgement,
    live,
    platform,
    risk,
    steering,
    system,
    trading,
    users,
)
from api_gateway.handlers.context import authorise
from api_gateway.handlers.edge import Edge
from api_gateway.handlers.problems import RESPONSES, install_problems

API = "/api/v1"
_DASHBOARD = Path(__file__).parent.parent / "dashboard"
_TITLE = "Sigma-X"
_DESCRIPTION = (
    "Read everything; change things by command. Commands take an `Idempotency-Key`, answer 202, and their status URL"
    " tells when the effect is seen. Lists are paged by cursor. Errors are RFC 9457 problems that say what to do."
)


def create_http() -> FastAPI:
    """Make the application. Its ports are put at `app.state.gateway` before the first request.

    Raises `RuntimeError` when a route is not in the table of rights, or the table names a route that is not there.
    """
    app = FastAPI(
        title=_TITLE,
        description=_DESCRIPTION,
        version="1",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        responses=RESPONSES,
        redirect_slashes=False,
        # Spans come from our own middleware; logs of refused inputs would hold the inputs.
        telemetry={"operation_spans": False, "logs": False},
    )
    private = APIRouter(dependencies=[Depends(authorise)])
    for module in (users, trading, judgement, commands, steering, approvals, risk, platform, system):
        private.include_router(module.router)
    private.include_router(auth.private)
    app.include_router(auth.public, prefix=API)
    app.include_router(private, prefix=API)
    app.include_router(live.router)
    check_rights(operations(app))
    install_problems(app)
    app.add_middleware(Edge)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/assets", StaticFiles(directory=_DASHBOARD), name="assets")
    return app


async def _page() -> FileResponse:
    return FileResponse(_DASHBOARD / "index.html", media_type="text/html")


def operations(app: FastAPI) -> set[str]:
    """Give the operation ids of all routes of the API."""
    return {operation["operationId"] for path in _openapi(app)["paths"].values() for operation in path.values()}


def check_rights(found: set[str]) -> None:
    """Hold the routes against the table of rights. Raises `RuntimeError` where they differ."""
    known = PUBLIC | set(ROUTES)
    if found != known:
        raise RuntimeError(f"routes and the table of rights differ in {sorted(found ^ known)}")


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        problem = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = problem.pop("$defs", {})
        schema["components"]["schemas"] |= {"ProblemView": problem, **parts}
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema
