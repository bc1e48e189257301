"""Alive, ready, and measured: `/health/live`, `/health/ready`, `/metrics`, and the heartbeat."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[str | None]]
"""Gives None when all is well, else what is wrong."""

_CHECK_TIMEOUT_S = 5.0
_ready = Gauge("sigmax_ready", "1 when the service can do its work")


class Readiness:
    """Really looks: at the connections, at the consumers of each queue, and at whatever a service adds."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self.problems: list[str] = ["starting"]

    def add(self, name: str, check: Check) -> None:
        """Add a check under the name its problem is told by."""
        self._checks[name] = check

    async def look(self) -> list[str]:
        """Run all checks at once; give what is wrong, and nothing when the service is ready."""
        outcomes = await asyncio.gather(*(self._one(name, check) for name, check in self._checks.items()))
        self.problems = [problem for problem in outcomes if problem]
        _ready.set(not self.problems)
        return self.problems

    async def _one(self, name: str, check: Check) -> str | None:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                problem = await check()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return f"{name}: {problem}" if problem else None


def health_routes(readiness: Readiness) -> list[Route]:
    """Give the three routes that every service serves."""

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_request: Request) -> Response:
        problems = await readiness.look()
        return JSONResponse({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/health/live", live, include_in_schema=False),
        Route("/health/ready", ready, include_in_schema=False),
        Route("/metrics", metrics, include_in_schema=False),
    ]
