"""Which servers tests get: those that are asked for, else what is there, else they are told what is missing."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from testcontainers.core.config import testcontainers_config

from sigmax_local import locks
from sigmax_local.servers import Addresses, BinariesMissingError, Ports
from sigmax_local.testkit import containers
from sigmax_local.testkit.containers import OUR_PREFIX, OWNER_LABEL, REDIS_IMAGE, ContainersMissingError
from sigmax_local.testkit.own_servers import CONTAINERS, INSTALLED, NoServersError, own_servers


class Images:
    def __init__(self, *names: str) -> None:
        self.names = names

    def get(self, name: str) -> None:
        if name not in self.names:
            raise ImageNotFound(name)


def image_of(*here: str) -> str:
    """Say of which image a Redis container is made where these are."""

    def make(name: str) -> str:
        return str(testcontainers_config.hub_image_name_prefix + name)

    return str(containers._of_image(SimpleNamespace(images=Images(*here)), make, REDIS_IMAGE))


def test_the_official_image_is_taken_unless_ours_alone_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testcontainers_config, "hub_image_name_prefix", "")
    ours = OUR_PREFIX + REDIS_IMAGE
    assert image_of(ours) == ours
    assert image_of(ours, REDIS_IMAGE) == REDIS_IMAGE
    assert image_of() == REDIS_IMAGE  # it is pulled, or its name stands in the error
    assert testcontainers_config.hub_image_name_prefix == ""
    monkeypatch.setattr(testcontainers_config, "hub_image_name_prefix", "mirror/")
    assert image_of(ours) == f"mirror/{REDIS_IMAGE}"


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine() -> None:
        raise DockerException("no socket")

    monkeypatch.setattr("sigmax_local.servers.binaries._first", lambda *_: None)
    monkeypatch.setattr(docker, "from_env", no_engine)


@pytest.mark.usefixtures("nothing_here")
def test_without_servers_and_engine_both_are_named() -> None:
    with (
        pytest.raises(NoServersError, match=r"Not installed: PostgreSQL(.|\n)*No Docker engine answers"),
        own_servers(""),
    ):
        pass


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize(
    ("setting", "error"), [(INSTALLED, BinariesMissingError), (CONTAINERS, ContainersMissingError)]
)
def test_what_is_asked_for_by_name_is_not_replaced(setting: str, error: type[Exception]) -> None:
    with pytest.raises(error), own_servers(setting):
        pass


def test_running_servers_are_used_by_their_state_file(tmp_path: Path) -> None:
    addresses = Addresses(tmp_path, Ports(1, 2, 3, 0, 0))
    addresses.save(tmp_path / "state.json")
    with own_servers(str(tmp_path / "state.json")) as (found, source):
        assert found == addresses
        assert str(tmp_path) in source


def test_only_what_a_dead_run_left_is_removed(tmp_path: Path) -> None:
    removed = []

    class Left(SimpleNamespace):
        def remove(self, **_: Any) -> None:
            removed.append(self.folder.name)

    folders = {name: tmp_path / name for name in ("dead", "alive", "elsewhere")}
    for name in ("dead", "alive"):
        folders[name].mkdir()
    for name in ("dead", "alive"):
        lock = locks.hold(folders[name] / "servers.lock")
        assert lock is not None
        if name == "dead":
            lock.close()
    left = [Left(folder=folder, labels={OWNER_LABEL: str(folder)}) for folder in folders.values()]
    lists = SimpleNamespace(list=lambda filters, **_: left if filters["label"] == OWNER_LABEL else [])

    containers._remove_left_over(SimpleNamespace(containers=lists))

    assert removed == ["dead"]
    assert not folders["dead"].exists()
    assert folders["alive"].exists()


@pytest.mark.integration
def test_a_killed_run_leaves_containers_on_loopback_until_the_next_one_removes_them() -> None:
    try:
        engine = containers._engine()
    except ContainersMissingError as error:
        pytest.skip(str(error))
    if not any(containers._is_here(engine, prefix + containers.RABBITMQ_IMAGE) for prefix in ("", OUR_PREFIX)):
        pytest.skip(f"no image {containers.RABBITMQ_IMAGE} here")
    folder = Path(tempfile.mkdtemp(prefix="sigmax-test-"))
    script = (
        "import json, pathlib, sys, time\n"
        "from dataclasses import asdict\n"
        "from sigmax_local.testkit.containers import ContainerServers\n"
        "servers = ContainerServers(pathlib.Path(sys.argv[1]))\n"
        "print(json.dumps(asdict(servers.start().ports)), flush=True); time.sleep(600)\n"
    )
    ours = {"all": True, "filters": {"label": f"{OWNER_LABEL}={folder}"}}
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            ports = json.loads(owner.stdout.readline())
            bindings = [
                binding
                for container in engine.containers.list(**ours)
                for of_port in container.ports.values()
                for binding in of_port or ()
            ]
            containers._remove_left_over(engine)
            assert len(engine.containers.list(**ours)) == 3
        finally:
            owner.kill()
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
    assert {int(binding["HostPort"]) for binding in bindings} == {
        ports[name] for name in ("postgres", "redis", "rabbitmq")
    }
    containers._remove_left_over(engine)
    assert engine.containers.list(**ours) == []
    assert not folder.exists()
