"""Compose and Kubernetes run the same platform: the same services, images, settings, ports, and reach."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.topology import REACH, SERVICES, owner_of
from sigmax_local.environment import repository
from sigmax_local.feed import Feed
from sigmax_local.manifests.checks.settings import environment_of, secrets_of
from sigmax_local.manifests.compose import Compose, read_compose
from sigmax_local.manifests.objects import JOB, SERVER, SERVICE, Manifest, Objects, Pod
from sigmax_local.manifests.reach import EVERYBODY, INTERNET, OUTSIDE, Edge, compose_edges, policy_edges
from sigmax_local.manifests.rendering import VARIANTS, KubectlMissingError, find_kubectl, listed_secrets, render_all

REPOSITORY = repository()
SERVERS = {"postgres", "redis", "rabbitmq"}
JOBS = {"migrate", "topology"}
MEASURING = {"prometheus", "alertmanager"}
PORTS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672}

# Compose publishes the gateway on loopback, without a proxy before it.
ONLY_IN_MANIFESTS = {"api-gateway": {"FORWARDED_ALLOW_IPS"}}


class Both(NamedTuple):
    compose: Compose
    objects: Objects
    mode: str

    @property
    def pods(self) -> dict[str, Pod]:
        return {pod.name: pod for pod in self.objects.pods}

    @property
    def expected(self) -> set[str]:
        return set(SERVICES) - ({"paper-venue"} if self.mode == "live" else set())


@pytest.fixture(scope="module")
def rendered() -> dict[str, Objects]:
    try:
        find_kubectl()
    except KubectlMissingError as error:
        pytest.skip(f"manifests are not rendered: {error}")
    return {objects[0].overlay: objects[1] for objects in render_all(REPOSITORY / "k8s", VARIANTS[1::2]).items()}


@pytest.fixture(scope="module", params=["paper", "live"])
def both(request: pytest.FixtureRequest, rendered: dict[str, Objects]) -> Both:
    compose = read_compose(REPOSITORY / "compose.yaml", {request.param, "observability"})
    # In Compose the order-worker of a real venue is a service of its own.
    services = {name.removesuffix("-live"): service for name, service in compose.services.items()}
    return Both(Compose(services, compose.closed), rendered[request.param], request.param)


def test_the_same_is_run(both: Both) -> None:
    elsewhere = SERVERS if both.mode == "live" else set()
    assert set(both.pods) == both.expected | JOBS | (SERVERS - elsewhere)
    assert set(both.compose.services) - MEASURING == both.expected | JOBS | SERVERS


def test_images_are_the_same(both: Both) -> None:
    images = {name: pod.containers[0].data["image"] for name, pod in both.pods.items()}
    assert images == {name: both.compose.services[name].image for name in images}


def test_a_pod_is_what_its_label_says(both: Both) -> None:
    components = {name: pod.component for name, pod in both.pods.items()}
    expected = dict.fromkeys(both.expected, SERVICE) | dict.fromkeys(JOBS, JOB)
    assert components == expected | dict.fromkeys(SERVERS & set(components), SERVER)


@pytest.mark.parametrize("name", [*SERVICES, *sorted(JOBS)])
def test_settings_are_the_same(both: Both, name: str) -> None:
    if name not in both.pods:
        return
    told = both.compose.services[name].environment
    given = environment_of(both.objects, both.pods[name])
    assert set(given) - set(told) <= ONLY_IN_MANIFESTS.get(name, set())
    for variable, value in told.items():
        if value is None or variable not in given:
            # Passed on where people set it; or what the service takes when nobody does.
            assert value is None or value == _default(name, variable), variable
        elif variable.endswith("_URL"):
            assert _address(given[variable]) == _address(value), variable
        else:
            assert given[variable] == value, variable


@pytest.mark.parametrize("mode", ["paper", "live"])
@pytest.mark.parametrize("service", SERVICES)
def test_compose_tells_a_service_nothing_that_it_does_not_know(service: str, mode: str) -> None:
    told = _told_in_compose(service, mode)
    assert {name for name in told if name.removeprefix("SIGMAX_").lower() not in _settings(service)} == set()


@pytest.mark.parametrize("mode", ["paper", "live"])
@pytest.mark.parametrize("service", ["risk-gate", "order-worker"])
def test_whatever_guards_money_can_be_set_in_the_variables_of_compose(service: str, mode: str) -> None:
    own = set(_settings(service)) - set(ServiceSettings.model_fields) - set(REACH[service].secrets)
    # On paper there is one venue, and its worker is never told to trade live.
    fixed = {"account_mode", "venue", "venue_class"} if (service, mode) == ("order-worker", "paper") else set()
    assert {f"SIGMAX_{name.upper()}" for name in own - fixed} - set(_told_in_compose(service, mode)) == set()


@pytest.mark.parametrize("service", SERVICES)
def test_compose_takes_every_variable_that_follows_from_the_choice_of_prices(service: str) -> None:
    fast = {"source": "replay", "replay_file": "f", "replay_speed": "20", "replay_loop": "true"}
    live = {"source": "ccxt", "ccxt_exchange": "binance", "symbols": "BTC/USDT"}
    chosen = {name for one in (fast, live) for name in Feed("f", "f", "USDT", one, 1).settings_of(service)}
    assert {f"SIGMAX_{name.upper()}" for name in chosen} - set(_told_in_compose(service, "paper")) == set()


def _told_in_compose(service: str, mode: str) -> Mapping[str, str | None]:
    services = read_compose(REPOSITORY / "compose.yaml", {mode}).services
    found = services.get(service) or services.get(f"{service}-live")
    return found.environment if found is not None else {}


def _settings(service: str) -> Mapping[str, object]:
    fields: Mapping[str, object] = import_module(f"{owner_of(service)}.settings").Settings.model_fields
    return fields


def _default(service: str, variable: str) -> str:
    default = _settings(service)[variable.removeprefix("SIGMAX_").lower()].default  # type: ignore[attr-defined]
    return str(default).lower() if isinstance(default, bool) else str(default)


def _address(url: str) -> str:
    """Take the namespace and the name a server has in it off an address: `postgres-rw.sigmax-data` is Postgres."""
    scheme, _, rest = url.partition("://")
    host, _, tail = rest.partition(":")
    return f"{scheme}://{host.split('.')[0].removesuffix('-rw')}:{tail}"


def test_ports_are_the_same(both: Both) -> None:
    for name, pod in both.pods.items():
        if pod.component == SERVICE:
            assert pod.ports == {"http": 8000}, name
        if pod.component == SERVER:
            assert PORTS[name] in pod.ports.values(), name
    assert {name: set(one.published) for name, one in both.compose.services.items() if one.published} == {
        "api-gateway": {8000},
        "prometheus": {9090},
    }


def test_what_is_published_is_published_to_this_machine_alone(both: Both) -> None:
    addresses = [address for one in both.compose.services.values() for address in one.published.values()]
    assert addresses
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_policies_allow_exactly_what_is_needed(both: Both) -> None:
    services = both.expected
    wanted = {Edge(service, server, port) for service in services for server, port in PORTS.items()}
    wanted |= {Edge("migrate", "postgres", 5432), Edge("topology", "redis", 6379), Edge("topology", "rabbitmq", 15672)}
    wanted |= {Edge("prometheus", service, 8000) for service in services}
    wanted |= {Edge(OUTSIDE, "api-gateway", 8000)}
    wanted |= {Edge(pod, "names", 53) for pod in services | JOBS}
    wanted |= {Edge("collector", INTERNET, port) for port in (443, 9443)}
    wanted |= {Edge("llm-controller", INTERNET, 443)}
    wanted |= {Edge("notifier", INTERNET, port) for port in (443, 465, 587)}
    if both.mode == "paper":
        wanted |= {Edge("order-worker", "paper-venue", 8000)}
        wanted |= {Edge("prometheus", "rabbitmq", 15692), Edge("keda", "rabbitmq", 5672)}
    else:
        wanted |= {Edge("order-worker", INTERNET, port) for port in (443, 9443)}
    assert policy_edges(both.objects) == wanted


def test_whoever_may_reach_someone_in_kubernetes_can_in_compose(both: Both) -> None:
    inside = {edge for edge in policy_edges(both.objects) if edge.target not in ("names", INTERNET)}
    # KEDA is a guest of the cluster.
    assert {edge for edge in inside - compose_edges(both.compose) if edge.source != "keda"} == set()


def test_whoever_meets_in_compose_may_in_kubernetes(both: Both) -> None:
    # A network of Compose has no directions and no ports, and the servers are in all of them.
    coarser = {frozenset(pair) for pair in (("postgres", "redis"), ("redis", "rabbitmq"), ("postgres", "rabbitmq"))}
    coarser |= {frozenset((job, server)) for job in JOBS for server in SERVERS}
    coarser |= {frozenset(("prometheus", other)) for other in (*SERVERS, "alertmanager", OUTSIDE)}
    met = {frozenset((edge.source, edge.target)) for edge in compose_edges(both.compose) if edge.target != INTERNET}
    allowed = {frozenset((edge.source, edge.target)) for edge in policy_edges(both.objects)}
    assert met - allowed <= coarser


def test_the_same_services_reach_the_internet(both: Both) -> None:
    outward = {edge.source for edge in compose_edges(both.compose) if edge.target == INTERNET}
    assert outward == {edge.source for edge in policy_edges(both.objects) if edge.target == INTERNET}
    assert outward == {"collector", "llm-controller", "notifier"} | ({"order-worker"} if both.mode == "live" else set())


def test_a_pod_sees_no_secret_but_its_own(both: Both) -> None:
    listed = listed_secrets(REPOSITORY / "k8s/overlays" / both.mode / "secrets/kustomization.yaml")
    for service in both.expected:
        own = {name.split("/")[1] for name in listed if name.startswith(f"{owner_of(service)}/")}
        assert set(secrets_of(both.objects, both.pods[service])) == own, service
    assert all("approval_key" not in path for job in JOBS for path in secrets_of(both.objects, both.pods[job]))


def test_jobs_find_every_password_that_they_set(both: Both) -> None:
    def of_owners(*names: str) -> set[str]:
        return {f"{owner_of(service)}/{name}" for service in SERVICES for name in names}

    migrate = set(secrets_of(both.objects, both.pods["migrate"]))
    topology = set(secrets_of(both.objects, both.pods["topology"]))
    assert migrate == of_owners("database_password") | {"servers/postgres_superuser", "servers/postgres_migrator"}
    assert topology == of_owners("rabbitmq_password", "redis_password") | {
        "servers/rabbitmq_admin",
        "servers/redis_admin",
    }


def test_the_servers_have_the_settings_that_they_have_in_compose(rendered: dict[str, Objects]) -> None:
    from sigmax_local.servers import containers

    maps = {one.name.rpartition("-")[0]: one.data.get("data", {}) for one in rendered["paper"].of("ConfigMap")}
    redis = dict(line.split(" ", 1) for line in maps["redis"]["redis.conf"].splitlines())
    rabbitmq = dict(line.split(" = ", 1) for line in maps["rabbitmq"]["rabbitmq.conf"].splitlines())
    assert redis == containers._REDIS_CONF
    assert rabbitmq == containers._RABBITMQ_CONF


def _policy(name: str, selected: str, **spec: object) -> Manifest:
    selector = {"matchLabels": {"app.kubernetes.io/name": selected}} if selected else {}
    data = {"kind": "NetworkPolicy", "metadata": {"name": name}, "spec": {"podSelector": selector, **spec}}
    return Manifest(data, "")


def _pod(name: str) -> Manifest:
    template = {"metadata": {"labels": {"app.kubernetes.io/name": name}}, "spec": {}}
    return Manifest({"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": template}}, "")


DENY = _policy("deny", "", policyTypes=["Ingress", "Egress"])
TO_B = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "b"}}}
OUT = _policy("out", "a", policyTypes=["Egress"], egress=[{"to": [TO_B], "ports": [{"port": 1}]}])
FROM_A = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "a"}}}
IN = _policy("in", "b", policyTypes=["Ingress"], ingress=[{"from": [FROM_A], "ports": [{"port": 1}]}])


@pytest.mark.parametrize(
    ("policies", "edges"),
    [
        ([DENY], set()),
        ([DENY, OUT], set()),
        ([DENY, IN], set()),
        ([DENY, OUT, IN], {Edge("a", "b", 1)}),
        ([OUT, IN], {Edge("a", "b", 1), Edge("b", EVERYBODY, 0), Edge(EVERYBODY, "a", 0)}),
    ],
)
def test_a_connection_needs_both_sides_and_where_no_policy_is_everybody_may(
    policies: list[Manifest], edges: set[Edge]
) -> None:
    assert policy_edges(Objects([_pod("a"), _pod("b"), *policies])) == edges


def test_a_network_of_compose_lets_everybody_in_it_reach_everybody(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        """
services:
  a: {image: "${A:-one}", networks: [inside]}
  redis: {image: two, networks: [inside, out]}
  b: {image: three, networks: [alone], profiles: [other]}
networks:
  inside: {internal: true}
  alone: {internal: true}
  out: {}
""",
        encoding="utf-8",
    )
    compose = read_compose(tmp_path / "compose.yaml", {"paper"})
    assert {name: one.image for name, one in compose.services.items()} == {"a": "one", "redis": "two"}
    assert compose_edges(compose) == {Edge("a", "redis", 6379), Edge("redis", "a", 8000), Edge("redis", INTERNET, 0)}
