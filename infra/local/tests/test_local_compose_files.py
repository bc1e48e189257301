"""What the containers of compose.yaml are given: made once, readable by their servers, without a default password."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigmax.runtime.rights import ADMIN, MIGRATOR, OWNERS
from sigmax_local.servers import Addresses
from sigmax_local.servers.__main__ import app
from sigmax_local.servers.containers import write_files


def _contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    first = write_files(tmp_path / "compose", tmp_path / ".env")
    before = _contents(tmp_path)
    assert write_files(tmp_path / "compose", tmp_path / ".env") == first
    assert _contents(tmp_path) == before


def test_a_lost_file_comes_back_with_the_same_secrets(tmp_path: Path) -> None:
    write_files(tmp_path / "compose", tmp_path / ".env")
    before = _contents(tmp_path)
    for name in ("postgres/init/roles.sql", "redis/conf/users.acl", "rabbitmq/definitions.json"):
        (tmp_path / "compose" / name).unlink()
    write_files(tmp_path / "compose", tmp_path / ".env")
    assert _contents(tmp_path) == before


def test_every_login_of_the_platform_is_on_its_servers(tmp_path: Path) -> None:
    write_files(tmp_path / "compose", tmp_path / ".env")
    files = _contents(tmp_path / "compose")
    users = {user["name"] for user in json.loads(files["rabbitmq/definitions.json"])["users"]}
    assert users == {*OWNERS, ADMIN}
    assert all(f"user {login} on #" in files["redis/conf/users.acl"] for login in (*OWNERS, ADMIN))
    assert f"ALTER ROLE {MIGRATOR} WITH LOGIN NOSUPERUSER" in files["postgres/init/roles.sql"]


def test_containers_can_read_their_files_and_other_people_cannot_reach_them(tmp_path: Path) -> None:
    folder = tmp_path / "compose"
    write_files(folder, tmp_path / ".env")
    assert folder.stat().st_mode & 0o777 == 0o700
    for server in ("postgres", "redis", "rabbitmq"):
        for path in (folder / server, *(folder / server).rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    secret = folder / "secrets" / "risk_gate" / "approval_key"
    assert secret.stat().st_mode & 0o777 == 0o600


def test_two_folders_share_no_password(tmp_path: Path) -> None:
    one = write_files(tmp_path / "one", tmp_path / "one.env").secrets
    other = write_files(tmp_path / "other", tmp_path / "other.env").secrets
    passwords = [
        password
        for store in (one, other)
        for of_server in (store.database_passwords(), store.rabbitmq_passwords(), store.redis_passwords())
        for password in of_server.values()
    ]
    assert len(set(passwords)) == len(passwords)


def test_other_lines_of_the_env_file_are_kept(tmp_path: Path) -> None:
    variables = tmp_path / ".env"
    variables.write_text("REDIS_IMAGE=mine/redis:8\nSIGMAX_REDIS_PORT=1\n", encoding="utf-8")
    addresses = write_files(tmp_path / "compose", variables)
    lines = variables.read_text(encoding="utf-8").splitlines()
    assert "REDIS_IMAGE=mine/redis:8" in lines
    assert [line for line in lines if line.startswith("SIGMAX_REDIS_PORT=")] == [
        f"SIGMAX_REDIS_PORT={addresses.ports.redis}"
    ]


@pytest.mark.parametrize(("version", "is_known"), [("7.0", False), ("7.2", True), ("8.0", True)])
def test_an_older_redis_is_told_of_no_command_that_it_does_not_know(
    tmp_path: Path, version: str, *, is_known: bool
) -> None:
    folder = tmp_path / "compose"
    told = ["files", str(folder), "--env-file", str(tmp_path / ".env"), "--redis-version", version]
    assert CliRunner().invoke(app, told).exit_code == 0
    assert ("client|setinfo" in (folder / "redis/conf/users.acl").read_text(encoding="utf-8")) is is_known
    assert Addresses.load(folder / "state.json").folder == folder


def test_a_version_that_is_none_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    told = ["files", str(tmp_path / "compose"), "--env-file", str(tmp_path / ".env"), "--redis-version", "latest"]
    assert CliRunner().invoke(app, told).exit_code == 1
    assert list(tmp_path.iterdir()) == []
