"""Everything the scheduler reads from the environment."""

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from scheduler.domain.health import HealthLimits
from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.topology import SERVICES


class Settings(ServiceSettings):
    """The defaults suit the services as they come."""

    service: ClassVar[str] = "scheduler"

    expected_services: tuple[str, ...] = SERVICES
    """Whose silence is an alert: a JSON list. Leave out what is not run."""
    tick_interval_s: float = Field(default=1.0, gt=0, le=60)
    heartbeat_age_max_s: float = Field(default=15, gt=0)
    startup_grace_s: float = Field(default=45, ge=0)
    """After its own start, in which nobody is missed."""
    queue_depth_max: int = Field(default=1000, ge=1)
    queue_growing_min: int = Field(default=100, ge=1)
    remind_every_s: float = Field(default=300, gt=0)
    check_age_max_s: float = Field(default=60, gt=0)
    keep_runs_days: int = Field(default=30, ge=1)

    @property
    def health_limits(self) -> HealthLimits:
        """Give the limits of the health check."""
        return HealthLimits(
            heartbeat_age_max=timedelta(seconds=self.heartbeat_age_max_s),
            startup_grace=timedelta(seconds=self.startup_grace_s),
            queue_depth_max=self.queue_depth_max,
            queue_growing_min=self.queue_growing_min,
            remind_every=timedelta(seconds=self.remind_every_s),
        )
