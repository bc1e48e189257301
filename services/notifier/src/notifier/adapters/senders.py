"""The ways to people: the log, a file, and whatever apprise speaks."""

import asyncio
import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import structlog
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.common import PersistentStoreMode

from notifier.domain.notices import Channel, StoredAlert, notice_of
from sigmax.runtime.settings import SettingsError
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()
for _talkative in ("apprise", "urllib3"):  # some services carry their token in the path that these log
    logging.getLogger(_talkative).setLevel(logging.WARNING)

_TYPES = {
    AlertLevel.INFO: NotifyType.INFO,
    AlertLevel.WARNING: NotifyType.WARNING,
    AlertLevel.DANGER: NotifyType.FAILURE,
    AlertLevel.CRITICAL: NotifyType.FAILURE,
}
_LOG_LEVELS = {
    AlertLevel.INFO: "info",
    AlertLevel.WARNING: "warning",
    AlertLevel.DANGER: "error",
    AlertLevel.CRITICAL: "critical",
}


class LogSender:
    """Writes alerts to the service's log."""

    channel = Channel("log")

    async def send(self, alert: StoredAlert) -> str | None:
        """Log the alert at the level that fits."""
        write = getattr(log, _LOG_LEVELS[alert.level])
        write(
            "alert",
            alert_id=str(alert.alert_id),
            code=alert.code,
            subject=alert.subject,
            text=alert.text,
            producer=alert.producer,
            occurrences=alert.occurrences,
        )
        return None


class FileSender:
    """Appends alerts to a file, one JSON object per line."""

    channel = Channel("file")

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, alert: StoredAlert) -> str | None:
        """Append one line; a disk that is full or a folder that is gone is what went wrong."""
        try:
            await asyncio.to_thread(self._append, _line(alert))
        except (OSError, orjson.JSONEncodeError) as error:
            return f"{type(error).__name__}: {error}"
        return None

    def _append(self, line: bytes) -> None:
        # One write in append mode: lines of two replicas that share the file do not mix.
        with self._path.open("ab", buffering=0) as file:
            file.write(line)


class AppriseSender:
    """Sends through one apprise URL. apprise blocks, so each channel has threads of its own."""

    def __init__(self, url: str, line: int, *, level_min: AlertLevel, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._apprise: Any = Apprise(
            asset=AppriseAsset(
                app_id="Sigma-X", app_desc="Sigma-X", app_url="", storage_mode=PersistentStoreMode.MEMORY
            )
        )
        if not self._apprise.add(url):
            scheme = url.split("://", 1)[0] if "://" in url else "no scheme"
            raise SettingsError(
                f"notifier cannot start: line {line} of the secret file `channels` ({scheme[:20]}) is no URL that"
                " apprise understands; see https://appriseit.com for the form of each service"
            )
        service = self._apprise[0]
        scheme = url.split("://", 1)[0].lower()
        # The name stays the same over restarts and tells two channels of one kind apart without their secret.
        self.channel = Channel(f"{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:8]}", level_min)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix=self.channel.name)
        log.info("channel_added", channel=self.channel.name, url=service.url(privacy=True))

    async def send(self, alert: StoredAlert) -> str | None:
        """Send one alert, waiting at most the timeout for the channel's answer."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                is_sent = await loop.run_in_executor(self._threads, self._notify, alert)
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except Exception as error:  # whatever one of 170 services raises must not end the others' loop
            return type(error).__name__
        return None if is_sent else "the service did not take it"

    def close(self) -> None:
        """Let the threads go, without waiting for a channel that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _notify(self, alert: StoredAlert) -> bool:
        notice = notice_of(alert)
        result = self._apprise.notify(
            body=notice.body,
            title=notice.title,
            notify_type=_TYPES[notice.level],
            body_format=NotifyFormat.TEXT,
            interpret_escapes=False,
            timeout=self._timeout_s,
        )
        return bool(result)


def _line(alert: StoredAlert) -> bytes:
    return orjson.dumps(
        {
            "at": alert.last_at,
            "level": alert.level.value,
            "code": alert.code,
            "subject": alert.subject,
            "text": alert.text,
            "values": dict(alert.values),
            "producer": alert.producer,
            "occurrences": alert.occurrences,
            "alert_id": str(alert.alert_id),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
