"""Everything risk-gate reads from the environment."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from risk_gate.domain.exits import ExitPolicy, ExitRules
from risk_gate.domain.limits import START_LIMITS, RiskLimits
from risk_gate.domain.situation import Account
from sigmax.domain.approval import KEY_BYTES_MIN
from sigmax.runtime.audit import AuditedSettings
from sigmax.schemas.types import Mode, Name


class Settings(AuditedSettings):
    """The account this gate guards, and the key it signs with."""

    service: ClassVar[str] = "risk-gate"

    account_id: Name = "paper"
    venue: Name = "paper"
    account_mode: Mode = Mode.PAPER
    """Live is asked for by name."""
    account_currency: Name = "USDT"
    """Instruments quoted in another currency are not traded."""
    approval_key: SecretStr
    """Known to risk-gate and order-worker alone; at least 32 bytes."""
    approval_lifetime_s: float = Field(default=15.0, gt=0, le=300)
    judgement_grace_s: float = Field(default=1.0, ge=0, le=60)
    market_timeout_s: float = Field(default=0.5, gt=0, le=5)
    """For one look at Redis: the account is locked meanwhile."""
    exit_policy: ExitPolicy = ExitPolicy.IMMEDIATE
    """Whether a protective exit asks llm-controller first."""
    exit_vote_s: float = Field(default=2.0, gt=0, le=60)
    """How long it waits for the answer; none means go."""
    exit_retry_s: float = Field(default=2.0, ge=0.5, le=30)
    """From one attempt to close a position to the next."""
    exit_slippage_max_pct: Decimal = Field(default=Decimal(5), gt=0, le=50)
    """How far the best bid may lie below the last trade for an exit without a limit."""
    resting_stops: bool = True
    """The venue has stop orders, and one rests there for each position; False for a venue without them."""
    flatten_s: float = Field(default=60.0, ge=1, le=3600)
    """After which a flatten says what is left."""
    ladder_liquidates: bool = True
    """Whether the failure ladder sells what is held, or only stops adding to it."""
    ladder_gap_floor_s: int = Field(default=0, ge=0, le=86_400)
    """No shorter gap in the feed counts. Above 0 only where a recording is played faster than it was made."""
    start_limits: dict[str, Any] = Field(default_factory=dict)
    """JSON: limits that differ from the cautious start values when the account is first made."""

    @field_validator("approval_key")
    @classmethod
    def _is_long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value().encode()) < KEY_BYTES_MIN:
            raise ValueError(f"must have at least {KEY_BYTES_MIN} bytes; make one with: openssl rand -hex 32")
        return key

    @model_validator(mode="after")
    def _limits_are_limits(self) -> Self:
        self.limits_at_start()
        return self

    @model_validator(mode="after")
    def _live_is_blind_to_no_gap(self) -> Self:
        if self.account_mode is Mode.LIVE and self.ladder_gap_floor_s:
            raise ValueError("ladder_gap_floor_s is for recordings that are played fast: a live account has it at 0")
        return self

    def limits_at_start(self) -> RiskLimits:
        """Give the limits of a new account. Raises `ValueError` for names or values that are none."""
        unknown = sorted(set(self.start_limits) - set(RiskLimits.model_fields))
        if unknown:
            raise ValueError(f"start_limits names no limit of ours: {', '.join(unknown)}")
        return RiskLimits.model_validate({**START_LIMITS.model_dump(), **self.start_limits, "version": 1})

    @property
    def account(self) -> Account:
        """Give the account as it is when first made: never reconciled."""
        return Account(self.account_id, self.venue, self.account_mode, self.account_currency)

    @property
    def approval_lifetime(self) -> timedelta:
        """Say how long order-worker may send what was approved."""
        return timedelta(seconds=self.approval_lifetime_s)

    @property
    def exit_rules(self) -> ExitRules:
        """Say how hard an exit tries, and how long it waits for others."""
        return ExitRules(
            policy=self.exit_policy,
            vote=timedelta(seconds=self.exit_vote_s),
            retry=timedelta(seconds=self.exit_retry_s),
            slippage_max_pct=self.exit_slippage_max_pct,
            rests_stops=self.resting_stops,
            flatten=timedelta(seconds=self.flatten_s),
        )

    @property
    def judgement_grace(self) -> timedelta:
        """Say how long after its deadline a decision may still arrive."""
        return timedelta(seconds=self.judgement_grace_s)
