"""Everything the notifier reads from the environment."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.types import AlertLevel


class Settings(ServiceSettings):
    """Without any of these, alerts go to the log and are stored."""

    service: ClassVar[str] = "notifier"

    channels: SecretStr | None = None
    """Secret file `channels`: one apprise URL per line; empty lines and lines that begin with # are skipped."""
    channel_level_min: AlertLevel = AlertLevel.INFO
    """What is less urgent goes to the log and the file alone."""
    alert_file: Path | None = None
    """Where alerts are appended, one JSON object per line."""
    dedupe_window_s: float = Field(default=300, ge=0)
    audit_heads_interval_s: float = Field(default=86_400, ge=0)
    """Between two heads of one service's audit chain that the channels bring; the log has every one."""
    send_timeout_s: float = Field(default=4.0, gt=0, le=60)
    dispatch_interval_s: float = Field(default=0.5, gt=0, le=5)

    @property
    def channel_urls(self) -> list[str]:
        """Give the channels' URLs, which are secrets."""
        text = self.channels.get_secret_value() if self.channels else ""
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]
