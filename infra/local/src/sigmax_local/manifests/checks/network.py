"""Network policies name pods and ports that exist, and begin with nothing at all."""

import ipaddress
from collections.abc import Iterator

from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import Json, Manifest, Objects, Pod

_INSIDE = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
"""Where clusters, their nodes, and the node's own metadata are."""
_DIRECTIONS = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))


def check_policies(objects: Objects) -> Iterator[Problem]:
    """Everything is denied at first; each policy then takes pods, peers, and ports that exist."""
    if not any(_denies_all(one) for one in objects.of("NetworkPolicy")):
        for one in objects.of("Namespace"):
            yield Problem(
                one, "", "no NetworkPolicy denies everything: one with `podSelector: {}`, both types, no rules"
            )
    for one in objects.of("NetworkPolicy"):
        if "policyTypes" not in one.spec:
            yield Problem(one, "spec.policyTypes", "it is missing: say whether Ingress, Egress, or both are meant")
        selected = objects.selected(one.spec.get("podSelector") or {})
        if not selected:
            yield Problem(one, "spec.podSelector", "it selects no pod: take the labels of the workload's template")
        for kind, key, peers in _DIRECTIONS:
            if key in one.spec and kind not in one.spec.get("policyTypes", (kind,)):
                yield Problem(one, "spec.policyTypes", f"{kind} is not in it, so that its rules do nothing")
            for index, rule in enumerate(one.spec.get(key) or ()):
                yield from _rule_problems(objects, one, f"spec.{key}[{index}]", (selected, rule, peers))


def _denies_all(one: Manifest) -> bool:
    has_rules = one.spec.get("ingress") or one.spec.get("egress")
    return (
        not one.spec.get("podSelector")
        and set(one.spec.get("policyTypes", ())) == {"Ingress", "Egress"}
        and not has_rules
    )


def _rule_problems(objects: Objects, one: Manifest, field: str, said: tuple[list[Pod], Json, str]) -> Iterator[Problem]:
    selected, rule, key = said
    if not rule.get(key):
        yield Problem(one, f"{field}.{key}", "without peers the rule is about everybody: name them")
    if not rule.get("ports") or any("port" not in port for port in rule["ports"]):
        yield Problem(one, f"{field}.ports", "without ports the rule opens all of them: name them")
    for peer in rule.get(key) or ():
        if "ipBlock" in peer:
            yield from _block_problems(one, f"{field}.{key}", peer["ipBlock"])
            continue
        if "namespaceSelector" in peer:
            if not peer["namespaceSelector"]:
                yield Problem(one, f"{field}.{key}", "an empty namespaceSelector takes every namespace: name one")
            continue  # what is in there is not ours to know
        peers = objects.selected(peer.get("podSelector") or {})
        if not peers:
            yield Problem(one, f"{field}.{key}", f"no pod has the labels {peer['podSelector']}")
        if key == "to":
            yield from _port_problems(one, field, rule, peers)
    if key == "from":
        yield from _port_problems(one, field, rule, selected)


def _port_problems(one: Manifest, field: str, rule: Json, pods: list[Pod]) -> Iterator[Problem]:
    for port in rule.get("ports") or ():
        for pod in pods:
            if "port" in port and not pod.has_port(port["port"]):
                yield Problem(one, f"{field}.ports", f"the pods of {pod.owner.name} open no port {port['port']!r}")


def _block_problems(one: Manifest, field: str, block: Json) -> Iterator[Problem]:
    try:
        whole = ipaddress.ip_network(block["cidr"])
        parts = [ipaddress.ip_network(part) for part in block.get("except") or ()]
    except ValueError as error:
        yield Problem(one, field, f"{error}: write a network such as 10.0.0.0/8")
        return
    for part in parts:
        if part.version != whole.version or not part.subnet_of(whole):  # type: ignore[arg-type]
            yield Problem(one, field, f"the exception {part} does not lie in {whole}")
    for inside in map(ipaddress.ip_network, _INSIDE):
        if inside.version == whole.version and inside.subnet_of(whole) and inside not in parts:  # type: ignore[arg-type]
            yield Problem(one, field, f"{inside} is not excepted, and with it the cluster or its nodes are in reach")
