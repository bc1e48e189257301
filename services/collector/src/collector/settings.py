"""Everything the collector reads from its environment."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from sigmax.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """One source of market data per process."""

    service: ClassVar[str] = "collector"

    source: Literal["ccxt", "replay"]
    replay_file: Path | None = None
    """Parquet or CSV, trades or bars; `python -m collector.check FILE` says whether it will do."""
    replay_speed: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """How many times faster than recorded; 0 as fast as it is taken."""
    replay_loop: bool = False
    """At the end begin again, later in market time."""
    replay_run: str = Field(default="default", min_length=1, max_length=100)
    """Names this start of the platform. A recording that was finished under another name begins again."""
    ccxt_exchange: str = Field(default="binance", pattern=r"^[a-z0-9]+$")
    symbols: Annotated[tuple[str, ...], NoDecode] = ()
    """`BTC/USDT,ETH/USDT`: what to watch at the exchange."""
    ccxt_url: str | None = Field(default=None, pattern=r"^https?://")
    """Stands in for the host of all of the exchange's addresses."""
    ccxt_silence_max_s: float = Field(default=60.0, gt=0)
    """A feed on which nothing at all comes for so long is taken for dead and connected anew."""
    ticks_retention_days: int = Field(default=30, ge=0)
    """Days of ticks written longer ago are dropped; 0 keeps all."""

    @field_validator("symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        if self.source == "replay" and self.replay_file is None:
            raise ValueError("SIGMAX_SOURCE=replay needs SIGMAX_REPLAY_FILE, the file to replay")
        if self.source == "ccxt" and not self.symbols:
            raise ValueError("SIGMAX_SOURCE=ccxt needs SIGMAX_SYMBOLS, for example BTC/USDT,ETH/USDT")
        return self
