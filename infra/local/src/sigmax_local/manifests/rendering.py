"""What `kubectl kustomize` makes of `k8s/`, with placeholders for secrets, in a copy that is thrown away."""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sigmax_local.manifests.files import load_all
from sigmax_local.manifests.objects import NAMESPACE, Manifest, Objects

_ORIGIN = "config.kubernetes.io/origin"
_TIMEOUT_S = 60
_OLDEST = (1, 27)
_HOW = (
    f"needed is {_OLDEST[0]}.{_OLDEST[1]} or later: Debian trixie's package kubernetes-client, or "
    "https://kubernetes.io/docs/tasks/tools"
)


@dataclass(frozen=True)
class Variant:
    """An overlay with some components: what a person may apply."""

    overlay: str
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.overlay + "".join(f"+{name}" for name in self.components)


VARIANTS = (
    Variant("paper"),
    Variant("paper", ("monitoring", "monitoring-rabbitmq", "keda", "keda-rabbitmq")),
    Variant("live"),
    Variant("live", ("monitoring", "keda")),
)


class KubectlMissingError(RuntimeError):
    """There is nothing to render with. The text says how to get it."""


class RenderError(RuntimeError):
    """kustomize refused. The text is its own."""


@cache
def find_kubectl() -> str:
    """Give the path of kubectl. Raises `KubectlMissingError`, also for one that is too old for what is written here."""
    path = shutil.which("kubectl")
    if path is None:
        raise KubectlMissingError(f"kubectl is not installed ({_HOW})")
    command = [path, "version", "--client", "--output=json"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S).stdout
    version = json.loads(told or "{}").get("clientVersion", {})
    major, minor = (int(version.get(part, "0").rstrip("+")) for part in ("major", "minor"))
    if (major, minor) < _OLDEST:
        raise KubectlMissingError(f"{path} is of version {major}.{minor} ({_HOW})")
    return path


def variants_of(folder: Path) -> list[Variant]:
    """Give the variants of ours, and the overlays beside them that people have made for themselves."""
    ours = {variant.overlay for variant in VARIANTS}
    there = sorted(path.parent.name for path in folder.glob("overlays/*/kustomization.yaml"))
    return [*VARIANTS, *(Variant(overlay) for overlay in there if overlay not in ours)]


def copy_without_secrets(folder: Path, copy: Path) -> None:
    """Copy manifests, and of their secrets only the lists."""
    shutil.copytree(folder, copy, ignore=_secret_values)


def render_all(folder: Path, variants: Iterable[Variant] = VARIANTS) -> dict[Variant, Objects]:
    """Render the variants of the manifests in `folder`; no secret in it is read.

    Raises `KubectlMissingError`, and `RenderError` with kustomize's words.
    """
    kubectl = find_kubectl()
    with tempfile.TemporaryDirectory(prefix="sigmax-manifests-") as temporary:
        copy = Path(temporary) / folder.name
        copy_without_secrets(folder, copy)
        for kustomization in copy.glob("overlays/*/secrets/kustomization.yaml"):
            _write_placeholders(kustomization)
        return {variant: _render(kubectl, copy, variant) for variant in variants}


def listed_secrets(kustomization: Path) -> list[str]:
    """Give the files that a kustomization makes Secrets of: `risk_gate/approval_key`."""
    (content,) = load_all(kustomization.read_text(encoding="utf-8"))
    listed = [file for generator in content.get("secretGenerator") or () for file in generator.get("files") or ()]
    return [file.partition("=")[2] or file for file in listed]


def placeholder(name: str) -> str:
    """Give a value that is as long as a real secret, and the same each time."""
    return hashlib.sha256(f"placeholder for {name}".encode()).hexdigest()


def _secret_values(folder: str, names: list[str]) -> list[str]:
    if Path(folder).name != "secrets":
        return []
    return [name for name in names if name != "kustomization.yaml"]


def _write_placeholders(kustomization: Path) -> None:
    for name in listed_secrets(kustomization):
        path = kustomization.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(placeholder(name), encoding="ascii")


def _render(kubectl: str, copy: Path, variant: Variant) -> Objects:
    root = copy / "rendered"
    root.mkdir(exist_ok=True)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [f"../overlays/{variant.overlay}"],
        "components": [f"../components/{name}" for name in variant.components],
        # So that a problem can be told with the file it stands in.
        "buildMetadata": ["originAnnotations"],
    }
    (root / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    command = [kubectl, "kustomize", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    # A warning is about a field that a later kustomize will not know.
    if done.returncode != 0 or done.stderr.strip():
        raise RenderError(done.stderr.strip().replace(str(copy), copy.name))
    return Objects([_manifest(document, copy.name) for document in load_all(done.stdout)])


def _manifest(document: dict[str, Any], root: str) -> Manifest:
    metadata = document["metadata"]
    annotations = metadata.get("annotations") or {}
    origin = yaml.safe_load(annotations.pop(_ORIGIN, "{}"))
    if not annotations:
        metadata.pop("annotations", None)
    path = origin.get("path") or origin.get("configuredIn") or "rendered"
    return Manifest(document, f"{root}/{path.removeprefix('../')}")
