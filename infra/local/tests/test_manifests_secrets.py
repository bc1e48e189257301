"""The secrets of an overlay: made once, shared where they must be, and never invented where only people have them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigmax.runtime.rights import ADMIN
from sigmax.schemas.topology import REACH, SERVICES, owner_of
from sigmax_local.environment import repository
from sigmax_local.manifests.__main__ import app
from sigmax_local.manifests.rendering import listed_secrets
from sigmax_local.manifests.secret_files import SecretsMissingError, write_secret_files

OVERLAYS = repository() / "k8s/overlays"
PASSWORDS = ("database_password", "rabbitmq_password", "redis_password")
OPTIONAL = {"model_api_key", "channels"}
"""Each has a Secret of its own, which people make or not."""
GIVEN = {
    "order_worker/venue_api_key",
    "order_worker/venue_api_secret",
    "servers/postgres_superuser",
    "servers/rabbitmq_admin",
    "servers/redis_admin",
}


def _folder(tmp_path: Path, overlay: str) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    shutil.copy(OVERLAYS / overlay / "secrets/kustomization.yaml", folder)
    return folder


def _contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "kustomization.yaml")
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("overlay", ["paper", "live"])
def test_an_overlay_lists_every_secret_that_the_topology_names(overlay: str) -> None:
    listed = listed_secrets(OVERLAYS / overlay / "secrets/kustomization.yaml")
    assert len(listed) == len(set(listed))
    for service in SERVICES:
        own = set(PASSWORDS)
        if overlay == "paper" or service != "paper-venue":
            own |= set(REACH[service].secrets) - OPTIONAL
        own |= {"first_admin_password"} if service == "api-gateway" else set()
        assert {name.split("/")[1] for name in listed if name.startswith(f"{owner_of(service)}/")} == own


def test_paper_needs_nothing_of_people(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "paper")
    write_secret_files(folder)
    assert set(_contents(folder)) == set(listed_secrets(folder / "kustomization.yaml"))


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "paper")
    write_secret_files(folder)
    before = _contents(folder)
    write_secret_files(folder)
    assert _contents(folder) == before


def test_a_secret_is_shared_by_who_must_have_it_and_nobody_else(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "paper")
    write_secret_files(folder)
    values = _contents(folder)
    assert values["risk_gate/approval_key"] == values["order_worker/approval_key"]
    assert values["order_worker/venue_api_key"] == values["paper_venue/venue_api_key"]
    shared = {"risk_gate/approval_key", "paper_venue/venue_api_key", "paper_venue/venue_api_secret"}
    others = [value for name, value in values.items() if name not in shared]
    assert len(set(others)) == len(others)
    assert all(len(value) >= 32 for value in others)


def test_a_rotated_key_is_given_to_both_who_share_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "paper")
    write_secret_files(folder)
    before = _contents(folder)
    for owner in ("risk_gate", "order_worker"):
        (folder / owner / "approval_key").unlink()
    write_secret_files(folder)
    after = _contents(folder)
    assert after["risk_gate/approval_key"] == after["order_worker/approval_key"] != before["risk_gate/approval_key"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"risk_gate/approval_key", "order_worker/approval_key"}


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "paper")
    write_secret_files(folder)
    for name in _contents(folder):
        assert (folder / name).stat().st_mode & 0o777 == 0o600, name


def test_servers_start_with_their_administrator_alone(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "paper")
    write_secret_files(folder)
    acl = (folder / "servers/redis_users.acl").read_text(encoding="utf-8").splitlines()
    definitions = json.loads((folder / "servers/rabbitmq_definitions.json").read_text(encoding="utf-8"))
    assert [line.split()[1] for line in acl] == ["default", ADMIN]
    assert acl[0].split()[2] == "off"
    assert [user["name"] for user in definitions["users"]] == [ADMIN]
    assert "queues" not in definitions


def test_live_asks_people_for_what_only_they_have(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "live")
    with pytest.raises(SecretsMissingError) as raised:
        write_secret_files(folder)
    assert {line.strip() for line in str(raised.value).splitlines()[1:]} == {str(folder / name) for name in GIVEN}
    assert set(_contents(folder)) == set(listed_secrets(folder / "kustomization.yaml")) - GIVEN
    for name in GIVEN:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("given", encoding="utf-8")
    write_secret_files(folder)
    assert {name for name, value in _contents(folder).items() if value == "given"} == GIVEN


def test_the_command_fails_when_something_is_missing(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["secrets", str(_folder(tmp_path, "live"))])
    assert done.exit_code == 1
    assert "order_worker/venue_api_key" in done.output


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("overlay", ["paper", "live"])
def test_git_takes_no_secret(overlay: str) -> None:
    if not (repository() / ".git").exists():
        pytest.skip("this copy of the repository is not git's")
    folder = OVERLAYS / overlay / "secrets"
    for name in listed_secrets(folder / "kustomization.yaml"):
        command = ["git", "-C", str(repository()), "check-ignore", "--quiet", "--no-index", str(folder / name)]
        assert subprocess.run(command, check=False).returncode == 0, name
