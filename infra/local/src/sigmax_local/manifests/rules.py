"""The alerts of `infra/prometheus` as the one object that the Prometheus operator reads them from."""

from pathlib import Path
from typing import Any

from sigmax_local.manifests.files import load_all
from sigmax_local.manifests.objects import NAMESPACE


def prometheus_rule(folder: Path) -> dict[str, Any]:
    """Make a PrometheusRule of all rule files in `folder`. Raises `OSError` and `yaml.YAMLError`."""
    contents = [load_all(path.read_text(encoding="utf-8"))[0] for path in sorted(folder.glob("*.yml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "sigmax", "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": NAMESPACE}},
        "spec": {"groups": [group for content in contents for group in content["groups"]]},
    }
