"""What a service is told, it takes: its own settings class reads the environment that its pod would have."""

import importlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sigmax.runtime.settings import ServiceSettings, SettingsError
from sigmax.schemas.topology import SERVICES, owner_of
from sigmax_local.manifests.checks.references import keys_of
from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import SERVICE, Json, Objects, Pod

_PREFIX = "SIGMAX_"
_SECRETS_DIR = f"{_PREFIX}SECRETS_DIR"
_MOUNT = "/run/secrets"


def environment_of(objects: Objects, pod: Pod) -> dict[str, str]:
    """Give the variables that the manifests set in a pod's containers; what names nothing that exists is left out."""
    variables: dict[str, str] = {}
    for container in pod.containers:
        for source in container.data.get("envFrom") or ():
            variables |= keys_of(objects, "ConfigMap", (source.get("configMapRef") or {}).get("name", "")) or {}
        for one in container.data.get("env") or ():
            reference = (one.get("valueFrom") or {}).get("configMapKeyRef")
            if reference:
                held = keys_of(objects, "ConfigMap", reference["name"]) or {}
                variables |= {one["name"]: held[reference["key"]]} if reference["key"] in held else {}
            elif "value" in one:
                variables[one["name"]] = one["value"]
    return variables


def secrets_of(objects: Objects, pod: Pod) -> dict[str, str]:
    """Give the files that a pod finds below `/run/secrets`, by their path in it; optional Secrets are absent."""
    mounted = {
        mount["name"]
        for container in pod.containers
        for mount in container.data.get("volumeMounts") or ()
        if mount["mountPath"] == _MOUNT
    }
    files: dict[str, str] = {}
    for volume in pod.spec.get("volumes") or ():
        if volume["name"] in mounted:
            sources = (volume.get("projected") or {}).get("sources") or (volume,)
            for source in sources:
                files |= _files(objects, source.get("secret") or {})
    return files


def _files(objects: Objects, secret: Json) -> dict[str, str]:
    held = keys_of(objects, "Secret", secret.get("secretName") or secret.get("name", "")) or {}
    if "items" not in secret:
        return held
    return {item["path"]: held[item["key"]] for item in secret["items"] if item["key"] in held}


def check_settings(objects: Objects) -> Iterator[Problem]:
    """Every service of ours starts with what its pod is given, and knows every variable that it is given."""
    for pod in objects.pods:
        if pod.component != SERVICE:
            continue
        if pod.name not in SERVICES:
            yield Problem(pod.owner, "metadata.labels", f"{pod.name!r} is no service of sigmax.schemas.topology")
            continue
        given = environment_of(objects, pod)
        settings = _settings_of(pod.name)
        known = {_PREFIX + name.upper() for name in settings.model_fields}
        for name in sorted(name for name in given if name.startswith(_PREFIX) and name not in known):
            yield Problem(pod.owner, name, f"{pod.name} has no such setting: see {settings.__module__}")
        refusal = _refusal(pod.name, tuple(given.items()), tuple(secrets_of(objects, pod).items()))
        if refusal:
            yield Problem(pod.owner, "environment", refusal)


@cache  # variants tell most of their services the same
def _refusal(service: str, given: tuple[tuple[str, str], ...], secrets: tuple[tuple[str, str], ...]) -> str | None:
    with _only(dict(given), dict(secrets)):
        try:
            _settings_of(service).load()
        except SettingsError as error:
            return str(error)
    return None


def _settings_of(service: str) -> type[ServiceSettings]:
    settings: type[ServiceSettings] = importlib.import_module(f"{owner_of(service)}.settings").Settings
    return settings


@contextmanager
def _only(variables: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[None]:
    """Let the process have these variables of ours and these secrets, and no others, for a moment."""
    before = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    with tempfile.TemporaryDirectory(prefix="sigmax-settings-") as folder:
        for name, value in secrets.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value, encoding="utf-8")
        for name in before:
            del os.environ[name]
        ours = {name: value for name, value in variables.items() if name.startswith(_PREFIX)}
        os.environ.update({**ours, _SECRETS_DIR: folder})
        try:
            yield
        finally:
            for name in (*ours, _SECRETS_DIR):
                os.environ.pop(name, None)
            os.environ.update(before)
