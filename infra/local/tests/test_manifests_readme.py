"""What people read about Kubernetes names every secret, every alert, and every component."""

import re
from pathlib import Path

import pytest

from sigmax_local.environment import repository
from sigmax_local.manifests.checks import check_all
from sigmax_local.manifests.files import load_all
from sigmax_local.manifests.rendering import (
    KubectlMissingError,
    Variant,
    copy_without_secrets,
    listed_secrets,
    render_all,
    variants_of,
)
from sigmax_local.manifests.schemas import VERSIONS

REPOSITORY = repository()
K8S = REPOSITORY / "k8s"
README = (K8S / "README.md").read_text(encoding="utf-8")
DERIVED = {"redis_users.acl", "rabbitmq_definitions.json"}


def _section(title: str) -> str:
    return README.split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]


def test_every_secret_has_its_way_to_be_changed() -> None:
    listed = {
        name.split("/")[1]
        for overlay in ("paper", "live")
        for name in listed_secrets(K8S / "overlays" / overlay / "secrets/kustomization.yaml")
    }
    rotation = _section("Rotate a secret")
    assert {name for name in listed - DERIVED if name not in rotation} == set()
    assert {name for name in ("model_api_key", "channels", "gateway-tls") if name not in rotation} == set()


def test_every_alert_is_linked_to_its_entry() -> None:
    rules = (REPOSITORY / "infra/prometheus/rules").glob("*.yml")
    contents = [load_all(path.read_text(encoding="utf-8"))[0] for path in rules]
    alerts = {
        rule["alert"] for one in contents for group in one["groups"] for rule in group["rules"] if "alert" in rule
    }
    linked = dict(re.findall(r"\[(\w+)\]\(\.\./infra/prometheus/README\.md#(\w+)\)", _section("Runbook")))
    assert linked == {alert: alert.lower() for alert in alerts}


def test_every_link_leads_somewhere() -> None:
    headings = (REPOSITORY / "infra/prometheus/README.md").read_text(encoding="utf-8")
    anchors = {title.strip().lower() for title in re.findall(r"^## (.+)$", headings, re.MULTILINE)}
    for path, anchor in re.findall(r"\]\((\.\./[^)#]+)#?([^)]*)\)", README):
        assert (K8S / path).exists(), path
        assert not anchor or anchor in anchors, anchor


def test_every_component_and_both_releases_are_named() -> None:
    for path in K8S.glob("components/*"):
        assert f"`{path.name}`" in README or f"components/{path.name}" in README, path.name
    assert f"Kubernetes {VERSIONS[0]} and {VERSIONS[1]}" in README
    assert f"Kubernetes {VERSIONS[0]} or later" in README


def test_the_overlay_that_people_are_shown_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "k8s"
    copy_without_secrets(K8S, folder)
    example = README.split("```yaml\n# k8s/overlays/mine/kustomization.yaml\n", 1)[1].split("```", 1)[0]
    (folder / "overlays/mine").mkdir()
    (folder / "overlays/mine/kustomization.yaml").write_text(example, encoding="utf-8")
    try:
        mine = variants_of(folder)[-1]
        (objects,) = render_all(folder, [mine]).values()
    except KubectlMissingError as error:
        pytest.skip(f"manifests are not rendered: {error}")
    assert mine == Variant("mine")
    assert [str(finding) for finding in check_all(objects)] == []
    assert [rule["host"] for one in objects.of("Ingress") for rule in one.spec["rules"]] == ["desk.example"]
