"""Market streams: sockets, their subscriptions, and what is sent when."""

import asyncio
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from paper_venue.domain import market_answers, streams
from paper_venue.domain.streams import DepthFeed, Levels, StreamKind, StreamName, read_name
from paper_venue.domain.tape import PublicTrade
from paper_venue.handlers.calls import Venue
from paper_venue.handlers.desk import Desk
from paper_venue.handlers.hub import Hub, Listener
from paper_venue.ports import Page
from sigmax.domain.depth import Depth

_SUBSCRIPTIONS_MAX = 1024
_MESSAGE_MAX = 64 * 1024
PULSE_S = 0.1
_LEVELS_MAX = 5000
_TICKERS_EVERY = 10
_KLINES_EVERY = 20


async def market_socket(socket: WebSocket) -> None:
    """Serve `/ws/<stream>`, `/stream?streams=a/b`, and any other path for clients that send SUBSCRIBE."""
    venue: Venue = socket.app.state.venue
    await socket.accept()
    combined = socket.query_params.get("streams")
    listener = Listener(is_combined=combined is not None)
    paths = (combined or "").split("/") if combined is not None else [socket.path_params.get("rest", "")]
    for text in paths:
        name = read_name(text)
        if name is not None:
            _subscribe(venue.hub, listener, name)
    await serve(socket, venue, listener, _on_request)


async def serve(socket: WebSocket, venue: Venue, listener: Listener, on_request: Any) -> None:
    """Send what the listener gets and answer what the client asks, until either ends."""
    sending = asyncio.create_task(_send(socket, listener))
    try:
        while True:
            received = await socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            raw = received.get("text") or received.get("bytes") or b""
            await on_request(venue, listener, raw)
    except WebSocketDisconnect:
        return
    finally:
        venue.hub.leave(listener)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send(socket: WebSocket, listener: Listener) -> None:
    try:
        while True:
            await socket.send_text((await listener.next()).decode())
    except ConnectionAbortedError:
        await socket.close(1008, "too slow")


async def _on_request(venue: Venue, listener: Listener, raw: str | bytes) -> None:
    request_id: Any = None
    try:
        if len(raw) > _MESSAGE_MAX:
            raise ValueError("the message is too long")
        decoded = orjson.loads(raw)
        request: dict[str, Any] = decoded if isinstance(decoded, dict) else {}
        request_id = request.get("id")
        listener.send({"result": _handle(venue.hub, listener, request), "id": request_id})
    except orjson.JSONDecodeError as error:
        listener.send({"code": 3, "msg": f"Invalid JSON: {error}", "id": request_id})
    except ValueError as error:
        listener.send({"code": 2, "msg": f"Invalid request: {error}", "id": request_id})


def _handle(hub: Hub, listener: Listener, request: dict[str, Any]) -> Any:
    method, params = request.get("method"), request.get("params", [])
    if method in {"SUBSCRIBE", "UNSUBSCRIBE"}:
        names = [_checked(text) for text in params] if isinstance(params, list) else []
        if not names:
            raise ValueError("params must be a list of streams")
        for name in names:
            if method == "SUBSCRIBE":
                _subscribe(hub, listener, name)
            else:
                hub.unsubscribe(name.text, listener)
        return None
    if method == "LIST_SUBSCRIPTIONS":
        return hub.topics_of(listener)
    if method == "GET_PROPERTY" and params == ["combined"]:
        return listener.is_combined
    if method == "SET_PROPERTY" and isinstance(params, list) and len(params) == 2 and params[0] == "combined":
        listener.is_combined = bool(params[1])
        return None
    raise ValueError("unknown method")


def _checked(text: Any) -> StreamName:
    name = read_name(text) if isinstance(text, str) else None
    if name is None:
        raise ValueError(f"unknown stream {text!r}")
    return name


def _subscribe(hub: Hub, listener: Listener, name: StreamName) -> None:
    if len(hub.topics_of(listener)) >= _SUBSCRIPTIONS_MAX:
        raise ValueError("too many subscriptions")

    def wrap(event: Any) -> Any:
        return {"stream": name.text, "data": event} if listener.is_combined else event

    hub.subscribe(name.text, listener, wrap)


class MarketPublisher:
    """Tells the listeners what happens on the markets: trades at once, the rest in its own time."""

    def __init__(self, desk: Desk, hub: Hub) -> None:
        self._desk = desk
        self._hub = hub
        self._depths: dict[str, DepthFeed] = {}
        self._last_klines: dict[str, int] = {}
        self._pulses = 0
        hub.on_new_topic = self._start

    def watched(self) -> set[str]:
        """Give the instruments whose trades somebody wants at once."""
        wanted = set()
        for name in self._names(StreamKind.TRADE, StreamKind.AGGREGATE, StreamKind.BOOK_TICKER):
            instrument_id = self._instrument(name)
            if instrument_id is not None:
                wanted.add(instrument_id)
        return wanted

    def on_trades(self, trades: list[tuple[str, PublicTrade]]) -> None:
        """Tell of trades of watched instruments."""
        now_ms = self._now_ms()
        floor = self._desk.floor
        for instrument_id, trade in trades:
            symbol = floor.names[instrument_id]
            lower = symbol.lower()
            if self._hub.has(f"{lower}@trade"):
                self._hub.publish(f"{lower}@trade", streams.trade_event(symbol, trade, now_ms))
            if self._hub.has(f"{lower}@aggTrade"):
                self._hub.publish(f"{lower}@aggTrade", streams.aggregate_event(symbol, trade, now_ms))
        for instrument_id in dict.fromkeys(instrument_id for instrument_id, _ in trades):
            depth = floor.market(instrument_id).depth
            topic = f"{floor.names[instrument_id].lower()}@bookTicker"
            if self._hub.has(topic):
                event = streams.book_ticker_event(market_answers.book_ticker(depth), depth.update_id)
                self._hub.publish(topic, event)

    def _start(self, topic: str) -> None:
        """Take the state of a book as the base of its changes before the client can ask for a snapshot."""
        name = read_name(topic)
        if name is not None and name.kind is StreamKind.DEPTH and self._desk.is_open:
            instrument_id = self._instrument(name)
            if instrument_id is not None:
                depth = self._desk.floor.market(instrument_id).depth
                self._depths[topic] = DepthFeed(depth.update_id, *_levels(depth))

    async def pulse(self) -> None:
        """Send what is sent every 100 ms, every second, and every two."""
        if not self._desk.is_open:
            return
        self._pulses += 1
        self._send_depths()
        if self._pulses % _TICKERS_EVERY == 0:
            self._send_tickers()
        if self._pulses % _KLINES_EVERY == 0:
            await self._send_klines()

    def _send_depths(self) -> None:
        names = {name.text: name for name in self._names(StreamKind.DEPTH, StreamKind.PARTIAL_DEPTH)}
        for gone in self._depths.keys() - names.keys():
            del self._depths[gone]
        for text, name in names.items():
            instrument_id = self._instrument(name)
            if instrument_id is None:
                continue
            depth = self._desk.floor.market(instrument_id).depth
            if name.levels:
                self._hub.publish(text, market_answers.book(depth, name.levels))
                continue
            feed = self._depths.get(text)
            if feed is None or depth.update_id < feed.update_id:  # the state was read anew
                self._depths[text] = DepthFeed(depth.update_id, *_levels(depth))
            elif depth.update_id > feed.update_id:
                self._hub.publish(text, feed.step(name.symbol, depth.update_id, *_levels(depth), self._now_ms()))

    def _send_tickers(self) -> None:
        floor, now_ms = self._desk.floor, self._now_ms()
        for name in self._names(StreamKind.TICKER, StreamKind.MINI_TICKER):
            instrument_id = self._instrument(name)
            if instrument_id is not None:
                build = streams.ticker_event if name.kind is StreamKind.TICKER else streams.mini_ticker_event
                event = build(floor.market(instrument_id).depth, floor.tape(instrument_id), now_ms)
                self._hub.publish(name.text, event)
        if self._hub.has(streams.ALL_TICKERS):
            rows = [
                streams.mini_ticker_event(floor.market(i).depth, floor.tape(i), now_ms) for i in sorted(floor.names)
            ]
            self._hub.publish(streams.ALL_TICKERS, rows)

    async def _send_klines(self) -> None:
        for name in self._names(StreamKind.KLINE):
            instrument_id = self._instrument(name)
            if instrument_id is None or name.interval is None:
                continue
            bars = await self._desk.klines(instrument_id, name.interval, Page(2))
            last_open = self._last_klines.get(name.text)
            for bar in bars:
                is_closed = bar is not bars[-1]
                if not is_closed or bar.open_ns == last_open:
                    event = streams.kline_event(name.symbol, bar, name.interval, self._now_ms(), is_closed=is_closed)
                    self._hub.publish(name.text, event)
            if bars:
                self._last_klines[name.text] = bars[-1].open_ns

    def _names(self, *kinds: StreamKind) -> list[StreamName]:
        names = [read_name(topic) for topic in self._hub.topics()]
        return [name for name in names if name is not None and name.kind in kinds]

    def _instrument(self, name: StreamName) -> str | None:
        return self._desk.floor.find(name.symbol)

    def _now_ms(self) -> int:
        return self._desk.clock.now_ns() // 1_000_000


def _levels(depth: Depth) -> tuple[Levels, Levels]:
    bids, asks = market_answers.book_sides(depth, _LEVELS_MAX)
    return dict(bids), dict(asks)
