"""The notifier as a process over real servers, with apprise's json:// channel to a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sigmax.schemas.control import Alert, AuditHead, StageChanged
from sigmax.schemas.types import AlertLevel, Scope, Stage

pytestmark = pytest.mark.integration

PASSWORD = "planted-channel-password"


class Hook:
    """An HTTP server that takes notices, or refuses them for a while."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []
        self.refused = 0
        self.refusals_left = 0
        self.is_mute = False
        self._released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.is_mute:
                    hook._released.wait(60)
                if hook.refusals_left > 0:
                    hook.refusals_left -= 1
                    hook.refused += 1
                    self.send_error(503)
                    return
                hook.notices.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://ada:{PASSWORD}@127.0.0.1:{self._server.server_port}/hook"

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def an_alert(key: str = "1", level: AlertLevel = AlertLevel.DANGER, dedupe_key: str = "feed_gap") -> Alert:
    return Alert(
        **Alert.first(key, datetime.now(UTC)),
        producer="collector",
        level=level,
        code="feed_gap",
        subject="BTC/USDT@binance",
        text=f"No ticks ({key}).",
        values={"seconds": "31"},
        dedupe_key=dedupe_key,
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_an_alert_reaches_table_log_file_and_channel(
    world: Any, run_service: Any, hook: Hook, tmp_path: Path
) -> None:
    path = tmp_path / "alerts.jsonl"
    async with run_service("notifier", channels=hook.url, alert_file=str(path)) as notifier:
        await world.publish(an_alert())
        await world.until_true(lambda: bool(hook.notices and lines_of(path)))
        sent = "SELECT count(*) = 3 FROM notifier.deliveries WHERE state = 'sent'"
        await world.until(lambda: world.database.fetchval(sent))
        log = notifier.log.read_text()

    assert hook.notices[0]["title"] == "[DANGER] BTC/USDT@binance: feed_gap"
    assert "No ticks (1)." in hook.notices[0]["message"]
    assert lines_of(path)[0]["code"] == "feed_gap"
    assert '"No ticks (1)."' in log
    assert PASSWORD not in log
    stored = await world.database.fetchrow(
        "SELECT level, occurrences, \"values\"->>'seconds' AS seconds FROM notifier.alerts"
    )
    assert tuple(stored) == ("danger", 1, "31")


async def test_repeats_are_one_alert_with_a_count_and_an_escalation_is_told(world: Any, start: Any, hook: Hook) -> None:
    async with start(channels=hook.url):
        for key in "123":
            await world.publish(an_alert(key, AlertLevel.WARNING))
        counted = "SELECT occurrences = 3 FROM notifier.alerts"
        await world.until(lambda: world.database.fetchval(counted))
        await world.until_true(lambda: bool(hook.notices))
        await world.publish(an_alert("4", AlertLevel.CRITICAL))
        await world.until_true(lambda: len(hook.notices) >= 2)

    assert [notice["type"] for notice in hook.notices] == ["warning", "failure"]
    assert await world.database.fetchval("SELECT count(*) FROM notifier.alerts") == 1


async def test_two_replicas_and_a_redelivery_make_one_alert_and_one_notice(world: Any, start: Any, hook: Hook) -> None:
    settings = {"channels": hook.url}
    async with start(replica="a", **settings), start(replica="b", **settings):
        for _ in range(5):
            await world.publish(an_alert())
        for key in range(5):
            await world.publish(an_alert(f"other{key}"))
        counted = "SELECT occurrences = 6 FROM notifier.alerts"
        await world.until(lambda: world.database.fetchval(counted))
        await world.until_true(lambda: bool(hook.notices))
        pending = "SELECT count(*) = 0 FROM notifier.deliveries WHERE state = 'pending'"
        await world.until(lambda: world.database.fetchval(pending))
    assert len(hook.notices) == 1


async def test_a_channel_that_refuses_is_tried_again(world: Any, start: Any, hook: Hook) -> None:
    hook.refusals_left = 2
    async with start(channels=hook.url):
        await world.publish(an_alert())
        await world.until_true(lambda: bool(hook.notices))
        sent = "SELECT attempts FROM notifier.deliveries WHERE state = 'sent' AND channel LIKE 'json-%'"
        attempts = await world.until(lambda: world.database.fetchval(sent))
    assert (hook.refused, attempts) == (2, 3)


async def test_a_mute_channel_holds_up_no_other(world: Any, start: Any, hook: Hook) -> None:
    mute = Hook()
    mute.is_mute = True
    try:
        async with start(channels=f"# first\n{mute.url}\n\n{hook.url}\n", send_timeout_s="2"):
            for key in range(4):
                await world.publish(an_alert(str(key), dedupe_key=str(key)))
            await world.until_true(lambda: len(hook.notices) == 4)
            noted = "SELECT count(*) >= 1 FROM notifier.deliveries WHERE state = 'pending' AND last_error IS NOT NULL"
            await world.until(lambda: world.database.fetchval(noted))
    finally:
        mute.close()


async def test_an_alert_is_stored_while_every_channel_is_down(world: Any, start: Any, tmp_path: Path) -> None:
    settings = {"channels": "json://127.0.0.1:9/", "alert_file": str(tmp_path / "gone" / "alerts.jsonl")}
    async with start(**settings):
        await world.publish(an_alert())
        failing = "SELECT count(*) = 2 FROM notifier.deliveries WHERE last_error IS NOT NULL AND state = 'pending'"
        await world.until(lambda: world.database.fetchval(failing))
    assert await world.database.fetchval("SELECT count(*) FROM notifier.alerts") == 1


async def test_an_alert_on_its_way_when_the_notifier_is_killed_is_sent_by_the_next(
    world: Any, run_service: Any, hook: Hook
) -> None:
    hook.refusals_left = 1
    async with run_service("notifier", channels=hook.url) as first:
        await world.publish(an_alert())
        await world.until_true(lambda: hook.refused == 1)
        await world.until(
            lambda: world.database.fetchval("SELECT count(*) > 0 FROM notifier.deliveries WHERE last_error IS NOT NULL")
        )
        await first.kill()
    async with run_service("notifier", channels=hook.url):
        await world.until_true(lambda: bool(hook.notices))


async def test_a_halt_is_told_once_though_the_stage_is_repeated(world: Any, start: Any, hook: Hook) -> None:
    async with start(channels=hook.url):
        for turn in range(3):
            change = StageChanged(
                **StageChanged.first(f"halt{turn}", datetime.now(UTC)),
                scope=Scope.GLOBAL,
                scope_id="global",
                from_stage=Stage.NORMAL,
                to_stage=Stage.HALTED,
                version=2,
                changed_by="ada",
                reason="fire drill",
            )
            await world.publish(change)
        handled = "SELECT count(*) = 3 FROM notifier.inbox"
        await world.until(lambda: world.database.fetchval(handled))
        await world.until_true(lambda: bool(hook.notices))
    assert ["fire drill" in notice["message"] for notice in hook.notices] == [True]


async def test_hostile_text_is_stored_and_shown_without_what_is_hidden_in_it(
    world: Any, start: Any, hook: Hook
) -> None:
    hostile = an_alert().model_copy(update={"text": "a\x00b\u202ec <script>", "dedupe_key": "k\x00"})
    async with start(channels=hook.url):
        await world.publish(hostile)
        await world.until_true(lambda: bool(hook.notices))
    assert hook.notices[0]["message"].startswith("a b c <script>")


async def test_a_line_that_is_no_channel_is_named_at_start_without_its_secret(
    service_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from notifier.adapters.senders import AppriseSender
    from notifier.settings import Settings
    from sigmax.runtime.settings import SettingsError

    for name, value in service_env("notifier", channels="nosuch://secret-token@x").items():
        monkeypatch.setenv(name, value)
    (url,) = Settings.load().channel_urls
    with pytest.raises(SettingsError, match="line 1") as refused:
        AppriseSender(url, 1, level_min=AlertLevel.INFO, timeout_s=1)
    assert "secret-token" not in str(refused.value)


async def test_a_head_of_an_audit_chain_leaves_through_the_log_and_the_channel_and_stays(
    world: Any, run_service: Any, hook: Hook
) -> None:
    now = datetime.now(UTC)
    head = AuditHead(
        **AuditHead.first("7", now), producer="risk_gate", position=7, hash="ab" * 32, at=now, signature="cd" * 32
    )
    async with run_service("notifier", channels=hook.url) as notifier:
        await world.publish(head)
        await world.until_true(lambda: bool(hook.notices))
        await world.until_true(lambda: '"audit_head"' in notifier.log.read_text())
        log = notifier.log.read_text()

    assert "ab" * 32 in hook.notices[0]["message"]
    assert "cd" * 32 in log
    stored = await world.database.fetchrow("SELECT owner, position, hash, signature, is_told FROM notifier.audit_heads")
    assert tuple(stored) == ("risk_gate", 7, "ab" * 32, "cd" * 32, True)
