"""Everything llm-controller reads from the environment."""

from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from sigmax.runtime.settings import ServiceSettings

_OPTIONAL = ("model_base_url", "model_name", "model_input_usd_per_mtok", "model_output_usd_per_mtok")


class Settings(ServiceSettings):
    """Without `model_base_url` and `model_name` no model is asked, and the local policy judges."""

    service: ClassVar[str] = "llm-controller"

    model_base_url: str | None = Field(default=None, pattern=r"^https?://")
    """Any endpoint that speaks the OpenAI chat API, for example `http://localhost:11434/v1`."""
    model_name: str | None = Field(default=None, max_length=64)
    model_api_key: SecretStr | None = None
    """Secret file `model_api_key`; endpoints of one's own often need none."""
    model_input_usd_per_mtok: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)
    """USD per million tokens; 0 for a model of one's own. Needed with a model, or no budget could be kept."""
    model_output_usd_per_mtok: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)
    model_timeout_s: float = Field(default=2.0, gt=0, le=120)
    model_temperature: float | None = Field(default=0.0, ge=0, le=2)
    """`none` leaves it out: some models refuse it."""
    model_max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How the endpoint calls the limit of the answer."""
    model_output_tokens_max: int = Field(default=600, ge=50, le=20_000)
    max_tokens_per_day: int = Field(default=2_000_000, ge=0)
    max_cost_usd_per_day: Decimal = Field(default=Decimal(5), ge=0, allow_inf_nan=False)
    local_strength_min: Decimal = Field(default=Decimal("0.05"), ge=0, le=1, allow_inf_nan=False)
    """The local policy rejects weaker signals."""

    @field_validator(*_OPTIONAL, mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        # Compose files pass on variables that are not set as empty texts.
        return None if value == "" else value

    @field_validator("model_temperature", mode="before")
    @classmethod
    def _none_is_left_out(cls, value: Any) -> Any:
        return None if value == "none" else value

    @model_validator(mode="after")
    def _model_is_whole(self) -> Self:
        if (self.model_base_url is None) != (self.model_name is None):
            raise ValueError("a model needs both SIGMAX_MODEL_BASE_URL and SIGMAX_MODEL_NAME")
        if self.model_name and (self.model_input_usd_per_mtok is None or self.model_output_usd_per_mtok is None):
            raise ValueError(
                "a model needs its prices, or the day's budget cannot be kept: set SIGMAX_MODEL_INPUT_USD_PER_MTOK and"
                " SIGMAX_MODEL_OUTPUT_USD_PER_MTOK (0 for a model of your own)"
            )
        return self
