"""The commands over whatever runs: processes, containers, both, or nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sigmax_local import cli, looking, stacks
from sigmax_local.gateway import GatewayError
from sigmax_local.runs import Kind, Part, StackError


class FakeStack:
    """A stack that is found running."""

    gateway_url = "http://gateway.test"
    prices = "recorded trades"
    secrets = Path("/nowhere")

    def __init__(self, kind: Kind, *parts: Part) -> None:
        self.kind = kind
        self.parts = parts or (Part("risk-gate", "ready", 1, "7"),)
        self.is_down = False

    @property
    def is_ready(self) -> bool:
        return all(part.is_ready for part in self.parts)

    def log_lines(self, service: str, lines: int, *, follow: bool) -> Iterator[str]:
        if service != "risk-gate":
            raise StackError(f"There is no log of {service}. There are: risk-gate")
        return iter([f"{lines} lines of the {self.kind}{', and on' if follow else ''}"])

    def take_down(self) -> None:
        self.is_down = True


PROCESSES = FakeStack(Kind.PROCESSES)
CONTAINERS = FakeStack(
    Kind.CONTAINERS,
    Part("order-worker 1", "ready", 0, "abc"),
    Part("order-worker 2", "down", 3, "def", ("ended with code 1",)),
)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Give the list of what runs, to be filled."""
    for folder in ("services", "shared/src/sigmax"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("COLUMNS", "160")
    those: list[Any] = []
    monkeypatch.setattr(stacks, "found", lambda kind: [one for one in those if kind in {None, one.kind}])
    monkeypatch.setattr(looking, "_orders", lambda _stack: {"filled": 4})
    return those


def invoke(*words: str) -> Any:
    return CliRunner().invoke(cli.app, words)


def test_where_nothing_runs_status_says_so_and_programs_get_an_empty_list(running: list[Any]) -> None:
    assert running == []
    assert (invoke("status").exit_code, "sigmax up" in invoke("status").stderr) == (3, True)
    told = invoke("status", "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (3, {"stacks": []})
    assert invoke("down").exit_code == 0
    assert invoke("token").exit_code == 3
    assert invoke("logs", "risk-gate").exit_code == 3


def test_status_shows_both_stacks_in_the_same_columns(running: list[Any]) -> None:
    running += [PROCESSES, CONTAINERS]
    told = invoke("status")
    assert told.exit_code == 1, "one part is down"
    for words in ("Sigma-X in processes", "Sigma-X in containers", "order-worker 2", "ended with code 1", "4 filled"):
        assert words in told.stdout


def test_status_of_the_stack_that_is_asked_for_decides_alone(running: list[Any]) -> None:
    running += [PROCESSES, CONTAINERS]
    told = invoke("status", "--stack", "processes")
    assert told.exit_code == 0
    assert "containers" not in told.stdout


def test_programs_get_what_people_see(running: list[Any]) -> None:
    running += [CONTAINERS]
    told = invoke("status", "--json")
    assert told.exit_code == 1
    (stack,) = json.loads(told.stdout)["stacks"]
    assert (stack["stack"], stack["ready"], stack["orders"]) == ("containers", False, {"filled": 4})
    assert stack["services"][1] == {
        "service": "order-worker 2",
        "health": "down",
        "restarts": 3,
        "container": "def",
        "problems": ["ended with code 1"],
    }


def test_a_status_without_the_password_shows_what_needs_none(
    running: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running += [PROCESSES]
    monkeypatch.setattr(looking, "_orders", lambda _stack: "not known. Say it in SIGMAX_PASSWORD.")
    told = invoke("status")
    assert (told.exit_code, "SIGMAX_PASSWORD" in told.stdout, "risk-gate" in told.stdout) == (0, True, True)
    assert json.loads(invoke("status", "--json").stdout)["stacks"][0]["orders"] is None


def test_where_both_run_a_log_and_a_token_need_to_know_of_which(running: list[Any]) -> None:
    running += [PROCESSES, CONTAINERS]
    for words in (("logs", "risk-gate"), ("token",)):
        told = invoke(*words)
        assert (told.exit_code, "--stack" in told.stderr) == (2, True)
    assert invoke("logs", "risk-gate", "-n", "9", "--stack", "containers").stdout == "9 lines of the containers\n"


def test_a_log_that_is_not_there_is_told_with_those_that_are(running: list[Any]) -> None:
    running += [PROCESSES]
    told = invoke("logs", "riskgate")
    assert (told.exit_code, "There are: risk-gate" in told.stderr) == (2, True)


@pytest.mark.parametrize(("last", "told"), [("processes", "of a process\n"), ("containers", "of a container\n")])
def test_where_nothing_runs_the_log_is_that_of_what_was_started_last(
    running: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, told: str
) -> None:
    assert running == []
    processes, containers = tmp_path / ".sigmax" / "sample" / "logs", tmp_path / ".sigmax" / "compose" / "up.log"
    processes.mkdir(parents=True)
    (processes / "risk-gate.log").write_text("of a process\n", encoding="utf-8")
    containers.parent.mkdir()
    containers.touch()
    os.utime(containers, (2e9, 2e9) if last == "containers" else (1e9, 1e9))
    monkeypatch.setattr(looking.FoundContainers, "look", lambda _project: None)
    monkeypatch.setattr(looking.FoundContainers, "log_lines", lambda *_, **__: iter(["of a container"]))
    assert invoke("logs", "risk-gate").stdout == told


def test_down_stops_what_runs(running: list[Any]) -> None:
    running += [FakeStack(Kind.PROCESSES), FakeStack(Kind.CONTAINERS)]
    assert invoke("down", "--stack", "containers").exit_code == 0
    assert [one.is_down for one in running] == [False, True]
    assert invoke("down").exit_code == 0
    assert [one.is_down for one in running] == [True, True]


@pytest.mark.parametrize(
    ("kind", "left"), [("processes", ["compose"]), ("containers", ["sample", "stack.json"]), (None, [])]
)
def test_data_of_the_other_stack_is_left(running: list[Any], tmp_path: Path, kind: str | None, left: list[str]) -> None:
    assert running == []
    for folder in ("compose", "sample"):
        (tmp_path / ".sigmax" / folder).mkdir(parents=True)
    (tmp_path / ".sigmax" / "stack.json").touch()
    invoke("down", "--clean", *(("--stack", kind) if kind else ()))
    assert sorted(path.name for path in (tmp_path / ".sigmax").glob("*")) == left


def test_a_gateway_that_says_no_ends_a_command_with_its_words(
    running: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise GatewayError("Too many failed tries.")

    running += [PROCESSES]
    monkeypatch.setattr(looking.people, "sign_in", refuse)
    told = invoke("user", "add", "mina")
    assert (told.exit_code, told.stderr) == (1, "Too many failed tries.\n")
