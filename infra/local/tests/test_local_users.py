"""People on the command line: who may sign in, with a password of whose making, and since when it counts."""

import json
from typing import Any

import httpx2
import pytest
from local_commands import answered_by, invoke

OLD, NEW = "made by an admin, once", "rowed upon the lake at dawn"
MINA = {
    "login": "mina",
    "role": "admin",
    "accounts": [],
    "is_active": True,
    "has_own_password": False,
    "independent_from": "2026-01-06T09:00:30Z",
    "last_login_at": None,
}


class People:
    """A gateway with one login and its password."""

    def __init__(self) -> None:
        self.password = OLD
        self.added: list[Any] = []
        self.user = dict(MINA)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(request.content) if request.content else {}
        if path == "/auth/login":
            is_right = body["password"] == self.password
            session = {"access_token": f"of {self.password}", "refresh_token": "r", "expires_in_s": 600}
            return httpx2.Response(200, json=session) if is_right else httpx2.Response(401, json={})
        if request.headers.get("Authorization") != f"Bearer of {self.password}":
            return httpx2.Response(401, json={})
        if path == "/auth/password":
            assert body["current_password"] == self.password
            self.password = body["new_password"]
            return httpx2.Response(204)
        if path == "/users" and request.method == "POST":
            self.added.append(body)
            return httpx2.Response(201, json={**self.user, **body, "password": "shown once"})
        return httpx2.Response(200, json=[self.user] if path == "/users" else self.user)


@pytest.fixture
def those(monkeypatch: pytest.MonkeyPatch) -> People:
    """Give the gateway of the stack that runs."""
    people = People()
    answered_by(people, monkeypatch)
    monkeypatch.delenv("SIGMAX_PASSWORD", raising=False)
    return people


def test_who_is_added_hears_of_the_own_password_and_from_when_on_the_login_counts(those: People) -> None:
    told = invoke("user", "add", "mina", "--role", "admin", typed=f"{OLD}\n")
    assert told.exit_code == 0, told.output
    assert those.added == [{"login": "mina", "role": "admin", "accounts": []}]
    for said in ("shown once", "sigmax user password --as mina", "2026-01-06 09:00:30 UTC", "beside admin"):
        assert said in told.stdout
    assert "counts" not in invoke("user", "add", "vera", typed=f"{OLD}\n").stdout, "a viewer is nobody's second person"


def test_an_owner_chooses_a_password_and_goes_on_with_it(those: People) -> None:
    told = invoke("user", "password", "--as", "mina", typed=f"{OLD}\n{NEW}\n{NEW}\n")
    assert told.exit_code == 0, told.output
    assert those.password == NEW
    assert "2026-01-06 09:00:30 UTC" in told.stdout
    wrong = invoke("user", "password", "--as", "mina", typed=f"{OLD}\n{NEW}\n{NEW}\n")
    assert (wrong.exit_code, those.password) == (1, NEW)


def test_the_list_says_since_when_a_login_is_a_person_of_its_own(those: People) -> None:
    listed = invoke("user", "list", typed=f"{OLD}\n").stdout
    assert "once sigmax user password --as mina was run, from 2026-01-06 09:00:30 UTC on" in listed
    those.user |= {"has_own_password": True}
    assert "from 2026-01-06 09:00:30 UTC on" in invoke("user", "list", typed=f"{OLD}\n").stdout
    those.user |= {"independent_from": None, "is_active": False}
    listed = invoke("user", "list", typed=f"{OLD}\n").stdout
    assert ("yes" in listed, "switched off" in listed) == (True, True)
