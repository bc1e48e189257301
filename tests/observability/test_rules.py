"""The alert rules: they are sound, each fires just beyond its limit, and each has its section in the runbook."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sigmax.runtime.rights import QUEUE_LENGTH_MAX
from sigmax.runtime.service_levels import EDGES, Step
from sigmax.schemas.market import SHARDS
from sigmax.schemas.topology import SERVICES

PROMETHEUS = Path(__file__).parents[2] / "infra" / "prometheus"
SEVERITIES = {"info", "warning", "danger", "critical"}
SECTIONS = ("What every service measures", "How to read and change them")
Rules = dict[str, list[dict[str, Any]]]


def sections() -> dict[str, str]:
    """Give the runbook's sections by their headings."""
    parts = re.split(r"^## (.+)$", (PROMETHEUS / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_promtool_finds_the_rules_sound(tool: Any) -> None:
    checked = tool("promtool", "check", "rules", *_files("rules"))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_just_beyond_its_limit_and_not_just_below(tool: Any) -> None:
    checked = tool("promtool", "test", "rules", *_files("tests"))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_finds_the_settings_of_prometheus_sound(tool: Any) -> None:
    checked = tool("promtool", "check", "config", "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_amtool_finds_the_settings_of_alertmanager_sound(tool: Any) -> None:
    checked = tool("amtool", "check-config", "alertmanager.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_tested_at_each_of_its_levels_on_both_sides(alerts: list[dict[str, Any]]) -> None:
    fires: set[tuple[str, str]] = set()
    is_silent: set[tuple[str, str]] = set()
    for path in (PROMETHEUS / "tests").glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for look in case["promql_expr_test"]:
                name, severity = re.findall(r'alertname="(\w+)", severity="(\w+)"', look["expr"])[0]
                (fires if look["exp_samples"] else is_silent).add((name, severity))

    known = {(rule["alert"], rule["labels"]["severity"]) for rule in alerts}
    assert fires == known
    assert is_silent == known


def test_every_alert_says_how_bad_it_is_what_it_saw_and_where_to_read_on(alerts: list[dict[str, Any]]) -> None:
    for rule in alerts:
        assert rule["labels"]["severity"] in SEVERITIES, rule["alert"]
        notes = rule["annotations"]
        assert notes.keys() == {"summary", "description", "runbook_url"}, rule["alert"]
        assert notes["runbook_url"] == f"infra/prometheus/README.md#{rule['alert'].lower()}"
        assert re.search(r"\d|\$value|\$labels", notes["description"]), f"{rule['alert']} shows no number"


def test_alerts_name_only_labels_that_their_expressions_leave(alerts: list[dict[str, Any]]) -> None:
    for rule in alerts:
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
        if grouped:
            kept = set(grouped[0].replace(" ", "").split(","))
        elif re.match(r"\s*(min|max|sum|count|absent)\(", rule["expr"]):
            kept = set()
        else:
            kept = {"service", "instance", "step"}
        assert used <= kept, rule["alert"]


def test_every_alert_has_its_section_in_the_runbook_and_the_runbook_has_no_other(alerts: list[dict[str, Any]]) -> None:
    written = [name for name in sections() if name not in SECTIONS]

    assert written == sorted({rule["alert"] for rule in alerts})


@pytest.mark.parametrize("what", ["Means", "Look", "Do"])
def test_every_section_says_what_it_means_where_to_look_and_what_to_do(what: str) -> None:
    for name, text in sections().items():
        assert f"- **{what}**: " in text or name in SECTIONS, name


def test_links_within_the_runbook_lead_somewhere() -> None:
    anchors = {name.lower().replace(" ", "-") for name in sections()}

    assert set(re.findall(r"\(#([\w-]+)\)", "".join(sections().values()))) <= anchors


@pytest.mark.integration
async def test_every_look_into_the_database_that_the_runbook_gives_can_be_taken(servers: Any) -> None:
    import asyncpg

    looks = [" ".join(look.split()) for look in re.findall(r"`(SELECT [^`]+)`", "".join(sections().values()))]
    connection = await asyncpg.connect(servers.admin_urls[0])
    try:
        for look in looks:
            await connection.fetch(look.replace("<schema>", "order_worker"))
    finally:
        await connection.close()
    assert len(looks) > 20


def test_the_rules_of_the_service_levels_have_the_edges_that_the_services_measure_with(rules: Rules) -> None:
    edges: dict[tuple[str, str], float] = {}
    for rule in rules["service_levels.yml"]:
        if rule.get("record") == "sigmax:service_level_slow:ratio5m":
            (step,) = set(re.findall(r'step="(\w+)"', rule["expr"]))
            (edge,) = re.findall(r'le="([\d.]+)"', rule["expr"])
            assert step == rule["labels"]["step"]
            edges[step, rule["labels"]["level"]] = float(edge)

    # There is no verifier: a rule for a step that nobody measures would look as if somebody did.
    measured = {step: edge for step, edge in EDGES.items() if step is not Step.VERIFICATION}
    assert edges == {
        (step.value, level): bound
        for step, edge in measured.items()
        for level, bound in (("warning", edge.warning_s), ("danger", edge.danger_s))
    }


def test_the_rules_know_the_platforms_own_limits(rules: Rules) -> None:
    assert f"< {SHARDS}" in next(rule["expr"] for rule in rules["market.yml"] if rule.get("alert") == "ShardsUnheld")
    fullness = [rule["expr"] for rule in rules["messaging.yml"] if rule.get("alert") == "QueueGrowing"][1]
    assert fullness.endswith(f"> {QUEUE_LENGTH_MAX * 8 // 10}")


def test_every_metric_stands_in_the_readme_of_its_service_or_in_the_runbook() -> None:
    root = PROMETHEUS.parents[1]
    places = {service: root / "services" / service for service in SERVICES}
    for service, folder in {**places, "": root / "shared"}.items():
        prefix = f"sigmax_{service.replace('-', '_')}_"
        written = ((folder if service else PROMETHEUS) / "README.md").read_text(encoding="utf-8")
        sources = "".join(path.read_text(encoding="utf-8") for path in (folder / "src").rglob("*.py"))
        for kind, name in re.findall(r'\b(Counter|Gauge|Histogram|Info)\(\s*"(sigmax_\w+)"', sources):
            told = f"{name}_info" if kind == "Info" else name
            assert told in written or told.removeprefix(prefix) in written, f"{told} of {service or 'shared'}"


def test_prometheus_scrapes_every_service() -> None:
    (job,) = (
        job
        for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
        if job["job_name"] == "sigmax"
    )

    assert set(SERVICES) | {"order-worker-live"} == set(job["dns_sd_configs"][0]["names"])


def _files(folder: str) -> list[str]:
    return sorted(f"{folder}/{path.name}" for path in (PROMETHEUS / folder).glob("*.yml"))
