"""Everything the gateway reads from its environment."""

from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from api_gateway.domain.holders import COOLDOWN, COOLDOWN_MAX
from api_gateway.domain.passwords import weakness
from sigmax.runtime.audit import AuditedSettings

_KEY_BYTES_MIN = 32


class Settings(AuditedSettings):
    """The gateway's addresses, keys, and limits."""

    service: ClassVar[str] = "api-gateway"

    jwt_key: SecretStr
    """Signs access tokens (HS256): a secret file with at least 32 bytes. Changing it signs everybody out."""
    first_admin_password: SecretStr | None = None
    """The password of `admin` on the very first start; without it one is made and printed once."""
    approval_cooldown_s: int = Field(default=int(COOLDOWN.total_seconds()), ge=0, le=int(COOLDOWN_MAX.total_seconds()))
    """How long a login counts as held by who set its password or its rights as well, and so is no second person for
    them. Less than a day holds only while every account is a paper one."""
    origins: tuple[str, ...] = ()
    """Exact origins, beside the gateway's own address, whose pages may call the API and open `/ws`:
    `["https://desk.example"]`."""
    body_bytes_max: int = Field(default=64 * 1024, ge=1024, le=10 * 1024 * 1024)
    requests_per_minute: int = Field(default=600, ge=1)
    """Per user, or per address for who is not signed in."""
    changes_per_minute: int = Field(default=60, ge=1)
    """Per user: commands, users, acknowledgements."""
    login_delay_s: float = Field(default=1.0, ge=0, le=60)
    """Pause after the second failed login of an account from one address; it doubles with each further one."""
    ws_clients_max: int = Field(default=500, ge=1)
    """Live connections of this replica."""
    ws_clients_per_user_max: int = Field(default=10, ge=1)
    ws_pending_max: int = Field(default=1000, ge=10)
    """Events waiting for one slow connection before it is dropped."""
    ws_recheck_s: float = Field(default=300.0, gt=0)
    """How often a live connection's user is looked up again."""
    ticks_interval_s: float = Field(default=0.2, ge=0.02, le=10)
    """Each instrument's newest tick is pushed at most once in this time."""
    events_kept: int = Field(default=10_000, ge=100)
    """Length of the Redis stream that fans events out to all replicas."""

    @field_validator("jwt_key")
    @classmethod
    def _key_is_long(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value().encode()) < _KEY_BYTES_MIN:
            raise ValueError(f"the key has at least {_KEY_BYTES_MIN} bytes: make one with `openssl rand -hex 32`")
        return key

    @field_validator("first_admin_password")
    @classmethod
    def _password_is_strong(cls, password: SecretStr | None) -> SecretStr | None:
        wrong = weakness(password.get_secret_value(), login="admin") if password else None
        if wrong:
            raise ValueError(wrong)
        return password
