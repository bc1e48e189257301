"""The shape of each kind: schemas of two Kubernetes releases, and our own for kinds that operators bring."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import NAMESPACE, Manifest, Objects

VERSIONS = ("1.25", "1.37")
"""The oldest and the newest Kubernetes whose schemas are at hand; what both take, those between them take."""

_CORE = {
    "v1": ("Namespace", "ConfigMap", "Secret", "Service", "ServiceAccount", "PersistentVolumeClaim"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "batch/v1": ("Job",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "policy/v1": ("PodDisruptionBudget",),
    "networking.k8s.io/v1": ("NetworkPolicy", "Ingress"),
}
"""Exactly these: the schemas are looked up without the group's domain, so that `policy.example/v1` would pass."""
_CRDS = {
    ("keda.sh/v1alpha1", "ScaledObject"): "scaledobject.json",
    ("keda.sh/v1alpha1", "TriggerAuthentication"): "triggerauthentication.json",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "servicemonitor.json",
}


def check_shapes(objects: Objects) -> Iterator[Problem]:
    """Hold every object against the schema of its kind, unknown fields being mistakes."""
    for one in objects:
        for field, text in _problems(json.dumps(one.data, sort_keys=True)):
            yield Problem(one, field, text)


@cache  # variants have most of their objects in common
def _problems(text: str) -> tuple[tuple[str, str], ...]:
    data = json.loads(text)
    api, kind = str(data.get("apiVersion", "")), str(data.get("kind", ""))
    if (api, kind) in _CRDS:
        return tuple(_of_crd(data, _CRDS[api, kind]))
    if kind not in _CORE.get(api, ()):
        versions = [known for known, kinds in _CORE.items() if kind in kinds] or [a for a, k in _CRDS if k == kind]
        hint = f"it is in {versions[0]}" if versions else "teach sigmax_local.manifests.schemas its shape"
        return (("apiVersion", f"no kind {kind} is known in {api!r}: {hint}"),)
    return tuple(problem for version in VERSIONS for problem in _of_release(data, version))


def _of_crd(data: Any, file: str) -> Iterator[tuple[str, str]]:
    schema = json.loads(files("sigmax_local.manifests").joinpath("crds", file).read_text(encoding="utf-8"))
    for error in Draft202012Validator(schema).iter_errors(data):
        yield _place(error), error.message


def _of_release(data: Any, version: str) -> Iterator[tuple[str, str]]:
    validator = _validator(version, data["apiVersion"], data["kind"])
    if validator is None:
        yield "apiVersion", f"Kubernetes {version} has no {data['kind']} in {data['apiVersion']}"
        return
    for error in validator.iter_errors(data):
        yield _place(error), f"Kubernetes {version} refuses it: {error.message}"


@cache
def _validator(version: str, api: str, kind: str) -> Draft202012Validator | None:
    """Make the validator of a kind, strict: what the schema does not know is refused. None for an unknown kind."""
    group, _, api_version = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], api_version) if part)
    file = _release(version).joinpath(f"{name}.json")
    if not file.is_file():
        return None
    return Draft202012Validator(json.loads(file.read_text(encoding="utf-8")), registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    text = _release(version).joinpath("_definitions.json").read_text(encoding="utf-8")
    resource: Resource[Any] = Resource.from_contents(json.loads(text))
    return resource @ Registry()


def _release(version: str) -> Traversable:
    # The package's own function reads a megabyte of definitions anew for each object.
    return files("kubernetes_validate").joinpath("kubernetes-json-schema", f"v{version}.0-local-strict")


def _place(error: ValidationError) -> str:
    return ".".join(map(str, error.absolute_path))


def check_names(objects: Objects) -> Iterator[Problem]:
    """Names are what the API server takes, and everything is in the one namespace."""
    for one in objects:
        yield from _name_problems(one)


def _name_problems(one: Manifest) -> Iterator[Problem]:
    if not _is_label(one.name):
        yield Problem(one, "metadata.name", f"{one.name!r} is no DNS label: a-z, 0-9, and - inside, at most 63")
    if one.kind == "Namespace":
        return
    if one.namespace != NAMESPACE:
        yield Problem(
            one, "metadata.namespace", f"it is {one.namespace!r}: `namespace: {NAMESPACE}` in its kustomization"
        )


def _is_label(name: str) -> bool:
    inside = name.replace("-", "")
    is_plain = inside.isascii() and inside.isalnum() and inside == inside.lower()
    return is_plain and len(name) <= 63 and not name.startswith("-") and not name.endswith("-")
