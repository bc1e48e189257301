"""Backups: what one is, and what is refused."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sigmax_local.compose import Compose, ComposeError
from sigmax_local.environment import repository
from sigmax_local.operations.backup import write_backup
from sigmax_local.operations.database import DatabaseError, OnThisMachine, query
from sigmax_local.operations.manifest import BackupError, Manifest, check_content, path_of
from sigmax_local.operations.restore import check_revisions
from sigmax_local.servers import Addresses

_MANIFEST = Manifest(
    made_at=datetime(2026, 1, 5, 12, tzinfo=UTC),
    version="0.1.0",
    postgres="17.2",
    revisions={"risk_gate": "0001"},
    extensions={},
    bytes=3,
    sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
)


def test_a_manifest_is_read_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    _MANIFEST.save(tmp_path / "a.backup")

    assert Manifest.load(tmp_path / "a.backup") == _MANIFEST
    assert stat.S_IMODE(path_of(tmp_path / "a.backup").stat().st_mode) == 0o600


def test_a_backup_without_its_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.backup").write_bytes(b"abc")

    with pytest.raises(BackupError, match="both are needed"):
        Manifest.load(tmp_path / "a.backup")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    path_of(tmp_path / "a.backup").write_text(text, encoding="utf-8")

    with pytest.raises(BackupError):
        Manifest.load(tmp_path / "a.backup")


def test_a_whole_backup_is_accepted_and_told_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.backup").write_bytes(b"abc")
    seen: list[int] = []

    check_content(tmp_path / "a.backup", _MANIFEST, seen.append)

    assert seen == [3]


@pytest.mark.parametrize("content", [b"ab", b"abd", b"abcd", b""])
def test_a_backup_that_was_cut_off_or_changed_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.backup").write_bytes(content)

    with pytest.raises(BackupError, match="cut off or changed"):
        check_content(tmp_path / "a.backup", _MANIFEST, lambda _: None)


def test_a_backup_of_a_newer_version_is_refused_before_anything_is_touched() -> None:
    newer = Manifest(**{**_MANIFEST.__dict__, "revisions": {"risk_gate": "9999"}})

    with pytest.raises(BackupError, match="risk_gate is at 9999"):
        check_revisions(newer, repository() / "services")
    check_revisions(_MANIFEST, repository() / "services")


def test_a_project_is_named_and_told_its_variables_on_every_command(tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text("SIGMAX_GATEWAY_PORT='18080'\nSIGMAX_VERSION=1\n", encoding="utf-8")
    compose = Compose(tmp_path, env, "mine", (tmp_path / "more.yaml",), {"SIGMAX_VERSION": "2"})

    words = compose.words("up")
    assert words[:4] == ["docker", "compose", "--env-file", str(env)]
    assert words[-3:] == ["-p", "mine", "up"]
    assert [words[i + 1] for i, word in enumerate(words) if word == "-f"] == [
        str(tmp_path / "compose.yaml"),
        str(tmp_path / "more.yaml"),
    ]
    assert compose.gateway_url == "http://127.0.0.1:18080"
    assert compose.variable("SIGMAX_VERSION") == "2"


_DOCKER = """#!/bin/bash
echo x >>{told}
if [ "$(wc -l <{told})" -ge {tries} ]; then echo up; exit; fi
echo "{complaint}" >&2
exit 1
"""


def _project(folder: Path, complaint: str) -> Compose:
    """Give a project whose `docker` complains once."""
    program = folder / "docker"
    program.write_text(_DOCKER.format(told=folder / "told", tries=2, complaint=complaint), encoding="utf-8")
    program.chmod(0o755)
    return Compose(folder, folder / "env", environment={"PATH": f"{folder}:{os.environ['PATH']}"})


def test_who_is_late_with_a_check_on_a_busy_machine_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = _project(tmp_path, "container sigmax-risk-gate-1 is unhealthy")
    monkeypatch.setenv("PATH", compose.environment["PATH"])
    assert compose.up("risk-gate") == "up\n"


def test_what_cannot_be_started_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compose = _project(tmp_path, "no such image")
    monkeypatch.setenv("PATH", compose.environment["PATH"])
    with pytest.raises(ComposeError, match="no such image"):
        compose.up("risk-gate")


def test_who_stays_unhealthy_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compose = _project(tmp_path, "container sigmax-risk-gate-1 is unhealthy")
    monkeypatch.setenv("PATH", compose.environment["PATH"])
    with pytest.raises(ComposeError, match="is unhealthy"):
        compose.up("risk-gate", timeout_s=0)


@pytest.mark.integration
def test_the_private_server_is_backed_up_whole_and_into_no_file_that_is_there(
    servers: Addresses, tmp_path: Path
) -> None:
    if not (servers.folder / "postgres" / "data").exists():
        pytest.skip("PostgreSQL's programs are not beside servers in containers")
    place, file, seen = OnThisMachine(servers), tmp_path / "a.backup", []

    manifest = write_backup(place, file, seen.append)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().startswith(b"PGDMP")
    assert seen[-1] == manifest.bytes == file.stat().st_size
    assert set(manifest.revisions) >= {"risk_gate", "order_worker", "paper_venue"}
    assert Manifest.load(file) == manifest
    check_content(file, manifest, lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.backup", "a.backup.manifest.json"]
    with pytest.raises(BackupError, match="there already"):
        write_backup(place, file, seen.append)


@pytest.mark.integration
def test_a_backup_that_fails_leaves_no_file(servers: Addresses, tmp_path: Path) -> None:
    if not (servers.folder / "postgres" / "data").exists():
        pytest.skip("PostgreSQL's programs are not beside servers in containers")

    class Broken(OnThisMachine):
        def words(self, program: str, *arguments: str) -> list[str]:
            return super().words(program, *arguments, *(["--no-such-option"] if program == "pg_dump" else []))

    with pytest.raises(DatabaseError, match="no-such-option"):
        write_backup(Broken(servers), tmp_path / "a.backup", lambda _: None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DatabaseError):
        query(OnThisMachine(servers), "SELECT nothing")
