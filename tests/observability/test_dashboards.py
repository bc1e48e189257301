"""The dashboards: valid, and every panel says what it shows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from observability_expressions import dashboards, panels, without_variables

GRAFANA = Path(__file__).parents[2] / "infra" / "grafana"
NAMES = {"pipeline", "orders", "risk", "models", "venues", "servers"}
WIDTH = 24


def _shown() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            yield f"{name}: {panel['title']}", panel


def test_there_is_a_dashboard_for_each_part_and_no_two_share_an_id() -> None:
    found = dashboards()

    assert found.keys() == NAMES
    assert len({dashboard["uid"] for dashboard in found.values()}) == len(found)
    for dashboard in found.values():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids)), dashboard["title"]


def test_every_panel_has_a_title_a_unit_and_a_description() -> None:
    for place, panel in _shown():
        assert panel["title"].strip(), place
        assert panel["description"].strip().endswith("."), place
        assert panel["fieldConfig"]["defaults"]["unit"], place
        assert panel["targets"], place


def test_no_panel_lies_over_another_or_beyond_the_edge() -> None:
    for dashboard in dashboards().values():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= WIDTH, panel["title"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{dashboard['title']}: {panel['title']}"
            taken |= cells


def test_every_target_asks_the_datasource_that_is_provisioned() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "sigmax.yml").read_text())
    uids = {source["uid"] for source in provisioned["datasources"]}

    for place, panel in _shown():
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"]["uid"] in uids, place


def test_the_provider_reads_the_folder_that_is_mounted() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "sigmax.yml").read_text())["providers"]

    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert "/var/lib/grafana/dashboards" in (GRAFANA / "README.md").read_text()


def test_promtool_can_read_every_expression(tool: Any, scratch: Path) -> None:
    expressions = {target["expr"] for _, panel in _shown() for target in panel["targets"]}
    rules = [
        {"record": f"panel:{number}", "expr": without_variables(expression)}
        for number, expression in enumerate(sorted(expressions))
    ]
    (scratch / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    checked = tool("promtool", "check", "rules", "panels.yml", folder=scratch)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_dashboard_is_written_as_it_is_stored(name: str) -> None:
    text = (GRAFANA / "dashboards" / f"{name}.json").read_text(encoding="utf-8")

    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
