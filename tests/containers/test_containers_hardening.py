"""What each container may do, seen from outside and tried from inside."""

import asyncio
import json
from typing import Any

import pytest

from sigmax.schemas.topology import SERVICES, owner_of
from sigmax_local.compose import SERVERS, ComposeError
from sigmax_local.testkit.container_stack import ContainerStack

ALL = (*SERVICES, *SERVERS)
_USERS = {**dict.fromkeys(SERVICES, "10001:10001"), **dict.fromkeys(SERVERS, "999:999")}
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd")
_MEMORY_MIN = 64 * 1024 * 1024


@pytest.fixture(scope="module")
async def known(stack: ContainerStack) -> dict[str, Any]:
    containers = [one for one in await stack.containers() if one.service in ALL]
    told = json.loads(await stack.engine("inspect", *(one.id for one in containers)))
    return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in told}


def test_every_service_and_server_runs(known: dict[str, Any]) -> None:
    assert sorted(known) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_it_is_started_without_rights(known: dict[str, Any], name: str) -> None:
    host = known[name]["HostConfig"]

    assert known[name]["Config"]["User"] == _USERS[name]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["ReadonlyRootfs"]
    assert host["Init"]
    assert not host["Devices"]
    for namespace in ("PidMode", "UTSMode", "UsernsMode"):
        assert not host[namespace], namespace
    assert host["IpcMode"] in {"private", "shareable"}
    assert host["NetworkMode"] not in {"host", "none"}


@pytest.mark.parametrize("name", ALL)
def test_it_has_limits_and_is_kept_up(known: dict[str, Any], name: str) -> None:
    host = known[name]["HostConfig"]

    assert 0 < host["PidsLimit"] <= 512
    assert host["Memory"] >= _MEMORY_MIN
    assert host["NanoCpus"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert known[name]["Config"]["Healthcheck"]["Test"]


@pytest.mark.parametrize("name", ALL)
def test_it_sees_no_files_of_the_host_but_its_own(stack: ContainerStack, known: dict[str, Any], name: str) -> None:
    binds = {mount["Destination"]: mount for mount in known[name]["Mounts"] if mount["Type"] == "bind"}

    assert all(not mount["RW"] for mount in binds.values())
    if name in SERVICES:
        assert binds.pop("/run/secrets")["Source"] == str(stack.compose.secrets / owner_of(name))
        recordings = {"/recordings"} if name == "collector" else set()
        assert set(binds) == recordings
    else:
        assert {mount["Source"] for mount in binds.values()} == {str(stack.compose.secrets.parent / name)}


@pytest.mark.parametrize("name", ALL)
def test_only_the_gateway_is_published_and_on_loopback_alone(
    stack: ContainerStack, known: dict[str, Any], name: str
) -> None:
    bindings = known[name]["HostConfig"]["PortBindings"] or {}
    port = stack.compose.variable("SIGMAX_GATEWAY_PORT")

    expected = {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]} if name == "api-gateway" else {}
    assert bindings == expected


@pytest.mark.parametrize("name", ALL)
async def test_no_process_in_it_has_a_capability_or_is_root(
    stack: ContainerStack, known: dict[str, Any], name: str
) -> None:
    # Of every process, read by the container's own shell: some images have nothing else.
    text = await stack.inside(known[name]["Id"], "sh", "-c", "cat /proc/[0-9]*/status 2>/dev/null")
    # What begins a health check is for a moment the engine's own program, which then gives its rights away.
    processes = [one for one in text.split("Name:")[1:] if not one.lstrip().startswith("runc:")]
    rows = [line.split() for one in processes for line in one.splitlines() if ":" in line]

    capabilities = {(row[0][:-1], int(row[1], 16)) for row in rows if row[0][:-1] in _CAPABILITIES}
    assert capabilities == {(one, 0) for one in _CAPABILITIES}
    user = _USERS[name].split(":")[0]
    assert {tuple(row[1:]) for row in rows if row[0] == "Uid:"} == {(user,) * 4}
    assert {row[1] for row in rows if row[0] == "NoNewPrivs:"} == {"1"}


@pytest.mark.parametrize("name", ALL)
async def test_it_cannot_write_to_its_image_or_its_secrets(
    stack: ContainerStack, known: dict[str, Any], name: str
) -> None:
    own = "/run/secrets" if name in {*SERVICES, "postgres"} else "/etc/sigmax"
    for folder in ("/", "/usr/bin", "/etc", "/opt", own):
        tried = f"touch {folder}/x 2>&1 && echo written || true"
        said = await stack.inside(known[name]["Id"], "sh", "-c", tried)
        assert "written" not in said, folder
        assert "Read-only" in said or "Permission denied" in said or "No such file" in said, said


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_reads_its_own_secrets_and_no_others(
    stack: ContainerStack, known: dict[str, Any], name: str
) -> None:
    here = set((await stack.inside(known[name]["Id"], "ls", "/run/secrets")).split())

    assert here == {path.name for path in (stack.compose.secrets / owner_of(name)).iterdir()}
    assert "database_password" in here
    with pytest.raises(ComposeError):
        await stack.inside(known[name]["Id"], "cat", "/run/secrets/servers/postgres_superuser")


async def test_no_secret_stands_in_an_environment_or_a_command(stack: ContainerStack, known: dict[str, Any]) -> None:
    secrets = {path.read_text(encoding="utf-8").strip() for path in stack.compose.secrets.glob("*/*")}
    text = json.dumps([[one["Config"]["Env"], one["Config"]["Cmd"], one["Args"]] for one in known.values()])
    assert secrets
    assert not [secret for secret in secrets if secret in text]


async def test_images_hold_no_secret_and_are_not_started_as_root(known: dict[str, Any], stack: ContainerStack) -> None:
    images = [known[name]["Config"]["Image"] for name in SERVICES]
    told = json.loads(await asyncio.to_thread(stack.compose.engine, "image", "inspect", *images))
    assert {one["Config"]["User"] for one in told} == {"10001:10001"}
    environment = json.dumps([one["Config"]["Env"] for one in told]).upper()
    assert "PASSWORD" not in environment
    assert "API_KEY" not in environment
