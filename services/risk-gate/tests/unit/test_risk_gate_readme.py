"""The table of controls in the README says what the code does: its settings, start values, codes, and tests exist."""

import re
from pathlib import Path

import pytest

from risk_gate.domain.limits import START_LIMITS, RiskLimits
from sigmax.schemas.types import DenialCode

HOME = Path(__file__).parents[2]
README = (HOME / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in README.splitlines()
    if re.match(r"\| \d+ \|", line) and line.count("|") == 7
]
TESTS = set(re.findall(r"def (test_\w+)", "".join(path.read_text("utf-8") for path in (HOME / "tests").rglob("*.py"))))
NOT_CONTROLS = {
    "version",
    "posture",
    "posture_limit_share_pct",
    "working_s_max",
    "strategy_budget_pct",
    "trade_risk_max_pct",
    "volatility_assumed_pct",
    "limit_offset_bps",
    "dca_adds_max",
    "dca_spacing_pct",
    "dca_size_max_pct",
    "resting_step_pct",
    "resting_apart_s_min",
}
"""How an order is sized and priced, and how a stop follows; explained below the table."""


def named(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_all_36_controls_have_their_line() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 37))


def test_of_each_control_it_is_said_where_its_facts_come_from() -> None:
    told = re.findall(r"^\| ([\d ]+) \| ", README.split("**Where the facts come from.**")[1], re.MULTILINE)
    assert sorted(int(number) for cell in told for number in cell.split()) == list(range(1, 37))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_line_names_codes_and_tests_that_exist(row: list[str]) -> None:
    codes, tests = named(row[2]), named(row[5])
    assert codes
    assert set(codes) <= set(DenialCode)
    assert tests
    assert set(tests) <= TESTS


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_line_gives_the_start_value_of_each_setting(row: list[str]) -> None:
    settings = [name for name in named(row[3]) if name in RiskLimits.model_fields]
    for name in settings:
        value = getattr(START_LIMITS, name)
        if isinstance(value, dict | tuple) or value is None:
            continue
        shown = str(value).lower()
        assert shown in re.findall(r"[\w.]+", row[4]), name


def test_every_limit_and_every_code_has_its_line() -> None:
    settings = {name for row in ROWS for name in named(row[3])}
    assert settings >= set(RiskLimits.model_fields) - NOT_CONTROLS
    assert all(f"`{name}`" in README for name in NOT_CONTROLS - {"version"})
    codes = {code for row in ROWS for code in named(row[2])}
    assert codes | {"dca_exceeded"} == set(DenialCode)
