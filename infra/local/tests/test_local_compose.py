"""Containers as Compose tells of them, shown as the same parts that processes are."""

import json
from pathlib import Path
from typing import Any

import pytest

from sigmax_local import container_found, container_run
from sigmax_local.compose import TooLateError
from sigmax_local.container_found import FoundContainers
from sigmax_local.container_list import Container, containers_of, parts_of, prices_of, rows_of
from sigmax_local.container_run import ContainerRun
from sigmax_local.feed import Feed
from sigmax_local.runs import Part, StackError
from sigmax_local.servers.containers import read_variables

RECORDING = Path(__file__).parent / "recorded" / "compose_ps_2.26.jsonl"
LISTED = RECORDING.read_text(encoding="utf-8")
FEED = Feed("sample", "recorded trades", "USD", {"source": "replay", "replay_file": str(RECORDING)}, timeframe_s=20)


def a_container(service: str = "risk-gate", **changes: Any) -> Container:
    values = {"number": 1, "id": "abc", "state": "running", "health": "healthy", "exit_code": 0, **changes}
    return Container(service, **values)


def part_of(**changes: Any) -> Part:
    (part,) = parts_of([a_container(**changes)])
    return part


def inspected(listed: str, folder: str = "/clone") -> str:
    """Build what `docker inspect` gives for the containers of a list."""
    labels = {"com.docker.compose.project.working_dir": folder}
    said = json.dumps({"ready": False, "problems": ["postgres: no connection"]})
    return json.dumps(
        [
            {
                "Id": row["ID"] + "0" * 52,
                "RestartCount": 2 if row["Service"] == "collector" else 0,
                "State": {"Health": {"Log": [{"Output": "old"}, {"Output": said if "2" in row["Name"] else ""}]}},
                "Config": {"Labels": labels},
            }
            for row in rows_of(listed)
        ]
    )


def test_one_object_a_line_and_one_array_are_the_same_list() -> None:
    as_array = json.dumps([json.loads(line) for line in LISTED.splitlines()])
    assert rows_of(as_array) == rows_of(LISTED)
    assert [row["Service"] for row in rows_of(LISTED)][:2] == ["collector", "migrate"]
    assert rows_of("") == rows_of("[]") == []


def test_replicas_are_listed_along_the_path_with_what_their_check_said() -> None:
    assert parts_of(containers_of(LISTED, inspected(LISTED))) == [
        Part("collector", "ready", 2, "0667a12fc4b5"),
        Part("order-worker 1", "ready", 0, "d45c32fbbee4"),
        Part("order-worker 2", "not ready", 0, "f00dfeed0002", ("postgres: no connection",)),
    ]


def test_a_service_that_should_be_there_and_is_not_is_down() -> None:
    parts = parts_of([a_container()], expected=["risk-gate", "scheduler", "redis", "migrate"])
    assert parts == [
        Part("risk-gate", "ready", 0, "abc"),
        Part("scheduler", "down", problems=("there is no container",)),
    ]


@pytest.mark.parametrize(
    ("changes", "health", "problems"),
    [
        (
            {"health": "starting", "said": "no answer on port 8000: refused"},
            "starting",
            ("no answer on port 8000: refused",),
        ),
        ({"health": ""}, "ready", ()),
        ({"state": "created", "health": ""}, "starting", ()),
        ({"state": "paused"}, "not ready", ("paused",)),
        ({"state": "restarting", "exit_code": 2}, "down", ("restarting, ended with code 2",)),
        ({"state": "exited", "exit_code": 137}, "down", ("ended with code 137",)),
        ({"state": "exited", "exit_code": 0}, "stopped", ()),
        ({"state": "exited", "exit_code": 143}, "stopped", ()),
    ],
)
def test_dockers_words_become_ours(changes: dict[str, Any], health: str, problems: tuple[str, ...]) -> None:
    part = part_of(**changes)
    assert (part.health, part.problems) == (health, problems)


def test_servers_and_jobs_are_listed_only_while_something_is_wrong_with_them() -> None:
    well = [a_container("postgres"), a_container("migrate", state="exited", health=""), a_container("prometheus")]
    assert parts_of(well) == []
    unwell = [a_container("postgres", health="unhealthy"), a_container("migrate", state="exited", exit_code=1)]
    assert [part.name for part in parts_of(unwell)] == ["migrate", "postgres"]


@pytest.mark.parametrize(
    ("variables", "prices"),
    [
        ({}, "live trades of BTC/USDT and ETH/USDT at binance"),
        (
            {"SIGMAX_SOURCE": "ccxt", "SIGMAX_CCXT_EXCHANGE": "kraken", "SIGMAX_SYMBOLS": "BTC/USD"},
            "live trades of BTC/USD at kraken",
        ),
        (
            {"SIGMAX_SOURCE": "replay", "SIGMAX_REPLAY_FILE": "/recordings/es.csv", "SIGMAX_REPLAY_SPEED": "20"},
            "es.csv at 20x",
        ),
    ],
)
def test_prices_are_named_by_the_settings(variables: dict[str, str], prices: str) -> None:
    assert prices_of(variables) == prices


class FakeDocker:
    """Answers as Docker does, for one project of four containers."""

    def __init__(self, clone: Path) -> None:
        self.clone = clone
        self.folder = str(clone)
        self.listed = ""
        self.images = ["sigmax/risk-gate:0.1.0", "postgres:17"]
        self.volumes = ""

    def __call__(self, words: list[str], _folder: Path, _timeout_s: float = 0) -> str:
        match words:
            case ["compose", "ps", *_]:
                return self.listed
            case ["inspect", *_]:
                return inspected(self.listed, self.folder)
            case ["compose", "config", "--services"]:
                return "collector\nrisk-gate\n"
            case ["compose", "config", "--images"]:
                return "sigmax/risk-gate:0.1.0\npostgres:17\n"
            case ["compose", "config", "--format", "json"]:
                return json.dumps({"volumes": {"postgres": {"name": "sigmax_postgres"}}})
            case ["image", "ls", *_]:
                return "\n".join(self.images)
            case ["volume", *_]:
                return self.volumes
        raise AssertionError(words)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    for name in ("SIGMAX_GATEWAY_PORT", "SIGMAX_COMPOSE_DIR", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeDocker(tmp_path)
    monkeypatch.setattr(container_found, "docker", fake)
    monkeypatch.setattr(container_run, "docker", fake)
    return fake


def test_a_clone_finds_its_running_containers(docker: FakeDocker) -> None:
    assert FoundContainers.find(docker.clone) is None
    docker.listed = LISTED
    project = FoundContainers.find(docker.clone)
    assert project is not None
    assert [part.name for part in project.parts][-1] == "risk-gate"
    assert not project.is_ready


def test_an_engine_that_is_late_does_not_mean_that_nothing_runs(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> str:
        raise TooLateError("Not done within 60 s: docker compose ps")

    monkeypatch.setattr(container_found, "docker", late)
    assert FoundContainers.find(docker.clone) is None  # it was never used here
    FoundContainers(docker.clone).secrets.mkdir(parents=True)
    monkeypatch.setattr(container_found.shutil, "which", lambda _name: "/usr/bin/docker")
    with pytest.raises(StackError, match="Not done within 60 s"):
        FoundContainers.find(docker.clone)


def test_containers_of_another_clone_are_not_ours_to_touch(docker: FakeDocker) -> None:
    docker.listed, docker.folder = LISTED, "/other"
    assert FoundContainers.find(docker.clone) is None
    with pytest.raises(StackError, match=r"/other.*COMPOSE_PROJECT_NAME"):
        ContainerRun(FoundContainers(docker.clone), FEED).prepare()


def test_without_docker_there_is_nothing_to_find_and_a_start_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert FoundContainers.find(tmp_path) is None
    with pytest.raises(StackError, match="Docker is not installed"):
        ContainerRun(FoundContainers(tmp_path), FEED).prepare()


def test_a_start_writes_secrets_and_prices(docker: FakeDocker) -> None:
    project = FoundContainers(docker.clone)
    run = ContainerRun(project, FEED)
    run.prepare()
    assert run.is_first_start
    assert (project.secrets / "api_gateway" / "first_admin_password").exists()
    assert project.variables["SIGMAX_REPLAY_FILE"] == f"/recordings/{RECORDING.name}"
    assert run.gateway_url.endswith(":" + project.variables["SIGMAX_GATEWAY_PORT"])
    again = ContainerRun(FoundContainers(docker.clone), FEED)
    again.prepare()
    assert not again.is_first_start


def test_a_second_start_is_refused_and_changes_no_prices(docker: FakeDocker) -> None:
    ContainerRun(FoundContainers(docker.clone), FEED).prepare()
    docker.listed = LISTED
    before = read_variables(docker.clone / ".env")
    other = Feed("other", "others", "USD", {"source": "ccxt"}, timeframe_s=1)
    with pytest.raises(StackError, match="run already"):
        ContainerRun(FoundContainers(docker.clone), other).prepare()
    assert read_variables(docker.clone / ".env") == before


def test_books_in_one_currency_are_not_mixed_with_prices_in_another(docker: FakeDocker) -> None:
    ContainerRun(FoundContainers(docker.clone), FEED).prepare()
    other = Feed("other", "others", "USDT", {"source": "ccxt"}, timeframe_s=1)
    docker.volumes = "sigmax_postgres\n"
    with pytest.raises(StackError, match=r"in USD,.*in USDT"):
        ContainerRun(FoundContainers(docker.clone), other).prepare()
    docker.volumes = ""
    ContainerRun(FoundContainers(docker.clone), other).prepare()


def test_only_images_that_are_made_here_are_built(docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[list[str]] = []

    def build(words: list[str], **_: Any) -> Any:
        built.append(words)
        return container_run.subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(container_run.subprocess, "run", build)
    for images in (["postgres:17", "sigmax/risk-gate:0.1.0"], ["sigmax/risk-gate:0.1.0"], []):
        docker.images = images
        ContainerRun(FoundContainers(docker.clone), FEED).prepare()
    assert built == [["infra/images/services.sh", "risk-gate"]]
