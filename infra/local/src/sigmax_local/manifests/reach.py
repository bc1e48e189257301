"""Who reaches whom, at which port: read off Compose's networks, and off the NetworkPolicies."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sigmax_local.manifests.compose import Compose
from sigmax_local.manifests.objects import Json, Manifest, Objects, Pod, matches

INTERNET = "internet"
"""Everything outside, as a target."""
OUTSIDE = "outside"
"""Whoever comes in by the published port, or by the Ingress."""
EVERYBODY = "everybody"
"""What a pod reaches, or is reached by, that no policy bounds."""
ANY_PORT = 0
_ANY: Json = {}

_SERVICE_PORTS = (8000,)
_LISTENS = {
    "postgres": (5432,),
    "redis": (6379,),
    "rabbitmq": (5672, 15672, 15692),
    "prometheus": (9090,),
    "alertmanager": (9093,),
    "migrate": (),
    "topology": (),
}
"""Ports on which containers of Compose listen, where it is not a service's one."""
_NAMESPACES = {
    "ingress-nginx": OUTSIDE,
    "kube-system": "names",
    "monitoring": "prometheus",
    "keda": "keda",
}
"""Who is meant by a namespace that is not ours."""
_SERVERS_ELSEWHERE = {5432: "postgres", 6379: "redis", 5672: "rabbitmq", 15672: "rabbitmq"}
"""Who is meant by a port of the namespace in which live has its servers."""


class Edge(NamedTuple):
    """Someone may open connections to someone."""

    source: str
    target: str
    port: int


def compose_edges(compose: Compose) -> set[Edge]:
    """Give who can reach whom: in a network everybody reaches everybody else, at whatever port they listen on."""
    edges = set()
    for name, service in compose.services.items():
        if service.networks - compose.closed:
            edges.add(Edge(name, INTERNET, ANY_PORT))
        edges |= {Edge(OUTSIDE, name, port) for port in service.published}
        for other, that in compose.services.items():
            if other != name and service.networks & that.networks:
                edges |= {Edge(name, other, port) for port in _LISTENS.get(other, _SERVICE_PORTS)}
    return edges


def policy_edges(objects: Objects) -> set[Edge]:
    """Give who may reach whom: between our pods both the one's egress and the other's ingress must allow it."""
    policies = objects.of("NetworkPolicy")
    ours = {pod.name for pod in objects.pods}
    out = {edge for pod in objects.pods for edge in _allowed(objects, policies, pod, "Egress")}
    into = {edge for pod in objects.pods for edge in _allowed(objects, policies, pod, "Ingress")}
    between = {
        edge
        for edge in out | into
        if {edge.source, edge.target} <= ours and _holds(edge, out, 1) and _holds(edge, into, 0)
    }
    return (
        between | {edge for edge in out if edge.target not in ours} | {edge for edge in into if edge.source not in ours}
    )


def _holds(edge: Edge, allowed: set[Edge], wild: int) -> bool:
    """Say whether an edge is allowed, by name or because everybody is. `wild`: which end may be everybody."""
    ends = [edge.source, edge.target]
    ends[wild] = EVERYBODY
    return (
        edge in allowed or Edge(ends[0], ends[1], ANY_PORT) in allowed or Edge(ends[0], ends[1], edge.port) in allowed
    )


def _allowed(objects: Objects, policies: list[Manifest], pod: Pod, direction: str) -> Iterator[Edge]:
    mine = [
        one
        for one in policies
        if direction in one.spec.get("policyTypes", ()) and matches(one.spec.get("podSelector") or {}, pod.labels)
    ]
    if not mine:
        yield _edge(direction, pod.name, EVERYBODY, ANY_PORT)
    rules, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    for rule in (rule for one in mine for rule in one.spec.get(rules) or ()):
        for port in _ports(rule, pod):
            for peer in rule.get(peers) or (_ANY,):
                for name in _names(objects, peer, port):
                    yield _edge(direction, pod.name, name, port)


def _edge(direction: str, mine: str, other: str, port: int) -> Edge:
    return Edge(mine, other, port) if direction == "Egress" else Edge(other, mine, port)


def _ports(rule: Json, pod: Pod) -> list[int]:
    ports = [entry.get("port", ANY_PORT) for entry in rule.get("ports") or (_ANY,)]
    return [pod.ports.get(port, ANY_PORT) if isinstance(port, str) else port for port in ports]


def _names(objects: Objects, peer: Json, port: int) -> Iterator[str]:
    if "ipBlock" in peer:
        yield INTERNET
    elif "namespaceSelector" in peer:
        labels: Mapping[str, str] = peer["namespaceSelector"].get("matchLabels") or {}
        namespace = labels.get("kubernetes.io/metadata.name", EVERYBODY)
        elsewhere = _SERVERS_ELSEWHERE.get(port, namespace) if namespace == "sigmax-data" else namespace
        yield _NAMESPACES.get(namespace, elsewhere)
    elif "podSelector" in peer:
        yield from (pod.name for pod in objects.selected(peer["podSelector"]))
    else:
        yield EVERYBODY
