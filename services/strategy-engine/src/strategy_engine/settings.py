"""What strategy-engine reads from its environment."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.types import Name
from strategy_engine.domain.params import ParamsError
from strategy_engine.domain.spec import ANY, Spec, Status, check_params, check_timeframe

_SEED_IDS = {"ema_cross": "ema-cross", "rsi_reversion": "rsi-reversion", "donchian_breakout": "donchian-breakout"}
_JUDGED_SEEDS = ("rsi_reversion",)


class Settings(ServiceSettings):
    """The seeds apply only while there are no strategies; afterwards people change them through the gateway."""

    service: ClassVar[str] = "strategy-engine"

    seed_account_id: Name = "paper"
    seed_timeframe_s: int = 60
    seed_instruments: tuple[str, ...] = (ANY,)
    seed_params: dict[str, dict[str, str | int | float | None]] = {}
    """By kind: `{"ema_cross": {"fast": 5, "slow": 13}}`; what is not named is the default."""
    signal_valid_s: float = Field(default=10.0, gt=0, le=300)
    """How long after its market event a signal may become an order."""
    judgement_s: float = Field(default=5.0, gt=0, le=60)
    """How long judgement may take."""
    working_margin_s: float = Field(default=30.0, gt=0, le=600)
    """How long after a signal's end to wait for news of its order, if there was none."""
    evaluation_ms: float = Field(default=250.0, gt=0, le=10_000)
    """Processor time a strategy may take for one bar before it is paused."""
    lease_ttl_s: float = Field(default=6.0, ge=2, le=60)
    """How long a dead replica keeps its shards."""
    warm_ticks_s: float = Field(default=900.0, ge=0, le=86_400)
    """How far back ticks are read to warm strategies with bars below a minute."""

    @model_validator(mode="after")
    def _seeds_are_valid(self) -> Self:
        check_timeframe(self.seed_timeframe_s)
        for kind in self.seed_params:
            if kind not in _SEED_IDS:
                raise ValueError(f"seed_params: {kind!r} is none of {', '.join(_SEED_IDS)}")
        try:
            self.seeds()
        except ParamsError as error:
            raise ValueError(f"seed_params: {error}") from None
        return self

    def seeds(self) -> list[Spec]:
        """Give the strategies a new installation begins with."""
        return [
            Spec(
                strategy_id=strategy_id,
                kind=kind,
                version=1,
                status=Status.ACTIVE,
                account_id=self.seed_account_id,
                timeframe_s=self.seed_timeframe_s,
                instruments=self.seed_instruments,
                params=check_params(kind, self.seed_params.get(kind, {})),
                asks_judgement=kind in _JUDGED_SEEDS,
            )
            for kind, strategy_id in _SEED_IDS.items()
        ]
