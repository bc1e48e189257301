"""Live connections: a ticket first, then topics; whoever is slow, loud, or no longer allowed is dropped.

The client says {"ticket": "..."} as its first message, then {"subscribe": ["orders", "ticks"]} as often as it likes;
each replaces what was subscribed before. `instruments` narrows ticks. Events are
{"topic": "orders", "type": "order_worker.order_event.v1", "data": {...}}.
"""

import asyncio
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api_gateway.domain.budgets import Budget
from api_gateway.domain.rights import TOPICS, Topic, may
from api_gateway.domain.sessions import AccessClaims
from api_gateway.handlers.context import Gateway, gateway_of
from api_gateway.ports.live import Listener
from api_gateway.ports.people import User

router = APIRouter()

MESSAGE_BYTES_MAX = 4096
_MESSAGES_MAX = 20
_MESSAGES_WINDOW_S = 10.0
_SEND_TIMEOUT_S = 10.0

POLICY = 1008
TOO_BIG = 1009
TRY_LATER = 1013


class Drop(Exception):  # noqa: N818 - an ending, not an error of ours
    """The connection is to be closed, with a close code and a reason for the client."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class TicketMessage(BaseModel):
    """The first message of a client."""

    model_config = ConfigDict(extra="forbid")
    ticket: str = Field(min_length=1, max_length=128)


class SubscribeMessage(BaseModel):
    """What the client wants from now on."""

    model_config = ConfigDict(extra="forbid")
    subscribe: list[Topic] = Field(max_length=len(Topic))
    instruments: list[str] = Field(default=[], max_length=100)
    """Narrows ticks; empty is all."""


@router.websocket("/ws")
async def live(socket: WebSocket) -> None:
    """Serve one live connection until either side ends it."""
    gateway = gateway_of(socket)
    if not is_origin_allowed(socket.headers.get("origin"), socket.headers.get("host"), gateway.limits.origins):
        gateway.counters.ws_dropped("origin")
        await socket.close(POLICY)
        return
    await socket.accept()
    listener: Listener | None = None
    try:
        claims, user = await _signed_in(socket, gateway)
        listener = gateway.feed.join(user.user_id)
        if listener is None:
            raise Drop(TRY_LATER, "too many live connections")
        await socket.send_json({"type": "ready", "topics": [topic for topic in Topic if may(user.role, TOPICS[topic])]})
        await _run(socket, gateway, claims, user, listener)
    except Drop as drop:
        gateway.counters.ws_dropped(drop.reason.replace(" ", "_"))
        await _close(socket, drop)
    except (WebSocketDisconnect, RuntimeError):
        pass  # the client has gone; starlette says so with either, depending on who noticed first
    finally:
        if listener is not None:
            gateway.feed.leave(listener)


def is_origin_allowed(origin: str | None, host: str | None, allowed: tuple[str, ...]) -> bool:
    """Say whether a page of this origin may connect: our own, or one of the list. Programs send none."""
    return origin is None or origin in allowed or (host is not None and urlsplit(origin).netloc == host)


async def _signed_in(socket: WebSocket, gateway: Gateway) -> tuple[AccessClaims, User]:
    try:
        async with asyncio.timeout(gateway.limits.ws_first_message_s):
            message = TicketMessage.model_validate_json(await _receive(socket))
    except (TimeoutError, ValidationError):
        raise Drop(POLICY, "a ticket comes first") from None
    claims = await gateway.tickets.redeem(message.ticket)
    user = await gateway.sessions.caller(claims) if claims else None
    if claims is None or user is None:
        raise Drop(POLICY, "the ticket is not valid")
    return claims, user


async def _run(socket: WebSocket, gateway: Gateway, claims: AccessClaims, user: User, listener: Listener) -> None:
    """Listen, send, and look the user up again, until the first of the three ends."""
    tasks = {
        asyncio.create_task(_listen(socket, gateway, user, listener)),
        asyncio.create_task(_send(socket, listener)),
        asyncio.create_task(_recheck(gateway, claims)),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(socket: WebSocket, gateway: Gateway, user: User, listener: Listener) -> None:
    budget = Budget(_MESSAGES_MAX, _MESSAGES_WINDOW_S)
    while True:
        text = await _receive(socket)
        if not budget.take(gateway.clock.now_ns()):
            raise Drop(POLICY, "too many messages")
        try:
            wanted = SubscribeMessage.model_validate_json(text)
        except ValidationError:
            raise Drop(POLICY, "a message is not valid") from None
        if not all(may(user.role, TOPICS[topic]) for topic in wanted.subscribe):
            raise Drop(POLICY, "a topic is not allowed")
        listener.instruments = frozenset(wanted.instruments)
        listener.topics = frozenset(wanted.subscribe)
        await socket.send_json({"type": "subscribed", "topics": sorted(listener.topics)})


async def _send(socket: WebSocket, listener: Listener) -> None:
    while True:
        event = await listener.next()
        if event is None:
            raise Drop(TRY_LATER, "too slow")
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await socket.send_text(event.decode())
        except TimeoutError:
            raise Drop(TRY_LATER, "too slow") from None


async def _recheck(gateway: Gateway, claims: AccessClaims) -> None:
    while True:
        await asyncio.sleep(gateway.limits.ws_recheck_s)
        if await gateway.sessions.caller(claims) is None:
            raise Drop(POLICY, "the session has ended")


async def _receive(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    text = message.get("text")
    if text is None:
        raise Drop(POLICY, "a message is not valid")
    if len(text.encode()) > MESSAGE_BYTES_MAX:
        raise Drop(TOO_BIG, "a message is too big")
    return str(text)


async def _close(socket: WebSocket, drop: Drop) -> None:
    try:
        async with asyncio.timeout(_SEND_TIMEOUT_S):
            await socket.close(drop.code, drop.reason)
    except (RuntimeError, TimeoutError, WebSocketDisconnect):
        pass  # the client has gone by itself
