"""Prometheus sees in a cluster what it sees in Compose, under the same names: the alerts are written once."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sigmax_local.environment import repository
from sigmax_local.manifests.__main__ import app
from sigmax_local.manifests.files import load_all
from sigmax_local.manifests.objects import Objects, matches
from sigmax_local.manifests.rendering import VARIANTS, KubectlMissingError, render_all

PROMETHEUS = repository() / "infra/prometheus"


@pytest.fixture(scope="module")
def objects() -> Objects:
    try:
        return render_all(repository() / "k8s", [VARIANTS[1]])[VARIANTS[1]]
    except KubectlMissingError as error:
        pytest.skip(f"manifests are not rendered: {error}")


def _scrapes(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the job and the endpoint of everything that the ServiceMonitors find."""
    for monitor in objects.of("ServiceMonitor"):
        for service in objects.of("Service"):
            if not matches(monitor.spec["selector"], service.labels):
                continue
            for endpoint in monitor.spec["endpoints"]:
                renamed = [one["replacement"] for one in endpoint.get("relabelings", ()) if one["targetLabel"] == "job"]
                yield (renamed or [service.labels[monitor.spec["jobLabel"]]])[0], endpoint


def test_jobs_have_the_names_and_paths_that_they_have_in_compose(objects: Objects) -> None:
    (config,) = load_all((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    in_compose = {
        (one["job_name"], one.get("metrics_path", "/metrics"), str(one.get("params", {})))
        for one in config["scrape_configs"]
        if one["job_name"] != "prometheus"
    }
    in_cluster = {(job, one["path"], str(one.get("params", {}))) for job, one in _scrapes(objects)}
    assert in_cluster == in_compose
    intervals = {(one["interval"], one["scrapeTimeout"]) for _, one in _scrapes(objects)}
    assert intervals == {(config["global"]["scrape_interval"], config["global"]["scrape_timeout"])}


def test_every_alert_is_in_the_rule_of_the_operator() -> None:
    done = CliRunner().invoke(app, ["rules"])
    rule = yaml.safe_load(done.stdout)
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    groups = [group for path in PROMETHEUS.glob("rules/*.yml") for group in load_all(path.read_text())[0]["groups"]]
    assert groups
    assert sorted(group["name"] for group in rule["spec"]["groups"]) == sorted(group["name"] for group in groups)
    assert all(group in rule["spec"]["groups"] for group in groups)
