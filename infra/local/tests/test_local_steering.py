"""Steering from the command line, over a gateway that remembers what it was asked."""

import json
from typing import Any

import httpx2
import pytest
from local_commands import answered_by, invoke

from sigmax_local import people, steering, steering_talk

APPROVAL = {
    "approval_id": "8e03978e-40d5-43e8-bc93-6894a57f9324",
    "kind": "command",
    "action": "resume",
    "subject": "global",
    "values": {"from": "halted", "stage": "reducing"},
    "before": {"stage": "halted"},
    "reason": "over",
    "fingerprint": "f" * 64,
    "needed_right": "release",
    "account_id": None,
    "requested_by": "admin",
    "expires_at": "2026-01-05T09:10:00Z",
    "approvers": 1,
    "next_approver": None,
    "next_approver_from": None,
    "next_approver_needs_own_password": False,
    "status_url": "/api/v1/commands/8e03978e",
}


LEFT = {"quantity": "0.1", "instrument_id": "BTC/USDT@x", "reason": "closed"}


class Answering:
    """A gateway: accepts what lowers risk, and has the rest wait."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.waiting = [APPROVAL]
        self.approvers = 1
        self.following: dict[str, Any] = {}
        self.status = "done"
        self.flattenings: list[Any] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(request.content) if request.content else None
        if path.startswith("/auth"):
            session = {"access_token": "a", "refresh_token": "r", "expires_in_s": 600}
            return httpx2.Response(200, json=session)
        if request.method != "GET":
            self.asked.append((request.method, path, body))
        return httpx2.Response(200, json=self._answer(path, body))

    def _answer(self, path: str, body: Any) -> Any:
        if path == "/approvals":
            return {"items": self.waiting}
        if path.startswith("/approvals/"):
            return {**APPROVAL, "approvers": self.approvers, **self.following}
        if path == "/risk/limits" and body is None:
            values = {"leverage_max": "1", "instruments_allowed": None}
            return [{"account_id": "paper", "version": 3, "values": values, "changed_by": "admin, mina"}]
        if path == "/risk/flattenings":
            return {"items": self.flattenings}
        if path in {"/risk/stages", "/risk/postures"} and body is None:
            return []
        waits = path in {"/risk/resume", "/risk/limits", "/risk/release", "/ledger/transfers", "/orders/sx1/identify"}
        return {
            "command_id": "8e03978e",
            "command": "halt",
            "subject": "global",
            "values": {},
            "status": "awaiting_second_person" if waits else self.status,
            "status_url": "/api/v1/commands/8e03978e",
            "approval_url": "/api/v1/approvals/8e03978e" if waits else None,
        }


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Give the gateway of the stack that runs."""
    answers = Answering()
    answered_by(answers, monkeypatch)
    monkeypatch.setenv("SIGMAX_PASSWORD", "a long enough password")
    return answers


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (("halt",), "POST", "/risk/halt", {"scope": "global", "scope_id": "global", "reason": ""}),
        (
            ("stage", "reducing", "--scope", "account", "--id", "paper", "--reason", "news"),
            "PUT",
            "/risk/stage",
            {"scope": "account", "scope_id": "paper", "reason": "news", "stage": "reducing"},
        ),
        (
            ("posture", "auto", "--account", "live"),
            "PUT",
            "/risk/posture",
            {"account_id": "live", "posture": None, "reason": ""},
        ),
    ],
)
def test_what_lowers_risk_is_done_at_one_word(
    answering: Answering, words: tuple[str, ...], method: str, path: str, body: Any
) -> None:
    told = invoke(*words)
    assert (told.exit_code, told.stdout.startswith("Done: ")) == (0, True), told.output
    assert answering.asked == [(method, path, body)]


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("resume",), {"scope": "global", "scope_id": "global", "reason": ""}),
        (
            (
                "limits",
                "order_notional_max=5000",
                "leverage_max=1.10",
                'instruments_allowed=["BTC/USDT@x"]',
                "--reason",
                "x",
            ),
            {
                "account_id": "paper",
                "values": {"order_notional_max": 5000, "leverage_max": "1.10", "instruments_allowed": ["BTC/USDT@x"]},
                "reason": "x",
            },
        ),
        (
            ("transfer", "withdrawal", "12.50", "USDT", "--reason", "x"),
            {"account_id": "paper", "asset": "USDT", "amount": "-12.50", "reason": "x"},
        ),
        (
            ("identify", "sx1", "0000117057", "--reason", "x"),
            {"venue_order_id": "0000117057", "reason": "x"},
        ),
        (
            ("release", "--scope", "strategy", "--id", "ema", "--reason", "x"),
            {"scope": "strategy", "scope_id": "ema", "reason": "x"},
        ),
    ],
)
def test_what_waits_says_what_the_second_person_types(
    answering: Answering, words: tuple[str, ...], body: dict[str, Any]
) -> None:
    told = invoke(*words)
    assert told.exit_code == 0, told.output
    assert [asked[2] for asked in answering.asked] == [body]
    assert "sigmax approve 8e03978e --as <login>" in told.stdout
    assert "sigmax user add" not in told.stdout


@pytest.mark.parametrize(
    ("is_flat", "left", "said"),
    [
        (True, [], "Nothing is held that could be sold."),
        (False, [{**LEFT, "strategy_id": "ema-cross"}], "0.1 BTC/USDT@x of ema-cross: closed"),
        (False, [{**LEFT, "strategy_id": "unowned"}], "0.1 BTC/USDT@x of no strategy: closed"),
        (None, [], "It goes on"),
    ],
)
def test_a_flatten_says_what_is_left_and_why_and_succeeds_when_it_ends_flat(
    answering: Answering, monkeypatch: pytest.MonkeyPatch, is_flat: Any, left: Any, said: str
) -> None:
    monkeypatch.setattr(steering, "_FLAT_WITHIN_S", 0.0)
    answering.flattenings = [{"flattening_id": "8e03978e", "is_flat": is_flat, "remaining": left}]
    told = invoke("flatten", "--yes")
    assert (told.exit_code, said in told.output) == (0 if is_flat else 1, True)
    body = {"scope": "global", "scope_id": "global", "reason": "", "everything": False}
    assert answering.asked == [("POST", "/risk/flatten", body)]


@pytest.mark.parametrize("status", ["unconfirmed", "refused", "expired"])
def test_a_command_whose_effect_is_not_seen_fails_and_says_where_to_look(answering: Answering, status: str) -> None:
    answering.status = status
    told = invoke("halt")
    assert (told.exit_code, told.stdout, "halt global" in told.stderr) == (1, "", True)


def test_who_is_alone_is_told_how_to_make_the_second_login(answering: Answering) -> None:
    answering.approvers = 0
    assert "sigmax user add <login> --role admin" in invoke("resume").stdout


def test_where_the_second_login_is_too_new_its_owner_and_the_time_are_named(answering: Answering) -> None:
    answering.approvers = 0
    answering.following = {
        "next_approver": "mina",
        "next_approver_from": "2126-01-06T09:00:00Z",
        "next_approver_needs_own_password": True,
    }
    said = invoke("resume").stdout
    assert "sigmax user password --as mina" in said
    assert "2126-01-06 09:00:00 UTC" in said
    assert "sigmax user add" not in said
    answering.following["next_approver_from"] = "2026-01-01T09:00:00Z"
    assert "09:00:00" not in invoke("resume").stdout.partition("Nobody else")[2]


def test_the_second_person_sees_the_values_and_approves_exactly_those(answering: Answering) -> None:
    told = invoke("approve", "--as", "mina", typed="y\n")
    assert told.exit_code == 0, told.output
    assert "stage halted" in told.stdout
    assert "stage reducing" in told.stdout
    path = f"/approvals/{APPROVAL['approval_id']}"
    assert answering.asked == [("POST", f"{path}/approve", {"fingerprint": "f" * 64})]
    assert invoke("approve", "8e03", "--refuse", "--yes").stdout.endswith("Refused.\n")
    assert answering.asked[-1] == ("POST", f"{path}/refuse", {"fingerprint": "f" * 64})


def test_without_a_yes_nothing_is_approved_and_nothing_flattened(answering: Answering) -> None:
    assert invoke("approve", typed="n\n").exit_code == 1
    assert invoke("flatten", typed="n\n").exit_code == 1
    assert answering.asked == []


@pytest.mark.parametrize(("waiting", "word"), [([], "Nothing waits"), ([APPROVAL, APPROVAL], "2 requests wait")])
def test_which_request_is_meant_must_be_clear(answering: Answering, waiting: list[Any], word: str) -> None:
    answering.waiting = waiting
    told = invoke("approve", "--yes")
    assert (told.exit_code, word in told.stderr) == (1, True)
    assert answering.asked == []


@pytest.mark.parametrize(
    "words",
    [
        ("halt", "--scope", "account"),
        ("halt", "--id", "paper"),
        ("posture", "reckless"),
        ("stage", "calm"),
        ("limits", "leverage_max"),
        ("transfer", "deposit", "0", "USDT"),
        ("transfer", "deposit", "NaN", "USDT"),
        ("transfer", "deposit", "much", "USDT", "--reason", "x"),
        ("transfer", "deposit", "5", "US DT", "--reason", "x"),
        ("transfer", "deposit", "5", "USDT"),
        ("identify", "sx1", "0000117057"),
        ("limits", "leverage_max=1"),
        ("release", "--scope", "strategy", "--id", "ema", "--reason", " "),
    ],
)
def test_what_makes_no_sense_is_refused_before_anybody_signs_in(answering: Answering, words: tuple[str, ...]) -> None:
    assert invoke(*words).exit_code == 2
    assert answering.asked == []


def test_what_holds_now_can_be_seen(answering: Answering) -> None:
    limits = invoke("limits").stdout
    assert "version 3, by admin, mina" in limits
    assert "leverage_max" in limits
    nobody = invoke("limits", "--account", "live")
    assert (nobody.exit_code, "there are those of paper" in nobody.stderr) == (1, True)
    assert "resume global" in invoke("approvals").stdout
    for words in (("stage",), ("posture",)):
        assert invoke(*words).exit_code == 0
    assert answering.asked == []


def test_a_wrong_password_ends_a_command_with_its_words(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> None:
        raise steering_talk.GatewayError("Too many failed tries.")

    monkeypatch.setattr(people, "sign_in", refuse)
    told = invoke("halt")
    assert (told.exit_code, told.stderr) == (1, "Too many failed tries.\n")
