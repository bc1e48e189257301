"""The dialect over HTTP: who asks, how often, and in which words the answer comes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paper_venue.domain import errors, params
from paper_venue.domain.faults import Fault, FaultKind
from paper_venue.domain.params import Params
from paper_venue.domain.signing import check_time
from paper_venue.handlers import public, trading
from paper_venue.handlers.calls import Call, Endpoint, Venue

log = structlog.get_logger()

_BODY_MAX = 64 * 1024
Observe = Callable[[str, int, float], None]
Handler = Callable[[Request], Awaitable[Response]]


def rest_routes(observe: Observe) -> list[Route]:
    """Give the routes below `/api/v3`; `observe` is told endpoint, status, and seconds of each answer."""
    routes = [_route(each, observe) for each in (*public.ENDPOINTS, *trading.ENDPOINTS)]
    routes += [Route(f"/api/v3/{path}", _refusing, methods=[method]) for method, path in trading.NOT_OFFERED]
    routes.append(Route("/api/v3/userDataStream", _removed, methods=["POST", "PUT", "DELETE"]))
    return routes


def _route(endpoint: Endpoint, observe: Observe) -> Route:
    async def handle(request: Request) -> Response:
        venue: Venue = request.app.state.venue
        loop = asyncio.get_running_loop()
        started = loop.time()
        fault = venue.faults.take(request.method, request.url.path)
        if fault is not None and fault.kind is not FaultKind.LOSE_ANSWER:
            await asyncio.sleep(fault.delay_s)
            if fault.kind is FaultKind.REFUSE:
                return _faulty(fault)
        response = await _answer(venue, endpoint, request)
        if fault is not None and fault.kind is FaultKind.LOSE_ANSWER:
            await asyncio.sleep(fault.delay_s)
            response = Response(status_code=504)
        observe(f"{endpoint.method} {endpoint.path}", response.status_code, loop.time() - started)
        return response

    return Route(f"/api/v3/{endpoint.path}", handle, methods=[endpoint.method])


async def _answer(venue: Venue, endpoint: Endpoint, request: Request) -> Response:
    now_ns = venue.desk.clock.now_ns()
    counters = venue.counters
    address = request.client.host if request.client else ""
    used = counters.add_weight(address, endpoint.weight, now_ns)
    headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
    try:
        if used > counters.limits.weight_1m:
            headers["Retry-After"] = str(counters.weight_left_s(now_ns))
            raise errors.TOO_MUCH_WEIGHT.error()
        call = Call(venue, await _read(venue, endpoint, request, now_ns), venue.credentials.account_id, now_ns)
        body = await endpoint.action(call)
        if endpoint.places_order:
            in_10s, in_1d = counters.order_counts(call.account_id, now_ns)
            headers |= {"X-MBX-ORDER-COUNT-10S": str(in_10s), "X-MBX-ORDER-COUNT-1D": str(in_1d)}
        return _json(body, 200, headers)
    except errors.DialectError as error:
        if error.problem.status == errors.TOO_MANY_ORDERS.status:
            headers.setdefault("Retry-After", "10")
        return _json(error.problem.body(), error.problem.status, headers)
    except Exception:
        # The edge of the venue: whatever broke, the client gets the dialect's words for it.
        log.exception("request_failed", endpoint=endpoint.path)
        return _json(errors.INTERNAL.body(), errors.INTERNAL.status, headers)


async def _read(venue: Venue, endpoint: Endpoint, request: Request, now_ns: int) -> Params:
    """Give the parameters of a request whose sender is proven where it has to be."""
    raw_query = request.scope["query_string"].decode("latin-1")
    raw_body = await _body(request) if request.method in {"POST", "PUT", "DELETE"} else ""
    if endpoint.is_signed:
        venue.credentials.check_key(request.headers.get("x-mbx-apikey"))
    values = Params(params.split(raw_query, raw_body))
    if endpoint.is_signed:
        if not values.values.get("timestamp"):
            raise errors.missing("timestamp")
        venue.credentials.check_raw(raw_query, raw_body)
        if venue.desk.manner.client_ids:
            check_time(values.values.get("timestamp"), values.values.get("recvWindow"), now_ns // 1_000_000)
    endpoint.check(values)
    return values


async def _body(request: Request) -> str:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _BODY_MAX:
            raise errors.TOO_LARGE.error()
        chunks.append(chunk)
    return b"".join(chunks).decode("latin-1")


def _faulty(fault: Fault) -> Response:
    headers = {"Retry-After": "1"} if fault.status in {418, 429} else {}
    if fault.code is None:
        return Response("injected fault", fault.status, headers)
    return _json({"code": fault.code, "msg": fault.message}, fault.status, headers)


async def _refusing(request: Request) -> Response:  # noqa: ARG001 - the shape of every route
    return _json(errors.UNSUPPORTED_COMBINATION.body(), errors.UNSUPPORTED_COMBINATION.status, {})


async def _removed(request: Request) -> Response:  # noqa: ARG001 - the shape of every route
    return _json(errors.REMOVED.body(), errors.REMOVED.status, {})


def _json(body: Any, status: int, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
