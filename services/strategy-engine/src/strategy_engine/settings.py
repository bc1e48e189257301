"""What strategy-engine reads from its environment."""

from typing import ClassVar

from pydantic import Field, field_validator

from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.types import Name
from strategy_engine.domain.spec import ANY, Spec, Status, check_params, check_timeframe

_SEED_IDS = {"ema_cross": "ema-cross", "rsi_reversion": "rsi-reversion", "donchian_breakout": "donchian-breakout"}
_JUDGED_SEEDS = ("rsi_reversion",)


class Settings(ServiceSettings):
    """The seeds apply only while there are no strategies; afterwards people change them through the gateway."""

    service: ClassVar[str] = "strategy-engine"

    seed_account_id: Name = "paper"
    seed_timeframe_s: int = 60
    """1 to 60 seconds, or whole minutes."""
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

    @field_validator("seed_timeframe_s")
    @classmethod
    def _bars_can_be_built(cls, timeframe_s: int) -> int:
        return check_timeframe(timeframe_s)

    @field_validator("seed_params")
    @classmethod
    def _kinds_take_their_params(cls, by_kind: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        for kind, params in by_kind.items():
            check_params(kind, params)
        return by_kind

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
