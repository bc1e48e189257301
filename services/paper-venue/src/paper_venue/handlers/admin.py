"""Control routes for tests, outside `/api`: a client of the venue never meets them."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paper_venue.domain.errors import DialectError
from paper_venue.domain.faults import Fault, FaultKind
from paper_venue.domain.manner import ROWS_MAX
from paper_venue.handlers.calls import Venue
from paper_venue.handlers.market_streams import MarketPublisher
from sigmax.domain.trading_rules import TradingRules
from sigmax.domain.wallet import InsufficientBalanceError
from sigmax.schemas.types import InstrumentId, Name, NonNegative, Number, Price, Quantity, Side


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InstrumentBody(_Body):
    """An instrument to list; its base and quote follow from its id."""

    instrument_id: InstrumentId
    tick_size: Price
    lot_size: Quantity
    quantity_min: NonNegative = Decimal(0)
    notional_min: NonNegative = Decimal(0)
    is_tradable: bool = True


class TradeBody(_Body):
    """A trade of the outside market that happens now."""

    symbol: Name
    price: Price
    quantity: Quantity
    side: Side | None = None


class DepositBody(_Body):
    """Money from outside; a negative amount withdraws."""

    asset: Name
    amount: Number


class FaultBody(_Body):
    """A fault to switch on."""

    kind: FaultKind
    method: str | None = Field(default=None, max_length=10)
    path: str | None = Field(default=None, max_length=200)
    times: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    delay_s: float = Field(default=0, ge=0, le=600)
    status: int = Field(default=503, ge=400, le=599)
    code: int | None = None
    message: str = Field(default="Injected fault.", max_length=200)


class MannerBody(_Body):
    """In what the venue is unlike Binance from now on."""

    client_ids: bool = True
    execution_ids: bool = True
    orders_page_max: int = Field(default=ROWS_MAX, ge=1, le=ROWS_MAX)


async def list_instrument(venue: Venue, request: Request) -> Any:
    """List an instrument or change its rules."""
    body = InstrumentBody.model_validate_json(await request.body())
    base, quote = body.instrument_id.split("@")[0].split("/")
    rules = TradingRules(
        instrument_id=body.instrument_id,
        base=base,
        quote=quote,
        tick_size=body.tick_size,
        lot_size=body.lot_size,
        quantity_min=max(body.quantity_min, body.lot_size),
        notional_min=body.notional_min,
        is_tradable=body.is_tradable,
    )
    await venue.desk.list_instruments([rules])
    return {"symbol": rules.symbol}


async def push_trade(venue: Venue, request: Request) -> Any:
    """Let the outside market trade."""
    body = TradeBody.model_validate_json(await request.body())
    instrument_id, trade = await venue.desk.on_trade(body.symbol, body.price, body.quantity, body.side)
    publisher: MarketPublisher = request.app.state.publisher
    publisher.on_trades([(instrument_id, trade)])
    return {"id": trade.trade_id}


async def deposit(venue: Venue, request: Request) -> Any:
    """Seed a balance."""
    body = DepositBody.model_validate_json(await request.body())
    await venue.desk.deposit(venue.credentials.account_id, body.asset, body.amount, "admin")
    return {}


async def set_manner(venue: Venue, request: Request) -> Any:
    """Keep and tell less of orders than Binance does, or all of it again."""
    body = MannerBody.model_validate_json(await request.body())
    for name, value in body.model_dump().items():
        setattr(venue.desk.manner, name, value)
    return body.model_dump()


async def add_fault(venue: Venue, request: Request) -> Any:
    """Switch a fault on."""
    body = FaultBody.model_validate_json(await request.body())
    venue.faults.add(Fault(**body.model_dump()))
    venue.hub.is_muted = venue.faults.is_mute
    return {}


async def list_faults(venue: Venue, request: Request) -> Any:  # noqa: ARG001 - the shape of every action
    """Give the faults that are switched on."""
    names = Fault.__dataclass_fields__
    return [{name: getattr(fault, name) for name in names} for fault in venue.faults.all()]


async def clear_faults(venue: Venue, request: Request) -> Any:  # noqa: ARG001 - the shape of every action
    """Switch all faults off."""
    venue.faults.clear()
    venue.hub.is_muted = False
    return {}


def _guarded(action: Callable[[Venue, Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        venue: Venue = request.app.state.venue
        if not venue.is_admin_enabled:
            return Response(status_code=404)
        try:
            return _json(await action(venue, request), 200)
        except ValidationError as error:
            return _json({"errors": error.errors(include_url=False, include_context=False, include_input=False)}, 422)
        except InsufficientBalanceError as error:
            return _json({"errors": [str(error)]}, 409)
        except DialectError as error:
            return _json(error.problem.body(), error.problem.status)

    return handle


def _json(body: Any, status: int) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


ROUTES = [
    Route("/admin/instruments", _guarded(list_instrument), methods=["POST"]),
    Route("/admin/trades", _guarded(push_trade), methods=["POST"]),
    Route("/admin/deposits", _guarded(deposit), methods=["POST"]),
    Route("/admin/manner", _guarded(set_manner), methods=["POST"]),
    Route("/admin/faults", _guarded(add_fault), methods=["POST"]),
    Route("/admin/faults", _guarded(list_faults), methods=["GET"]),
    Route("/admin/faults", _guarded(clear_faults), methods=["DELETE"]),
]
