"""What rules and panels ask for: the metrics and labels that their expressions name."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[2] / "infra"
_SELECTOR = re.compile(r"([a-zA-Z_][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_WORDS = frozenset({"histogram_quantile"})
"""Functions whose names look like those of metrics; all others have no underscore."""


@dataclass(frozen=True)
class Asked:
    """One selector: a metric, the labels its matchers name with the values that must be there, and where it stands."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    """A label with the value an equality asks for; an empty value asks for the label alone."""
    place: str


def without_variables(expression: str) -> str:
    """Put a duration in the place of what Grafana fills in."""
    return expression.replace("$__rate_interval", "1m")


def selectors(expression: str, place: str) -> list[Asked]:
    """Give the selectors of one expression."""
    plain = without_variables(expression)
    grouped = {label.strip() for labels in _GROUPING.findall(plain) for label in labels.split(",") if label.strip()}
    bare = re.sub(r"\[[^\]]*\]|offset \w+", " ", _GROUPING.sub(" ", plain))
    found = []
    for name, matchers in _SELECTOR.findall(bare):
        if name in _WORDS or ("_" not in name and name not in ("up", "ALERTS")):
            continue
        labels = [(label, value if operator == "=" else "") for label, operator, value in _MATCHER.findall(matchers)]
        found.append(Asked(name, tuple(labels), place))
    if len(found) == 1:  # what is grouped by must be a label of the one metric there is
        named = {label for label, _ in found[0].labels}
        extra = tuple((label, "") for label in sorted(grouped - named))
        found = [Asked(found[0].metric, found[0].labels + extra, place)]
    return found


def dashboards() -> dict[str, dict[str, Any]]:
    """Give every dashboard by the name of its file."""
    return {
        path.stem: json.loads(path.read_text()) for path in sorted((INFRA / "grafana" / "dashboards").glob("*.json"))
    }


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the panels that show something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def everything_asked() -> list[Asked]:
    """Give every selector of all rules and panels."""
    found = []
    for path in sorted((INFRA / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                found += selectors(rule["expr"], f"{path.name}: {rule.get('alert') or rule['record']}")
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                found += selectors(target["expr"], f"{name}: {panel['title']}")
    return found


def recorded() -> set[str]:
    """Give the names that recording rules make."""
    return {
        rule["record"]
        for path in (INFRA / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
