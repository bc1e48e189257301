"""What a symbol in a file or at a venue stands for."""

import re
from dataclasses import dataclass

QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "KRW", "EUR", "GBP", "JPY", "TRY", "BTC", "ETH", "BNB")
"""Assets that prices are told in, longest match first where one ends with another."""

_CRYPTO_BASES = frozenset(
    {"BTC", "ETH", "XRP", "ADA", "SOL", "DOGE", "BCH", "LTC", "EOS", "BNB", "XBT", "DOT", "LINK", "AVAX"}
)
_FUTURE_ROOTS = frozenset(
    {"ES", "NQ", "YM", "RTY", "MES", "MNQ", "CL", "NG", "GC", "SI", "HG", "ZN", "ZB", "ZF", "ZT", "ZC", "ZS", "ZW"}
    | {"6E", "6J", "6B"}
)
_KRX_CODE = re.compile(r"\d{6}")
_SHAPE = re.compile(r"[A-Za-z0-9._:/^=-]{1,24}")
_BASE_LENGTH_MIN = 2


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol taken apart: `asset_class` is `crypto`, `equity`, or `future`."""

    base: str
    quote: str
    asset_class: str

    def instrument_id(self, market: str) -> str:
        """Name the instrument on a market: `BTC/USDT@replay`."""
        return f"{self.base}/{self.quote}@{market}"


def parse_symbol(text: str) -> Symbol:
    """Take `BTCUSDT`, `ADA/USDT`, `BTC-PERP`, `SPY`, or `ES` apart.

    A symbol without a known quote is priced in US dollars, a six-digit code of the Korean exchange in won. Raises
    `ValueError` where no instrument id can be made of it.
    """
    symbol = text.strip().upper()
    if not _SHAPE.fullmatch(symbol):
        raise ValueError(f"{text!r} is not a symbol: letters, digits and . - _ / : ^ = only, at most 24 of them")
    if not symbol[0].isalnum():
        raise ValueError(f"{text!r} is not a symbol: it begins with a separator")
    for separator in ("/", "-", "_", ":"):
        base, found, quote = symbol.rpartition(separator)
        if found and base and (quote in QUOTES or separator == "/"):
            return _pair(base.replace("/", "-"), quote, text)
    if symbol.endswith(("-PERP", "_PERP")):
        return Symbol(symbol[:-5], "USD", "crypto")
    for quote in QUOTES:
        base = symbol.removesuffix(quote)
        if base != symbol and len(base) >= _BASE_LENGTH_MIN:
            return Symbol(base, quote, "crypto")
    if _KRX_CODE.fullmatch(symbol):
        return Symbol(symbol, "KRW", "equity")
    plain = symbol.replace("/", "-")
    if not plain[-1].isalnum():
        raise ValueError(f"{text!r} is not a symbol: it ends with a separator")
    if plain in _CRYPTO_BASES:
        return Symbol(plain, "USD", "crypto")
    return Symbol(plain, "USD", "future" if plain in _FUTURE_ROOTS else "equity")


def _pair(base: str, quote: str, text: str) -> Symbol:
    if not quote:
        raise ValueError(f"{text!r} names no quote after its separator")
    asset_class = "equity" if _KRX_CODE.fullmatch(base) else "crypto"
    return Symbol(base, quote, asset_class)
