"""`sigmax audit` and `sigmax ledger`, over a database as a stack leaves it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg
import pytest
import typer
from typer.testing import CliRunner, Result

from sigmax.runtime.rights import SUPERUSER
from sigmax_local import audit_check, ledger_check
from sigmax_local.audit_check import OWNERS, read_heads
from sigmax_local.runs import Kind
from sigmax_local.servers.trio import in_own_loop
from sigmax_local.steering_talk import Door

if TYPE_CHECKING:
    from sigmax_local.servers import Addresses

_STAGE = (
    "INSERT INTO risk_gate.stages VALUES ('venue', $1, 'normal', 1, 'a \"quoted\" \\ reason' || chr(10) || chr(9), 'x',"
    " now())"
)


@dataclass(frozen=True)
class Running:
    """What the commands need of a stack of processes."""

    secrets: Path
    kind: Kind = Kind.PROCESSES


@dataclass
class Commands:
    """The commands, as a person types them."""

    addresses: "Addresses"

    def __call__(self, app: typer.Typer, *words: str) -> Result:
        def fail(text: str) -> NoReturn:
            print(text)
            raise typer.Exit(1)

        door = Door(running=lambda _kind: Running(self.addresses.secrets.folder), fail=fail, ask=None)  # type: ignore[arg-type,return-value]
        return CliRunner().invoke(app, list(words), obj=door)

    def sql(self, statement: str, *values: Any, **settings: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.addresses.database_url_as(SUPERUSER), server_settings=settings)
            try:
                await connection.execute(statement, *values)
            finally:
                await connection.close()

        in_own_loop(execute)

    def forge(self, statement: str) -> None:
        self.sql(statement, session_replication_role="replica")


@pytest.fixture
def commands(clean: "Addresses") -> Commands:
    """Give the commands over a database with three entries in risk-gate's chain."""
    clean.save(clean.folder / "state.json")
    made = Commands(clean)
    for name in ("a", "b", "c"):
        made.sql(_STAGE, name)
    return made


@pytest.mark.integration
def test_chains_that_hold_end_well(commands: Commands) -> None:
    done = commands(audit_check.app, "verify")
    assert done.exit_code == 0, done.output
    assert "risk_gate, 3 rows: holds" in done.output
    assert all(f"{owner}, " in done.output for owner in OWNERS)


@pytest.mark.integration
def test_a_row_that_was_edited_is_named_and_the_exit_status_says_so(commands: Commands) -> None:
    commands.forge("UPDATE risk_gate.audit_log SET subject = 'venue x' WHERE position = 2")
    done = commands(audit_check.app, "verify")
    assert done.exit_code == 1
    assert "risk_gate, 1 rows: DOES NOT HOLD: row 2 was edited" in done.output
    assert "order_worker, 0 rows: holds" in done.output


@pytest.mark.integration
def test_an_end_that_was_cut_is_found_with_heads_that_were_kept(commands: Commands, tmp_path: Path) -> None:
    printed = commands(audit_check.app, "heads")
    assert printed.exit_code == 0
    kept = tmp_path / "heads.jsonl"
    kept.write_text(printed.output)
    assert [(one.owner, one.head.position) for one in read_heads(kept)] == [("risk_gate", 3)]
    assert commands(audit_check.app, "verify", "--heads", str(kept)).exit_code == 0

    commands.forge("DELETE FROM risk_gate.audit_log WHERE position = 3")
    assert commands(audit_check.app, "verify").exit_code == 0
    done = commands(audit_check.app, "verify", "--heads", str(kept))
    assert done.exit_code == 1
    assert "its end was cut off" in done.output


@pytest.mark.integration
@pytest.mark.parametrize(
    ("signature", "what"),
    [("ab" * 32, "forged seal"), ("", "written anew")],
)
def test_the_notifiers_heads_are_held_against_the_chain(commands: Commands, signature: str, what: str) -> None:
    commands.forge("UPDATE risk_gate.audit_log SET hash = hash")  # nothing: the chain itself holds
    kept = "hash" if signature else "repeat('f', 64)"
    commands.forge(
        f"INSERT INTO notifier.audit_heads SELECT 'risk_gate', position, {kept}, at, '{signature}', false, now()"
        " FROM risk_gate.audit_log WHERE position = 2"
    )
    done = commands(audit_check.app, "verify")
    assert done.exit_code == 1
    assert what in done.output


@pytest.mark.integration
def test_a_chain_without_its_anchor_does_not_hold(commands: Commands) -> None:
    commands.forge("DELETE FROM order_worker.audit_anchor")
    done = commands(audit_check.app, "verify")
    assert done.exit_code == 1
    assert "anchor" in done.output


@pytest.mark.integration
def test_an_empty_ledger_holds(commands: Commands) -> None:
    done = commands(ledger_check.app, "verify")
    assert done.exit_code == 0, done.output
    assert done.output.count("yes") == 6


@pytest.mark.integration
def test_a_position_that_no_fill_made_is_named(commands: Commands) -> None:
    commands.sql(
        "INSERT INTO order_worker.positions VALUES ('paper', 'BTC/USDT@binance', 1, 100, 0, now(), 'x', now())"
    )
    done = commands(ledger_check.app, "verify")
    assert done.exit_code == 1
    assert "positions row paper BTC/USDT@binance: has 1 at 100" in done.output


def test_a_file_of_something_else_is_no_file_of_heads(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    good = {"owner": "risk_gate", "position": 1, "hash": "a" * 64, "at": "2026-01-05T09:00:00+00:00"}
    path.write_text(json.dumps(good) + "\n\n[1]\n")
    with pytest.raises(ValueError, match="line 3"):
        read_heads(path)
