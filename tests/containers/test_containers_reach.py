"""Who can speak to whom: every pair, tried from inside, both what must work and what must not."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sigmax.schemas.topology import SERVICES
from sigmax_local.compose import SERVERS, ComposeError
from sigmax_local.testkit.container_stack import ContainerStack

_PORTS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672}
_OUT = frozenset({"collector", "llm-controller", "notifier"})
"""Who has a way out: feeds, models, channels."""
_REACHED = {"order-worker": {"paper-venue"}, "paper-venue": {"order-worker"}}
"""They share a network, and a network of Docker has no direction: what the venue finds at the worker is its health and
its metrics, and no more. Kubernetes' policies have directions."""
_PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def tried(target):
    try:
        socket.create_connection(target[1:], 2).close()
    except OSError as error:
        return type(error).__name__
    return "connected"

targets = [tuple(target) for target in json.loads(sys.argv[1])]
with ThreadPoolExecutor(20) as pool:
    print(json.dumps(dict(zip([name for name, *_ in targets], pool.map(tried, targets)))))
"""
_LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    server.accept()[0].close()
"""
Targets = list[tuple[str, str, int]]


class Outside:
    """A machine beyond this one: a network namespace with an address that only this machine has a route to.

    A port of the host itself would not do: what an internal network keeps from its containers is the way through the
    host, not the host.
    """

    address, port = "198.51.100.2", 9
    """Of the addresses that are kept for examples; nothing that is sent to it leaves this machine."""
    _HOST, _NAME, _LINK = "198.51.100.1", "sigmax-outside", "sigmax-out"

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def open(self) -> None:
        """Make it and listen there. Raises `OSError` or `CalledProcessError` where that is not allowed."""
        inside = ("-n", self._NAME)
        for words in (
            ("netns", "add", self._NAME),
            ("link", "add", self._LINK, "type", "veth", "peer", "name", "eth0", "netns", self._NAME),
            ("addr", "add", f"{self._HOST}/30", "dev", self._LINK),
            ("link", "set", self._LINK, "up"),
            (*inside, "addr", "add", f"{self.address}/30", "dev", "eth0"),
            (*inside, "link", "set", "eth0", "up"),
        ):
            subprocess.run(["ip", *words], check=True, capture_output=True)
        listen = ["ip", "netns", "exec", self._NAME, sys.executable, "-c", _LISTEN, self.address, str(self.port)]
        self._server = subprocess.Popen(listen, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "listening\n"
        socket.create_connection((self.address, self.port), 2).close()

    def close(self) -> None:
        """Remove all of it; safe to repeat, and after a run that was killed."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        subprocess.run(["ip", "netns", "del", self._NAME], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._LINK], check=False, capture_output=True)


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    outside = Outside()
    outside.close()
    try:
        outside.open()
    except (OSError, subprocess.CalledProcessError) as error:
        outside.close()
        said = getattr(error, "stderr", b"") or b""
        pytest.skip(f"a network namespace, which stands for the world, cannot be made: {error} {said.decode()}")
    yield outside
    outside.close()


@pytest.fixture(scope="module")
async def seen(stack: ContainerStack) -> dict[str, dict[str, str]]:
    """Give for each service what came of every connection it tried."""
    addresses = [(name, address) for name in SERVICES for address in await _addresses(stack, name)]

    def targets(service: str) -> Targets:
        servers = [(name, name, port) for name, port in _PORTS.items()]
        names = [(other, other, 8000) for other in SERVICES if other != service]
        # By address as well: a name that is not known says nothing about the way.
        return servers + names + [(f"{other} by address", host, 8000) for other, host in addresses if other != service]

    tried = (_try(stack, service, targets(service)) for service in SERVICES)
    return dict(zip(SERVICES, await asyncio.gather(*tried), strict=True))


async def _try(stack: ContainerStack, service: str, targets: Targets) -> dict[str, str]:
    container = await stack.only(service)
    told: dict[str, str] = json.loads(await stack.inside(container.id, "python", "-c", _PROBE, json.dumps(targets)))
    return told


async def _addresses(stack: ContainerStack, service: str) -> list[str]:
    known = await stack.inspect((await stack.only(service)).id)
    return [network["IPAddress"] for network in known["NetworkSettings"]["Networks"].values()]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("server", SERVERS)
def test_every_service_reaches_the_servers(seen: dict[str, dict[str, str]], service: str, server: str) -> None:
    assert seen[service][server] == "connected"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reaches_no_other_but_the_worker_and_its_venue(seen: dict[str, dict[str, str]], service: str) -> None:
    reached = {
        name.removesuffix(" by address")
        for name, outcome in seen[service].items()
        if outcome == "connected" and name.removesuffix(" by address") in SERVICES
    }
    assert reached == _REACHED.get(service, set())


async def test_the_venue_finds_nothing_at_the_worker_but_health_and_metrics(stack: ContainerStack) -> None:
    look = "import urllib.request as u; print(u.urlopen('http://order-worker:8000{}').status)"
    venue = await stack.only("paper-venue")
    assert await stack.inside(venue.id, "python", "-c", look.format("/health/live")) == "200\n"
    for path in ("/", "/docs", "/openapi.json", "/admin", "/orders"):
        with pytest.raises(ComposeError, match="404"):
            await stack.inside(venue.id, "python", "-c", look.format(path))


@pytest.mark.parametrize("service", SERVICES)
async def test_only_feeds_models_and_channels_have_a_way_out(
    stack: ContainerStack, outside: Outside, service: str
) -> None:
    told = await _try(stack, service, [("outside", outside.address, outside.port)])
    assert (told["outside"] == "connected") == (service in _OUT)


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_has_no_way_out(stack: ContainerStack, outside: Outside, server: str) -> None:
    # The servers' images have no Python; bash opens connections by itself.
    script = f"exec 3<>/dev/tcp/{outside.address}/{outside.port} && echo connected"
    container = await stack.only(server)
    said = await stack.inside(container.id, "timeout", "3", "bash", "-c", script, is_checked=False)
    assert "connected" not in said


async def test_the_gateways_way_in_is_no_way_out(stack: ContainerStack) -> None:
    name = f"{stack.compose.project}_edge"
    (edge,) = json.loads(await stack.engine("network", "inspect", name))
    assert edge["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert {one["Name"].rsplit("-", 1)[0] for one in edge["Containers"].values()} == {
        f"{stack.compose.project}-api-gateway"
    }


async def test_all_networks_but_the_ways_in_and_out_are_internal(stack: ContainerStack) -> None:
    project = f"label=com.docker.compose.project={stack.compose.project}"
    names = (await stack.engine("network", "ls", "--filter", project, "--format", "{{.Name}}")).split()
    told = json.loads(await stack.engine("network", "inspect", *names))
    ways = {one["Name"].removeprefix(f"{stack.compose.project}_") for one in told if not one["Internal"]}
    assert ways <= {"feeds", "models", "channels", "venues", "edge", "desk"}
    assert {"feeds", "models", "channels", "edge"} <= ways


async def test_nothing_is_stored_under_another_name_than_the_servers_volumes(stack: ContainerStack) -> None:
    written = {}
    for name in (*SERVICES, *SERVERS):
        mounts = (await stack.inspect((await stack.only(name)).id))["Mounts"]
        written[name] = [mount["Name"] for mount in mounts if mount["Type"] == "volume"]
    expected = {name: [f"{stack.compose.project}_{name}"] if name in SERVERS else [] for name in written}
    assert written == expected
