"""Rendered manifests, and the pods they make."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Json = Mapping[str, Any]

NAMESPACE = "sigmax"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
NAME_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
SERVICE, SERVER, JOB = "service", "server", "job"
"""Values of the label `app.kubernetes.io/component`: what a pod is."""


@dataclass(frozen=True)
class Manifest:
    """One object, and the file it was written in."""

    data: Json
    file: str

    @property
    def kind(self) -> str:
        """Give the kind, such as `Deployment`."""
        return str(self.data.get("kind", ""))

    @property
    def name(self) -> str:
        """Give the name."""
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str | None:
        """Give the namespace; None where none is named."""
        return self.metadata.get("namespace")

    @property
    def metadata(self) -> Json:
        """Give the metadata."""
        return self.data.get("metadata") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        """Give the object's own labels."""
        return self.metadata.get("labels") or {}

    @property
    def spec(self) -> Json:
        """Give the spec; empty for kinds that have none."""
        return self.data.get("spec") or {}


@dataclass(frozen=True)
class Container:
    """A container of a pod, and where it stands."""

    data: Json
    path: str

    @property
    def ports(self) -> dict[str, int]:
        """Give the ports that have names."""
        return {port["name"]: port["containerPort"] for port in self.data.get("ports") or () if "name" in port}


@dataclass(frozen=True)
class Pod:
    """What a workload starts."""

    owner: Manifest

    @property
    def name(self) -> str:
        """Give the name its label says, which policies and services know it by."""
        return self.labels.get(NAME_LABEL, self.owner.name)

    @property
    def component(self) -> str:
        """Give what it is: a service, a server, or a job."""
        return self.labels.get(COMPONENT_LABEL, "")

    @property
    def template(self) -> Json:
        """Give the pod's template."""
        return self.owner.spec.get("template") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        """Give the labels that selectors see."""
        return (self.template.get("metadata") or {}).get("labels") or {}

    @property
    def spec(self) -> Json:
        """Give the pod's spec."""
        return self.template.get("spec") or {}

    @property
    def path(self) -> str:
        """Give where the pod's spec stands in its owner."""
        return "spec.template.spec"

    @property
    def containers(self) -> list[Container]:
        """Give all containers, those that run before the others first."""
        return [
            Container(data, f"{self.path}.{key}[{data.get('name', index)}]")
            for key in ("initContainers", "containers")
            for index, data in enumerate(self.spec.get(key) or ())
        ]

    @property
    def ports(self) -> dict[str, int]:
        """Give the ports that have names, of all containers."""
        return {name: port for container in self.containers for name, port in container.ports.items()}

    def has_port(self, port: str | int) -> bool:
        """Say whether a container opens a port of that name or number."""
        numbers = {one["containerPort"] for part in self.containers for one in part.data.get("ports") or ()}
        return port in self.ports if isinstance(port, str) else port in numbers


class Objects:
    """All manifests of one rendering."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.manifests = list(manifests)

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.manifests)

    def of(self, *kinds: str) -> list[Manifest]:
        """Give the objects of some kinds."""
        return [one for one in self.manifests if one.kind in kinds]

    def find(self, kind: str, name: str) -> Manifest | None:
        """Give the object of that kind and name; None when there is none."""
        return next((one for one in self.manifests if (one.kind, one.name) == (kind, name)), None)

    @cached_property
    def pods(self) -> list[Pod]:
        """Give one pod for each workload."""
        return [Pod(one) for one in self.of(*WORKLOADS)]

    def selected(self, selector: Json) -> list[Pod]:
        """Give the pods that a label selector takes."""
        return [pod for pod in self.pods if matches(selector, pod.labels)]


def matches(selector: Json, labels: Mapping[str, str]) -> bool:
    """Say whether a label selector takes these labels. An empty one takes all."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def walk(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value inside `value` with its path."""
    yield path, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from walk(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, f"{path}[{index}]")
