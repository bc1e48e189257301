"""What the containers of compose.yaml are given: made once, readable by their processes, without a default password."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigmax.runtime.rights import ADMIN, MIGRATOR, OWNERS
from sigmax.schemas.topology import REACH, SERVICES, owner_of
from sigmax_local.feed import Feed
from sigmax_local.servers.__main__ import app
from sigmax_local.servers.containers import (
    feed_variables,
    read_variables,
    set_variables,
    write_environment,
    write_secrets,
)


def _contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def _replay(file: Path) -> Feed:
    collector = {"source": "replay", "replay_file": str(file), "replay_speed": "20", "replay_loop": "true"}
    return Feed("file", "a recording", "USDT", collector, timeframe_s=3)


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    write_secrets(tmp_path / "compose")
    before = _contents(tmp_path)
    write_secrets(tmp_path / "compose")
    assert _contents(tmp_path) == before


def test_a_lost_file_comes_back_with_the_same_secrets(tmp_path: Path) -> None:
    write_secrets(tmp_path / "compose")
    before = _contents(tmp_path)
    for name in ("postgres/postgres_superuser", "redis/users.acl", "rabbitmq/definitions.json"):
        (tmp_path / "compose" / name).unlink()
    write_secrets(tmp_path / "compose")
    assert _contents(tmp_path) == before


def test_every_service_has_its_secrets_and_the_jobs_have_those_of_the_servers(tmp_path: Path) -> None:
    files = _contents(write_secrets(tmp_path).folder)
    given_by_people = {"model_api_key", "channels"}
    for service in SERVICES:
        for name in ("database_password", "rabbitmq_password", "redis_password", *REACH[service].secrets):
            assert (f"{owner_of(service)}/{name}" in files) == (name not in given_by_people)
    for name in ("postgres_superuser", "postgres_migrator", "rabbitmq_admin", "redis_admin"):
        assert files[f"servers/{name}"]
    assert MIGRATOR not in OWNERS


def test_the_servers_start_with_their_administrator_alone(tmp_path: Path) -> None:
    write_secrets(tmp_path)
    files = _contents(tmp_path)
    definitions = json.loads(files["rabbitmq/definitions.json"])
    assert [user["name"] for user in definitions["users"]] == [ADMIN]
    assert set(definitions) == {"vhosts", "users", "permissions"}
    assert [line.split()[1:3] for line in files["redis/users.acl"].splitlines()] == [["default", "off"], [ADMIN, "on"]]


def test_containers_can_read_their_files_and_other_people_cannot_reach_them(tmp_path: Path) -> None:
    folder = tmp_path / "compose"
    write_secrets(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_two_folders_share_no_password(tmp_path: Path) -> None:
    one, other = (set(_contents(write_secrets(tmp_path / name).folder).values()) for name in "ab")
    assert not one & other


def test_services_share_the_approval_key_and_the_key_of_the_paper_venue_alone(tmp_path: Path) -> None:
    files = _contents(write_secrets(tmp_path).folder)
    of_services = {name: text for name, text in files.items() if not name.startswith("order_worker_live/")}
    holders: dict[str, set[str]] = {}
    for name, text in of_services.items():
        holders.setdefault(text, set()).add(name)
    assert sorted(map(sorted, (names for names in holders.values() if len(names) > 1))) == [
        ["order_worker/approval_key", "risk_gate/approval_key"],
        ["order_worker/venue_api_key", "paper_venue/venue_api_key"],
        ["order_worker/venue_api_secret", "paper_venue/venue_api_secret"],
    ]


def test_the_live_worker_has_a_venue_key_only_when_a_person_gave_one(tmp_path: Path) -> None:
    live = write_secrets(tmp_path / "compose").folder / "order_worker_live"
    assert "venue_api_key" not in _contents(live)
    given = tmp_path / "given" / "order_worker_live"
    given.mkdir(parents=True)
    (given / "venue_api_key").write_text("the key\n", encoding="utf-8")
    write_secrets(tmp_path / "compose")
    assert _contents(live)["venue_api_key"] == "the key"
    assert _contents(live)["database_password"] == _contents(live.parent / "order_worker")["database_password"]


def test_the_environment_keeps_the_lines_of_people(tmp_path: Path) -> None:
    variables = tmp_path / ".env"
    variables.write_text("# ours\nPOSTGRES_IMAGE=mine\nCOMPOSE_PROFILES=paper,observability\n", encoding="utf-8")
    write_environment(variables, tmp_path, None)
    text = variables.read_text(encoding="utf-8")
    assert text.startswith("# ours\nPOSTGRES_IMAGE=mine\nCOMPOSE_PROFILES=paper,observability\n")
    assert read_variables(variables)["SIGMAX_COMPOSE_DIR"] == str(tmp_path)


def test_a_recording_is_named_as_the_container_sees_it(tmp_path: Path) -> None:
    recording = tmp_path / "trades.csv"
    recording.touch(mode=0o644)
    variables = feed_variables(_replay(recording))
    assert variables["SIGMAX_REPLAY_FILE"] == "/recordings/trades.csv"
    assert variables["SIGMAX_RECORDINGS"] == str(tmp_path)
    assert variables["SIGMAX_SEED_TIMEFRAME_S"] == "3"


def test_a_recording_that_the_container_cannot_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    recording = tmp_path / "trades.csv"
    recording.touch(mode=0o600)
    with pytest.raises(PermissionError, match="chmod o\\+r"):
        feed_variables(_replay(recording))


def test_values_with_quotes_and_spaces_survive(tmp_path: Path) -> None:
    values = {"A": '{"order_notional_max": "25000"}', "B": "a folder/with spaces"}
    set_variables(tmp_path / ".env", values)
    assert read_variables(tmp_path / ".env") == values


def test_a_bad_speed_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    words = ["secrets", str(tmp_path / "compose"), "--env-file", str(tmp_path / ".env"), "--speed", "-1"]
    done = CliRunner().invoke(app, [*words, "--source", "sample"])
    assert done.exit_code == 1
    assert "above 0" in done.output
    assert not (tmp_path / "compose").exists()
