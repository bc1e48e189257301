"""Market data in the dialect."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from paper_venue.domain.intervals import Interval
from paper_venue.domain.limits import RateLimits
from paper_venue.domain.orders import KINDS, decimals_of, number
from paper_venue.domain.tape import Kline, PublicTrade, Tape
from sigmax.domain.depth import Depth, Level
from sigmax.domain.trading_rules import TradingRules
from sigmax.schemas.types import Side

_ZERO = Decimal(0)
_DAY_MS = 86_400_000


def exchange_info(rules: Iterable[TradingRules], limits: RateLimits, now_ms: int) -> dict[str, Any]:
    """Say what is traded here, and how."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": rate_limits(limits),
        "exchangeFilters": [],
        "symbols": [_symbol(each) for each in rules],
    }


def rate_limits(limits: RateLimits) -> list[dict[str, Any]]:
    """Give the limits of an address and of an account."""
    return [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limits.weight_1m},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": limits.orders_10s},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": limits.orders_1d},
    ]


def _symbol(rules: TradingRules) -> dict[str, Any]:
    base, quote = decimals_of(rules.lot_size), decimals_of(rules.tick_size)
    return {
        "symbol": rules.symbol,
        "status": "TRADING" if rules.is_tradable else "BREAK",
        "baseAsset": rules.base,
        "baseAssetPrecision": base,
        "quoteAsset": rules.quote,
        "quotePrecision": quote,
        "quoteAssetPrecision": quote,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(KINDS),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
        "filters": _filters(rules),
    }


def _filters(rules: TradingRules) -> list[dict[str, Any]]:
    lot = {
        "minQty": number(rules.quantity_min),
        "maxQty": number(rules.quantity_max),
        "stepSize": number(rules.lot_size),
    }
    up, down = number(rules.price_factor_max), number(1 / rules.price_factor_max)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": number(rules.tick_size),
            "maxPrice": number(rules.price_max),
            "tickSize": number(rules.tick_size),
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {
            "filterType": "NOTIONAL",
            "minNotional": number(rules.notional_min),
            "applyMinToMarket": True,
            "maxNotional": number(rules.notional_max),
            "applyMaxToMarket": True,
            "avgPriceMins": 0,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.orders_open_max},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": rules.stops_open_max},
    ]


def book_sides(depth: Depth, limit: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Give bids and asks, best first, as price and quantity texts."""
    bids = [(number(price), number(quantity)) for price, quantity in depth.levels(Side.SELL)]
    asks = [(number(price), number(quantity)) for price, quantity in depth.levels(Side.BUY)]
    return bids[:limit], asks[:limit]


def book(depth: Depth, limit: int) -> dict[str, Any]:
    """Give a snapshot of the book; its id continues in the depth stream."""
    bids, asks = book_sides(depth, limit)
    return {"lastUpdateId": depth.update_id, "bids": bids, "asks": asks}


def book_ticker(depth: Depth) -> dict[str, str]:
    """Give the best bid and ask; zeros where there is none."""
    bid, ask = _best(depth, Side.SELL), _best(depth, Side.BUY)
    return {
        "symbol": depth.rules.symbol,
        "bidPrice": number(bid.price),
        "bidQty": number(bid.quantity),
        "askPrice": number(ask.price),
        "askQty": number(ask.quantity),
    }


def _best(depth: Depth, taker: Side) -> Level:
    return next(depth.levels(taker), Level(_ZERO, _ZERO))


def ticker_24h(depth: Depth, tape: Tape, now_ms: int) -> dict[str, Any]:
    """Give the last day of market time."""
    day = tape.day() or Kline(0, _ZERO, _ZERO, _ZERO, _ZERO)
    last = tape.trades[-1] if tape.trades else None
    first_id = max(1, tape.next_trade_id - day.trades)
    change = day.close - day.open
    closed_ms = last.ts_ns // 1_000_000 if last else now_ms
    quotes = book_ticker(depth)
    return quotes | {
        "priceChange": number(change),
        "priceChangePercent": f"{change / day.open * 100 if day.open else _ZERO:.3f}",
        "weightedAvgPrice": number(_ratio(day.quote_volume, day.volume)),
        "prevClosePrice": number(day.open),
        "lastPrice": number(day.close),
        "lastQty": number(last.quantity if last else _ZERO),
        "openPrice": number(day.open),
        "highPrice": number(day.high),
        "lowPrice": number(day.low),
        "volume": number(day.volume),
        "quoteVolume": number(day.quote_volume),
        "openTime": closed_ms - _DAY_MS,
        "closeTime": closed_ms,
        "firstId": first_id,
        "lastId": tape.next_trade_id - 1,
        "count": day.trades,
    }


def average_price(tape: Tape, depth: Depth, now_ms: int) -> dict[str, Any]:
    """Give the last price: notionals here are held against it, not against an average."""
    closed_ms = tape.trades[-1].ts_ns // 1_000_000 if tape.trades else now_ms
    return {"mins": 0, "price": number(depth.last or _ZERO), "closeTime": closed_ms}


def trade_row(trade: PublicTrade) -> dict[str, Any]:
    """Give one row of `trades`."""
    return {
        "id": trade.trade_id,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.price * trade.quantity),
        "time": trade.ts_ns // 1_000_000,
        "isBuyerMaker": trade.is_buyer_maker,
        "isBestMatch": True,
    }


def aggregate_row(trade: PublicTrade) -> dict[str, Any]:
    """Give one row of `aggTrades`: here each trade stands for itself."""
    return {
        "a": trade.trade_id,
        "p": number(trade.price),
        "q": number(trade.quantity),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.ts_ns // 1_000_000,
        "m": trade.is_buyer_maker,
        "M": True,
    }


def close_ms(bar: Kline, interval: Interval) -> int:
    """Give the last millisecond of a bar; a month counts 31 days at most."""
    seconds = interval.seconds or 31 * 86_400
    return bar.open_ns // 1_000_000 + seconds * 1000 - 1


def kline_row(bar: Kline, interval: Interval) -> list[Any]:
    """Give one row of `klines`."""
    return [
        bar.open_ns // 1_000_000,
        number(bar.open),
        number(bar.high),
        number(bar.low),
        number(bar.close),
        number(bar.volume),
        close_ms(bar, interval),
        number(bar.quote_volume),
        bar.trades,
        number(bar.taker_volume),
        number(bar.taker_quote_volume),
        "0",
    ]


def _ratio(above: Decimal, below: Decimal) -> Decimal:
    return (above / below).quantize(Decimal("0.00000001")) if below else _ZERO
