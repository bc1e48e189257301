"""Who set a login is no second person beside it: on real servers, with the time moved and nobody asked to believe it."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.integration

OWN = "a boat upon the quiet river"
_AGO = (
    "UPDATE api_gateway.users SET password_set_at = password_set_at - $1::interval,"
    " rights_set_at = rights_set_at - $1::interval WHERE login = $2"
)
_ACCOUNT = (
    "INSERT INTO risk_gate.accounts (account_id, venue, mode, currency, created_at) VALUES ($1, 'x', $2, 'USDT', now())"
)


async def ask(client: httpx2.AsyncClient, key: str = "key-00001") -> dict[str, Any]:
    """Ask for a step out of the halt that an unknown stage counts as; give the request."""
    headers = {"Idempotency-Key": key}
    asked = (await client.post("/api/v1/risk/resume", json={"reason": "over"}, headers=headers)).raise_for_status()
    waiting: dict[str, Any] = (await client.get(asked.json()["approval_url"])).raise_for_status().json()
    return waiting


async def approve(client: httpx2.AsyncClient, waiting: dict[str, Any]) -> httpx2.Response:
    path = f"/api/v1/approvals/{waiting['approval_id']}/approve"
    return await client.post(path, json={"fingerprint": waiting["fingerprint"]})


async def outcome(client: httpx2.AsyncClient, waiting: dict[str, Any]) -> str:
    """Try to approve; give what kind of answer that got."""
    answer = await approve(client, waiting)
    return "approved" if answer.status_code == 200 else str(answer.json()["type"]).removeprefix("/problems/")


async def reset(admin: httpx2.AsyncClient, login: str) -> str:
    users = (await admin.get("/api/v1/users")).json()
    user_id = next(user["user_id"] for user in users if user["login"] == login)
    return str((await admin.post(f"/api/v1/users/{user_id}/password")).raise_for_status().json()["password"])


async def choose(live: Any, login: str, old: str, new: str = OWN) -> httpx2.AsyncClient:
    """Have an owner choose a password; give a client signed in with it."""
    client = await live.signed_in(login, old)
    body = {"current_password": old, "new_password": new}
    (await client.post("/api/v1/auth/password", json=body)).raise_for_status()
    new_client: httpx2.AsyncClient = await live.signed_in(login, new)
    return new_client


async def pass_time(live: Any, login: str, **time: float) -> None:
    await live.rows(_AGO, timedelta(**time), login)


async def test_a_reset_password_approves_nothing_of_who_reset_it_before_it_is_the_owners_and_a_day_has_passed(
    live: Any,
) -> None:
    admin = await live.signed_in()
    await live.user("admin", "joon")
    made = await reset(admin, "joon")
    waiting = await ask(admin)
    assert (waiting["approvers"], waiting["next_approver"]) == (0, "joon")
    assert waiting["next_approver_needs_own_password"]

    joon = await live.signed_in("joon", made)
    refused = await approve(joon, waiting)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/not-two-people")
    assert "sigmax user password --as joon" in refused.json()["what_to_do"]

    joon = await choose(live, "joon", made)
    assert await outcome(joon, waiting) == "not-two-people"
    await pass_time(live, "joon", hours=23, minutes=59)
    assert await outcome(joon, waiting) == "not-two-people"
    joon = await choose(live, "joon", OWN, OWN + ", again")
    await pass_time(live, "joon", minutes=1)
    assert await outcome(joon, waiting) == "approved", "one's own password does not start the day anew"
    refusals = "SELECT 1 FROM api_gateway.audit WHERE action = 'approval_denied' AND detail->>'refused_because' = $1"
    assert len(await live.rows(refusals, "not_two_people")) == 3


async def test_a_password_that_stayed_the_admins_is_no_second_persons_however_old(live: Any) -> None:
    admin = await live.signed_in()
    await live.user("admin", "joon")
    joon = await live.signed_in("joon", await reset(admin, "joon"))
    await pass_time(live, "joon", days=30)
    assert await outcome(joon, await ask(admin)) == "not-two-people"


async def test_who_set_a_login_does_not_approve_what_that_login_asks_for_either(live: Any) -> None:
    admin = await live.signed_in()
    await live.user("admin", "joon")
    joon = await choose(live, "joon", await reset(admin, "joon"))
    assert await outcome(admin, await ask(joon)) == "not-two-people"


async def test_two_logins_that_one_admin_made_are_no_two_people(live: Any) -> None:
    await live.rows(_ACCOUNT, "paper", "paper")
    admin = await live.signed_in()
    traders = []
    for login in ("tara", "theo"):
        body = {"login": login, "role": "trader", "accounts": ["paper"]}
        made = (await admin.post("/api/v1/users", json=body)).raise_for_status().json()
        assert (made["has_own_password"], made["independent_from"] is None) == (False, False)
        traders.append(await choose(live, login, made["password"]))
    body = {"account_id": "paper", "asset": "USDT", "amount": "5", "reason": "paid in"}
    headers = {"Idempotency-Key": "key-00001"}
    asked = (await traders[0].post("/api/v1/ledger/transfers", json=body, headers=headers)).raise_for_status().json()
    waiting = (await traders[0].get(asked["approval_url"])).json()
    assert await outcome(traders[1], waiting) == "not-two-people"
    for login in ("tara", "theo"):
        await pass_time(live, login, days=1)
    assert await outcome(traders[1], waiting) == "approved"


async def test_a_new_role_is_worth_nothing_beside_who_gave_it_for_a_day(live: Any) -> None:
    admin, joon, tara = await live.signed_in(), await live.user("admin", "joon"), await live.user("trader", "tara")
    tara_id = (await tara.get("/api/v1/auth/me")).json()["user_id"]
    raised = (await admin.patch(f"/api/v1/users/{tara_id}", json={"role": "admin"})).json()
    assert await outcome(joon, raised) == "approved"
    assert (await tara.get("/api/v1/auth/me")).status_code == 401, "a change of rights ends the sessions"
    await live.rows(
        "UPDATE api_gateway.users SET password_hash = u.password_hash FROM api_gateway.users u"
        " WHERE u.login = 'admin' AND users.login = 'tara'"
    )
    tara = await live.signed_in("tara")
    for number, asker in enumerate((admin, joon)):
        assert await outcome(tara, await ask(asker, f"key-0000{number}")) == "not-two-people"
    await pass_time(live, "tara", hours=24)
    assert await outcome(tara, await ask(admin, "key-00009")) == "approved"


async def test_a_reset_ends_the_sessions_and_makes_worthless_what_was_asked_for_before(live: Any) -> None:
    admin, sora = await live.signed_in(), await live.user("trader", "sora")
    await live.user("admin", "joon")
    joon_password = await reset(admin, "joon")
    session = await live.login("joon", joon_password)
    joon = await live.signed_in("joon", joon_password)
    await pass_time(live, "joon", days=2)
    await live.rows("UPDATE api_gateway.users SET is_own_password = true WHERE login = 'joon'")
    waiting = await ask(joon)
    await live.rows("UPDATE api_gateway.users SET role = 'admin' WHERE login = 'sora'")
    await reset(sora, "joon")
    assert (await joon.get("/api/v1/auth/me")).status_code == 401
    again = await live.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
    assert again.status_code == 401
    assert await outcome(admin, waiting) == "conflict", "nobody can say who asked as joon"


async def test_who_set_what_is_in_the_audit_chain_and_people_are_told(live: Any, poll: Any) -> None:
    admin = await live.signed_in()
    await live.user("admin", "joon")
    await reset(admin, "joon")
    (row,) = await live.rows("SELECT user_id FROM api_gateway.users WHERE login = 'admin'")
    chained = await live.rows(
        "SELECT entry::jsonb->'data' AS data FROM api_gateway.audit_log"
        " WHERE kind = 'user_changed' AND subject = 'joon' ORDER BY position DESC LIMIT 1"
    )
    assert chained[0]["data"]["password_set_by"] == str(row["user_id"])
    assert chained[0]["data"]["is_own_password"] is False
    assert (await admin.get("/api/v1/audit/check")).json()["is_whole"]
    me = next(user for user in (await admin.get("/api/v1/users")).json() if user["login"] == "joon")
    assert (me["has_own_password"], me["independent_from"] is not None) == (False, True)


async def test_with_paper_money_the_day_can_be_cut_short_and_with_real_money_it_cannot(start_live: Any) -> None:
    async with start_live(approval_cooldown_s="0") as live:
        admin = await live.signed_in()
        made = (await admin.post("/api/v1/users", json={"login": "joon", "role": "admin"})).raise_for_status().json()
        joon = await live.signed_in("joon", made["password"])
        waiting = await ask(admin)
        assert await outcome(joon, waiting) == "not-two-people", "the password is to be the owner's in any case"
        joon = await choose(live, "joon", made["password"])
        assert (await joon.get("/api/v1/system/health")).json()["approval_cooldown_s"] == 0
        await live.rows(_ACCOUNT, "real", "live")
        assert (await joon.get("/api/v1/system/health")).json()["approval_cooldown_s"] == 86_400
        assert await outcome(joon, waiting) == "not-two-people"
        await live.rows("DELETE FROM risk_gate.accounts")
        assert await outcome(joon, waiting) == "approved"
