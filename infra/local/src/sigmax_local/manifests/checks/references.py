"""Every Secret, ConfigMap, key, and account that a pod names exists."""

import base64
from collections.abc import Iterator

from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import Json, Manifest, Objects, Pod

_KINDS = {
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secret": "Secret",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}
Reference = tuple[str, str, str, list[str]]
"""Where it stands, kind, name, keys."""


def keys_of(objects: Objects, kind: str, name: str) -> dict[str, str] | None:
    """Give what a Secret or ConfigMap holds, in plain text; None when there is none."""
    one = objects.find(kind, name)
    if one is None:
        return None
    plain = {**(one.data.get("data") or {}), **(one.data.get("stringData") or {})}
    if kind == "ConfigMap":
        return plain
    encoded = one.data.get("data") or {}
    return {key: _decoded(value) or "" if key in encoded else value for key, value in plain.items()}


def check_references(objects: Objects) -> Iterator[Problem]:
    """What a pod or KEDA reads is there, key by key; optional ones may be absent."""
    for pod in objects.pods:
        for field, kind, name, keys in _references(pod):
            yield from _missing(objects, pod.owner, (field, kind, name, keys))
    for one in objects.of("TriggerAuthentication"):
        for field, kind in (("configMapTargetRef", "ConfigMap"), ("secretTargetRef", "Secret")):
            for target in one.spec.get(field) or ():
                yield from _missing(objects, one, (f"spec.{field}", kind, target["name"], [target["key"]]))
    for one in objects.of("Secret"):
        for key, value in (one.data.get("data") or {}).items():
            if _decoded(value) is None:
                yield Problem(one, f"data.{key}", "it is not base64: plain text stands in stringData")


def check_accounts(objects: Objects) -> Iterator[Problem]:
    """Every pod has an account of its own, which exists."""
    for pod in objects.pods:
        account = pod.spec.get("serviceAccountName", "default")
        if account == "default" or objects.find("ServiceAccount", account) is None:
            text = f"there is no ServiceAccount {account!r} of ours: add one beside the workload"
            yield Problem(pod.owner, f"{pod.path}.serviceAccountName", text)


def _missing(objects: Objects, owner: Manifest, reference: Reference) -> Iterator[Problem]:
    field, kind, name, keys = reference
    there = keys_of(objects, kind, name)
    if there is None:
        yield Problem(owner, field, f"there is no {kind} {name!r}: add it to the kustomization's generators")
        return
    for key in keys:
        if key not in there:
            yield Problem(
                owner, field, f"{kind} {name!r} has no key {key!r} (it has {', '.join(sorted(there)) or 'none'})"
            )


def _references(pod: Pod) -> Iterator[Reference]:
    for container in pod.containers:
        for source in container.data.get("envFrom") or ():
            yield from _of(f"{container.path}.envFrom", source)
        for variable in container.data.get("env") or ():
            yield from _of(f"{container.path}.env[{variable['name']}]", variable.get("valueFrom") or {})
    for volume in pod.spec.get("volumes") or ():
        field = f"{pod.path}.volumes[{volume['name']}]"
        yield from _of(field, volume)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _of(field, source)


def _of(field: str, source: Json) -> Iterator[Reference]:
    for key, kind in _KINDS.items():
        target = source.get(key)
        if not isinstance(target, dict) or target.get("optional"):
            continue
        keys = [item["key"] for item in target.get("items") or ()]
        keys += [target["key"]] if "key" in target else []
        yield field, kind, target.get("secretName") or target["name"], keys


def _decoded(value: str) -> str | None:
    """Decode a value of a Secret, which may be broken into lines; None when it is no base64 of a text."""
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8")
    except ValueError:
        return None
