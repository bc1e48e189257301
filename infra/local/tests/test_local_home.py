"""One stack per clone, found again by whoever asks."""

import json
import os
from pathlib import Path

import pytest

from sigmax_local.demo import why_no_fill
from sigmax_local.environment import adopt_secrets, make_secrets, service_environment
from sigmax_local.figures import Figures
from sigmax_local.runs import Part, StackError
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers import Addresses, Ports
from sigmax_local.stack import FoundProcesses, Home, StackRunningError, log_lines


def test_a_clone_runs_one_stack(tmp_path: Path) -> None:
    home, other = Home(tmp_path), Home(tmp_path)
    assert other.state() is None
    home.take()
    with pytest.raises(StackRunningError):
        other.take()
    home.release()
    other.take()
    other.release()


def test_a_stack_that_is_just_starting_can_be_stopped(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.take()
    assert Home(tmp_path).state() == {"pid": os.getpid(), "ready": False, "services": {}}
    home.release()


def test_the_state_of_a_killed_run_is_not_believed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.folder.mkdir()
    home.state_file.write_text('{"pid": 1, "ready": true, "services": {}}', encoding="utf-8")
    assert home.state() is None
    home.take()
    assert home.state() == {"pid": os.getpid(), "ready": False, "services": {}}
    home.release()


def test_what_two_services_share_is_the_same_and_in_no_third_folder(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    make_secrets(store)
    before = store.get("risk_gate", "approval_key")
    make_secrets(store)
    assert store.get("order_worker", "approval_key") == store.get("risk_gate", "approval_key") == before
    assert store.get("order_worker", "venue_api_key") == store.get("paper_venue", "venue_api_key")
    assert [p.parent.name for p in sorted(tmp_path.glob("*/approval_key"))] == ["order_worker", "risk_gate"]
    assert store.get("risk_gate", "database_password") != store.get("order_worker", "database_password")


def test_secrets_that_only_people_have_are_taken_over_and_never_made(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")
    make_secrets(store)
    assert not store.has("llm_controller", "model_api_key")
    given = tmp_path / "given" / "llm_controller"
    given.mkdir(parents=True)
    (given / "model_api_key").write_text("sk-mine\n", encoding="utf-8")
    adopt_secrets(store, tmp_path / "given")
    assert store.get("llm_controller", "model_api_key") == "sk-mine"


def test_a_service_gets_its_own_secrets_and_nothing_the_shell_happens_to_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMAX_ACCOUNT_MODE", "live")
    addresses = Addresses(tmp_path, Ports(1, 2, 3, 4, 5))
    env = service_environment(addresses, "risk-gate", 8001, approval_lifetime_s="5")
    assert "SIGMAX_ACCOUNT_MODE" not in env
    assert env["SIGMAX_SECRETS_DIR"] == str(tmp_path / "secrets" / "risk_gate")
    assert env["SIGMAX_APPROVAL_LIFETIME_S"] == "5"
    assert "password" not in env["SIGMAX_DATABASE_URL"]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (Figures(), "no tick arrived from a recording"),
        (Figures(ticks=5), "no reason to trade"),
        (Figures(ticks=5, signals=2, denied=2, denials={"price_stale": 2}), "2 x price_stale"),
        (Figures(ticks=5, signals=2, approved=1, orders={"expired": 1}), "1 expired"),
    ],
)
def test_a_run_without_a_fill_says_where_the_path_ended(figures: Figures, said: str) -> None:
    assert said in why_no_fill(figures, "a recording")


def test_a_running_stack_is_found_with_its_parts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert FoundProcesses.find(home) is None
    home.take()
    services = {
        "risk-gate": {"pid": 7, "health": "ready", "restarts": 1, "problems": []},
        "collector": {"pid": None, "health": "down", "restarts": 0, "problems": ["ended with code 1"]},
    }
    state = {"pid": 1, "ready": False, "folder": str(tmp_path / "x"), "feed": "a recording", "services": services}
    home.state_file.write_text(json.dumps({**state, "gateway_url": "http://here"}), encoding="utf-8")
    found = FoundProcesses.find(Home(tmp_path))
    assert found is not None
    assert list(found.parts) == [
        Part("risk-gate", "ready", 1, "7"),
        Part("collector", "down", problems=("ended with code 1",)),
    ]
    assert (found.prices, found.gateway_url, found.is_ready) == ("a recording", "http://here", False)
    assert found.secrets == tmp_path / "x" / "secrets"
    home.release()


def test_a_stack_that_is_just_starting_is_found_without_parts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.take()
    found = FoundProcesses.find(Home(tmp_path))
    assert found is not None
    assert (list(found.parts), found.gateway_url, found.is_ready) == ([], "", False)
    home.release()


def test_a_log_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "risk-gate.log").write_text("1\n2\n3\n", encoding="utf-8")
    assert list(log_lines(tmp_path, "risk-gate", 2, follow=False)) == ["2", "3"]
    with pytest.raises(StackError, match="risk-gate"):
        log_lines(tmp_path, "riskgate", 2, follow=False)
