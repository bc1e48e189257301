"""Everything a service reads from its environment; what people change lives in Postgres instead."""

import os
import re
from pathlib import Path
from socket import gethostname
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from sigmax.schemas.topology import owner_of

_PREFIX = "SIGMAX_"
_REPLICA_CHARACTERS_MAX = 40
_REPLICA = rf"^[A-Za-z0-9_.-]{{1,{_REPLICA_CHARACTERS_MAX}}}$"
_SECRETS_DIR = "SIGMAX_SECRETS_DIR"
_SECRETS_DIR_DEFAULT = "/run/secrets"


def replica_of(host: str) -> str:
    """Give the name of the replica on a host: the end of a long name is what tells two pods apart."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", host)[-_REPLICA_CHARACTERS_MAX:] or "0"


class SettingsError(Exception):
    """The environment does not make a service: the text names each variable and what to do."""


class ServiceSettings(BaseSettings):
    """What every service is told: where the servers are, and who it is to them.

    Values come from variables with the prefix `SIGMAX_`, secrets from files of the same name (without the prefix, in
    lower case) in the folder that `SIGMAX_SECRETS_DIR` names.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore")

    service: ClassVar[str]

    replica: str = Field(default_factory=lambda: replica_of(gethostname()), pattern=_REPLICA)
    """Tells replicas apart, stable over restarts: by default the host's name, which is a container's id or a pod's
    name."""
    database_url: str = Field(pattern=r"^postgresql://")
    """`postgresql://host:port/database`; the login is the service's own."""
    rabbitmq_url: str = Field(pattern=r"^amqps?://")
    redis_url: str = Field(pattern=r"^rediss?://")
    database_password: SecretStr
    rabbitmq_password: SecretStr
    redis_password: SecretStr
    database_pool_max: int = Field(default=10, ge=2, le=100)
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=1, le=65535)
    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    otlp_endpoint: str | None = Field(default=None, pattern=r"^(https?://|$)")
    """Where traces go, OTLP over HTTP: `http://jaeger:4318`. Without one none is recorded; the context is carried."""
    trace_ratio: float = Field(default=0.01, ge=0, le=1)
    """The part of all chains, from tick to fill, that is recorded. Give all services the same, or traces have holes."""

    @property
    def owner(self) -> str:
        """Give the service's login, schema, and topic owner."""
        return owner_of(self.service)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment. Raises `SettingsError` that names every bad variable."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            problems = "\n".join(f"  {_problem(part['loc'], part['msg'])}" for part in error.errors())
            secrets_dir = os.environ.get(_SECRETS_DIR, _SECRETS_DIR_DEFAULT)
            raise SettingsError(
                f"{cls.service} cannot start; set these variables, or for passwords and keys the files of the same name"
                f" in {secrets_dir}:\n{problems}"
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read secrets from files whose names carry no prefix: `database_password`."""
        folder = Path(os.environ.get(_SECRETS_DIR, _SECRETS_DIR_DEFAULT))
        files = (SecretsSettingsSource(settings_cls, secrets_dir=folder, env_prefix=""),) if folder.is_dir() else ()
        return (init_settings, *files, env_settings)


def _problem(location: tuple[int | str, ...], message: str) -> str:
    words = message.removeprefix("Value error, ")
    # What is wrong with several together has no location: its words name them.
    return f"{_PREFIX}{'_'.join(map(str, location)).upper()}: {words}" if location else words
