"""What the runtime promises without any server: masking, settings, faults."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis.exceptions
import structlog
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from sigmax.runtime import logs
from sigmax.runtime.database import asyncpg_url
from sigmax.runtime.faults import is_passing
from sigmax.runtime.rabbitmq import UnsupportedServerError, amqp_url, check_server
from sigmax.runtime.settings import ServiceSettings, SettingsError

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
PLANTED = "hunter2-hunter2-hunter2"


class Settings(ServiceSettings):
    service = "risk-gate"


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "fields",
    [
        {"password": PLANTED},
        {"venue_api_key": PLANTED},
        {"headers": {"Authorization": PLANTED}},
        {"value": SecretStr(PLANTED)},
        {"nested": [{"refresh_token": PLANTED}]},
        {"url": f"postgresql://risk_gate:{PLANTED}@127.0.0.1/sigmax"},
        {"text": f"request failed: /api/v3/order?symbol=X&signature={PLANTED}"},
        {"text": f"Authorization: Bearer {PLANTED}"},
        {"error": ValueError(f"cannot log in with password={PLANTED}")},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_planted_secret_never_reaches_the_log(
    fields: dict[str, object], capsys: pytest.CaptureFixture[str], logging_restored: None
) -> None:
    logs.configure("risk-gate", "0", "info")

    structlog.get_logger().info("event", **fields)
    logging.getLogger("a.library").warning("something", extra=fields)

    printed = capsys.readouterr().out
    assert PLANTED not in printed
    assert logs.MASK in printed


def test_a_secret_in_an_exceptions_text_never_reaches_the_log(
    capsys: pytest.CaptureFixture[str], logging_restored: None
) -> None:
    logs.configure("risk-gate", "0", "info")

    try:
        raise ValueError(f"amqp://risk_gate:{PLANTED}@127.0.0.1 refused")
    except ValueError:
        structlog.get_logger().exception("failed")

    printed = capsys.readouterr().out
    assert PLANTED not in printed
    assert "ValueError" in printed


def test_a_log_line_is_json_with_time_in_utc_and_the_service(
    capsys: pytest.CaptureFixture[str], logging_restored: None
) -> None:
    logs.configure("risk-gate", "1", "info")

    structlog.get_logger().info("decided", quantity="1.5")

    line = json.loads(capsys.readouterr().out)
    assert line["event"] == "decided"
    assert line["service"] == "risk-gate"
    assert line["replica"] == "1"
    assert line["timestamp"].endswith("Z")


def test_settings_come_from_variables_and_secret_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("database_password", "rabbitmq_password", "redis_password"):
        (tmp_path / name).write_text(f"{name}-value\n")
    monkeypatch.setenv("SIGMAX_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("SIGMAX_DATABASE_URL", "postgresql://127.0.0.1:5433/sigmax")
    monkeypatch.setenv("SIGMAX_RABBITMQ_URL", "amqp://127.0.0.1:5673/")
    monkeypatch.setenv("SIGMAX_REDIS_URL", "redis://127.0.0.1:6380/0")

    settings = Settings.load()

    assert settings.database_password.get_secret_value() == "database_password-value"
    assert settings.owner == "risk_gate"
    assert "database_password-value" not in repr(settings)


def test_missing_settings_are_all_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMAX_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("SIGMAX_DATABASE_URL", "mysql://nope")
    monkeypatch.delenv("SIGMAX_RABBITMQ_URL", raising=False)

    with pytest.raises(SettingsError) as error:
        Settings.load()

    text = str(error.value)
    assert "SIGMAX_DATABASE_URL" in text
    assert "SIGMAX_RABBITMQ_URL" in text
    assert "SIGMAX_DATABASE_PASSWORD" in text
    assert str(tmp_path) in text


def test_urls_get_the_login_and_odd_characters_survive() -> None:
    assert amqp_url("amqp://127.0.0.1:5673/", "risk_gate", "a/b@c") == (
        "amqp://risk_gate:a%2Fb%40c@127.0.0.1:5673/?heartbeat=10"
    )
    assert asyncpg_url("postgresql://db:5433/sigmax", "risk_gate", "a/b@c").password == "a/b@c"


class _SqlStateError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (redis.exceptions.ConnectionError(), True),
        (OperationalError("select 1", {}, _SqlStateError("57P01")), True),
        (DBAPIError("select 1", {}, _SqlStateError("57014")), True),
        (DBAPIError("select 1", {}, _SqlStateError("25P03")), True),
        (OperationalError("select 1", {}, _SqlStateError("40P01")), True),
        (OperationalError("select 1", {}, _SqlStateError("53300")), True),
        (IntegrityError("insert", {}, _SqlStateError("23505")), False),
        (OperationalError("select 1", {}, _SqlStateError("42P01")), False),
        (ValueError(), False),
    ],
)
def test_only_faults_that_pass_are_waited_out(error: Exception, *, passes: bool) -> None:
    assert is_passing(error) is passes


@pytest.mark.parametrize("version", ["3.10.0", "3.10.8", "3.13.7", "4.0.0", "4.3.1"])
def test_a_broker_that_acts_on_our_queues_arguments_is_taken(version: str) -> None:
    check_server(version)


@pytest.mark.parametrize("version", ["3.9.29", "2.8.7", "", "unknown", "3"])
def test_an_older_broker_or_one_that_says_nothing_is_refused(version: str) -> None:
    with pytest.raises(UnsupportedServerError, match=r"3\.10"):
        check_server(version)
