"""The WebSocket API: the user data stream, and the same requests as over HTTP."""

from typing import Any

import orjson
import structlog
from starlette.websockets import WebSocket

from paper_venue.domain import errors
from paper_venue.domain.errors import DialectError, Problem
from paper_venue.domain.params import Params
from paper_venue.domain.signing import check_time, text_of
from paper_venue.handlers import public, trading
from paper_venue.handlers.calls import Call, Venue
from paper_venue.handlers.hub import Listener, user_topic
from paper_venue.handlers.market_streams import serve

log = structlog.get_logger()

_METHODS = {each.socket_method: each for each in (*public.ENDPOINTS, *trading.ENDPOINTS) if each.socket_method}
_ENVELOPE = frozenset({"apiKey", "returnRateLimits"})
_SUBSCRIPTION_ID = 0
_MESSAGE_MAX = 64 * 1024
_BAD_REQUEST = Problem(400, -1135, "Invalid JSON Request")


async def user_socket(socket: WebSocket) -> None:
    """Serve `/ws-api/v3`."""
    venue: Venue = socket.app.state.venue
    await socket.accept()
    await serve(socket, venue, Listener(), _on_request)


async def _on_request(venue: Venue, listener: Listener, raw: str | bytes) -> None:
    request_id: Any = None
    try:
        request = _request(raw)
        request_id = request.get("id")
        listener.send({"id": request_id, "status": 200, "result": await _handle(venue, listener, request)})
    except DialectError as error:
        problem = error.problem
        listener.send({"id": request_id, "status": problem.status, "error": problem.body()})
    except Exception:
        # The edge of the venue: the socket outlives one bad request.
        log.exception("socket_request_failed")
        listener.send({"id": request_id, "status": errors.INTERNAL.status, "error": errors.INTERNAL.body()})


def _request(raw: str | bytes) -> dict[str, Any]:
    if len(raw) > _MESSAGE_MAX:
        raise errors.TOO_LARGE.error()
    try:
        request = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _BAD_REQUEST.error() from None
    if not isinstance(request, dict) or not isinstance(request.get("params", {}), dict):
        raise _BAD_REQUEST.error()
    return request


async def _handle(venue: Venue, listener: Listener, request: dict[str, Any]) -> Any:
    method, params = request.get("method"), request.get("params", {})
    now_ns = venue.desk.clock.now_ns()
    topic = user_topic(venue.credentials.account_id)
    if method == "userDataStream.subscribe.signature":
        _check_sender(venue, params, now_ns)
        if topic in venue.hub.topics_of(listener):
            raise errors.ALREADY_SUBSCRIBED.error()
        venue.hub.subscribe(topic, listener, _wrap)
        return {"subscriptionId": _SUBSCRIPTION_ID}
    if method == "userDataStream.unsubscribe":
        venue.hub.unsubscribe(topic, listener)
        return {}
    if method == "session.subscriptions":
        return [{"subscriptionId": _SUBSCRIPTION_ID}] if topic in venue.hub.topics_of(listener) else []
    endpoint = _METHODS.get(method) if isinstance(method, str) else None
    if endpoint is None:
        raise _BAD_REQUEST.error()
    if endpoint.is_signed:
        _check_sender(venue, params, now_ns)
    values = _values(params)
    endpoint.check(values)
    return await endpoint.action(Call(venue, values, venue.credentials.account_id, now_ns))


def _check_sender(venue: Venue, params: dict[str, Any], now_ns: int) -> None:
    api_key = params.get("apiKey")
    venue.credentials.check_key(api_key if isinstance(api_key, str) else None)
    venue.credentials.check_sorted(params)
    texts = {name: text_of(params[name]) for name in ("timestamp", "recvWindow") if name in params}
    check_time(texts.get("timestamp"), texts.get("recvWindow"), now_ns // 1_000_000)


def _values(params: dict[str, Any]) -> Params:
    """Give the parameters as texts, without the envelope's and without a second name for the same id."""
    texts = {}
    for name, value in params.items():
        if name in _ENVELOPE or (name == "clientOrderId" and "newClientOrderId" in params):
            continue
        texts[name] = orjson.dumps(value).decode() if isinstance(value, list | dict) else text_of(value)
    return Params(texts)


def _wrap(event: Any) -> dict[str, Any]:
    return {"subscriptionId": _SUBSCRIPTION_ID, "event": event}
