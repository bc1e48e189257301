"""One stack per clone, found again by whoever asks."""

import os
from pathlib import Path

import pytest

from sigmax_local.demo import why_no_fill
from sigmax_local.environment import adopt_secrets, make_secrets, service_environment
from sigmax_local.feed import Feed
from sigmax_local.figures import Figures
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers import Addresses, Ports
from sigmax_local.stack import Home, Stack, StackRunningError


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
        (Figures(), "no tick"),
        (Figures(ticks=5), "no reason to trade"),
        (Figures(ticks=5, signals=2, denied=2, denials={"price_stale": 2}), "2 x price_stale"),
        (Figures(ticks=5, signals=2, approved=1, orders={"expired": 1}), "1 expired"),
    ],
)
def test_a_run_without_a_fill_says_where_the_path_ended(tmp_path: Path, figures: Figures, said: str) -> None:
    stack = Stack(Home(tmp_path), Feed("x", "a recording", "USD", {}, timeframe_s=1))
    assert said in why_no_fill(figures, stack)
