import asyncio
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import jwt
import pytest

from api_gateway.domain.audit import GENESIS, AuditEntry, chain_hash
from api_gateway.settings import Settings
from sigmax.runtime.settings import SettingsError

pytestmark = pytest.mark.integration


async def test_the_first_admin_signs_in_and_sees_the_own_rights(live: Any) -> None:
    me = (await (await live.signed_in()).get("/api/v1/auth/me")).json()
    assert (me["login"], me["role"]) == ("admin", "admin")
    assert "administer" in me["rights"]
    assert "trade" not in me["rights"]


async def test_the_first_password_is_made_and_shown_once_and_never_logged(start_live: Any) -> None:
    async with start_live(password=None) as live:
        lines = [line for line in live.process.log.read_text().splitlines() if "Sign in as `admin`" in line]
        password = lines[-1].rsplit(" ", 1)[1]
        await live.login("admin", password)
        stored = await live.rows("SELECT password_hash FROM api_gateway.users")
        assert stored[0][0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    async with start_live(password=None) as again:
        await again.login("admin", password)
        assert len(await again.rows("SELECT 1 FROM api_gateway.users")) == 1


async def test_five_wrong_passwords_shut_the_account_for_this_address(live: Any) -> None:
    async def counted() -> float:
        lines = (await live.http.get("/metrics")).text.splitlines()
        found = [line for line in lines if line.startswith('sigmax_gateway_logins_total{outcome="wrong"}')]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0

    before = await counted()
    statuses = [
        (await live.http.post("/api/v1/auth/login", json={"login": "admin", "password": "wrong"})).status_code
        for _ in range(6)
    ]
    assert statuses == [401] * 5 + [429]
    right = await live.http.post("/api/v1/auth/login", json={"login": "admin", "password": "still not let in"})
    assert int(right.headers["retry-after"]) > 800
    assert await counted() == before + 5


async def test_wrong_passwords_sent_at_once_are_counted_one_by_one(live: Any) -> None:
    answers = await asyncio.gather(
        *(live.http.post("/api/v1/auth/login", json={"login": "admin", "password": "wrong"}) for _ in range(12))
    )
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_a_refresh_token_used_twice_ends_the_session_for_everyone(live: Any) -> None:
    session = await live.login("admin", "the first admin walks by the river")

    async def refresh(token: str) -> httpx2.Response:
        return await live.http.post("/api/v1/auth/refresh", json={"refresh_token": token})

    second = (await refresh(session["refresh_token"])).json()
    headers = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await live.http.get("/api/v1/auth/me", headers=headers)).status_code == 200

    assert (await refresh(session["refresh_token"])).status_code == 401
    assert (await refresh(second["refresh_token"])).status_code == 401
    ended = await live.http.get("/api/v1/auth/me", headers=headers)
    assert (ended.status_code, ended.json()["type"]) == (401, "/problems/session-ended")
    audited = await live.rows("SELECT 1 FROM api_gateway.audit WHERE action = 'refresh_reused'")
    assert len(audited) == 1


async def test_no_token_is_stored_as_it_is(live: Any) -> None:
    session = await live.login("admin", "the first admin walks by the river")
    stored = [row[0] for row in await live.rows("SELECT token_hash FROM api_gateway.refresh_tokens")]
    assert session["refresh_token"] not in stored
    assert session["refresh_token"] not in live.process.log.read_text()


async def test_logout_ends_the_access_token_at_once(live: Any) -> None:
    client = await live.signed_in()
    assert (await client.post("/api/v1/auth/logout")).status_code == 204
    assert (await client.get("/api/v1/auth/me")).status_code == 401


async def test_what_is_taken_off_a_user_takes_effect_at_once(live: Any) -> None:
    trader, admin = await live.user("trader"), await live.signed_in()
    await live.rows("UPDATE api_gateway.users SET accounts = '{live,paper}' WHERE login = 'trader'")
    user_id = (await trader.get("/api/v1/auth/me")).json()["user_id"]
    changed = await admin.patch(f"/api/v1/users/{user_id}", json={"accounts": ["paper"]})
    assert (changed.status_code, changed.json()["accounts"]) == (200, ["paper"])
    assert (await trader.get("/api/v1/auth/me")).status_code == 401


async def test_the_last_admin_stays_an_admin(live: Any) -> None:
    admin = await live.signed_in()
    user_id = (await admin.get("/api/v1/auth/me")).json()["user_id"]
    assert (await admin.patch(f"/api/v1/users/{user_id}", json={"is_active": False})).status_code == 409
    waits = await admin.patch(f"/api/v1/users/{user_id}", json={"role": "viewer"})
    assert (waits.status_code, waits.json()["approvers"]) == (202, 0)
    assert (await admin.get("/api/v1/auth/me")).json()["role"] == "admin"


async def test_a_new_password_ends_all_sessions_and_is_the_one_that_counts(live: Any) -> None:
    client = await live.signed_in()
    body = {"current_password": "the first admin walks by the river", "new_password": "and comes home by train"}
    assert (await client.post("/api/v1/auth/password", json=body)).status_code == 204
    assert (await client.get("/api/v1/auth/me")).status_code == 401
    await live.login("admin", "and comes home by train")


async def test_a_switched_off_user_cannot_sign_in(live: Any) -> None:
    viewer, admin = await live.user("viewer"), await live.signed_in()
    user_id = (await viewer.get("/api/v1/auth/me")).json()["user_id"]
    await admin.patch(f"/api/v1/users/{user_id}", json={"is_active": False})
    new = (await admin.post(f"/api/v1/users/{user_id}/password")).json()["password"]
    answer = await live.http.post("/api/v1/auth/login", json={"login": "viewer", "password": new})
    assert answer.status_code == 401


@pytest.mark.parametrize("secret", ["jwt_key", "first_admin_password"])
async def test_a_short_secret_keeps_the_gateway_from_starting(
    service_env: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str
) -> None:
    env = service_env("api-gateway")
    shutil.copytree(env["SIGMAX_SECRETS_DIR"], tmp_path / "secrets")
    (tmp_path / "secrets" / secret).write_text("too short")
    for name, value in (env | {"SIGMAX_SECRETS_DIR": str(tmp_path / "secrets")}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=secret.upper()):
        Settings.load()


@pytest.mark.parametrize("change", [{"aud": "other"}, {"typ": "refresh"}, {"exp": 1}, {"sub": None}, {"ver": 99}])
async def test_a_token_that_is_wrong_in_one_thing_opens_nothing(live: Any, change: dict[str, Any]) -> None:
    session = await live.login("admin", "the first admin walks by the river")
    key = live.servers.secrets.get("api_gateway", "jwt_key")
    body = jwt.decode(session["access_token"], key, algorithms=["HS256"], audience="sigmax") | change
    forged = jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm="HS256")
    answer = await live.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {forged}"})
    assert answer.status_code == 401


async def test_the_audit_chain_holds_and_a_changed_entry_is_found(live: Any) -> None:
    await live.user("viewer")
    admin = await live.signed_in()
    check = (await admin.get("/api/v1/audit/check")).json()
    assert check["is_whole"]
    assert check["entries"] >= 4
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await live.rows("UPDATE api_gateway.audit SET actor = 'eve' WHERE entry_id = 2")
    # A superuser who goes out of the way can: that is what the chain is for.
    out_of_the_way = {"session_replication_role": "replica"}
    superuser = await asyncpg.connect(live.servers.admin_urls[0], server_settings=out_of_the_way)
    await superuser.execute("UPDATE api_gateway.audit SET actor = 'eve' WHERE entry_id = 2")
    await superuser.close()
    assert (await admin.get("/api/v1/audit/check")).json()["broken_at"] == 2


async def test_entries_from_before_the_chain_are_verified_as_they_were_made(live: Any) -> None:
    """The rows of an older release have their hashes beside them; the chain says where those ended."""
    admin = await live.signed_in()
    superuser = await asyncpg.connect(
        live.servers.admin_urls[0],
        server_settings={"session_replication_role": "replica", "search_path": "api_gateway"},
    )
    await superuser.execute("DELETE FROM audit; DELETE FROM audit_log")
    previous, at = GENESIS, datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    for number in range(1, 6):
        entry = AuditEntry(at, "mina", "login", "mina", {"n": str(number)}, "10.0.0.9")
        values = (number, at, "mina", "login", "mina", json.dumps(entry.detail), "10.0.0.9")
        await superuser.execute(
            "INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            *values,
            previous,
            previous := chain_hash(previous, entry),
        )
    await superuser.execute("SELECT setval(pg_get_serial_sequence('audit', 'entry_id'), 100)")
    told = "jsonb_build_object('entries', 5, 'head', $1::text)"
    await superuser.execute(f"SELECT audit_append('audit_before', 'audit', NULL, {told})", previous)
    await live.http.post("/api/v1/auth/login", json={"login": "admin", "password": "no password of anybody's"})
    check = (await admin.get("/api/v1/audit/check")).json()
    assert check["is_whole"], check
    listed = (await admin.get("/api/v1/audit")).json()["items"]
    assert listed[0]["action"] == "login_failed"
    assert [item["entry_id"] for item in listed[-5:]] == [5, 4, 3, 2, 1]
    assert all(len(item["hash"]) == 64 for item in listed)

    for tampering, entry_id in (
        ('UPDATE audit SET detail = \'{"n": "9"}\' WHERE entry_id = 3', 3),
        ("DELETE FROM audit WHERE entry_id = 5", 5),
    ):
        await superuser.execute("CREATE TABLE public.kept_audit AS SELECT * FROM audit")
        await superuser.execute(tampering)
        assert (await admin.get("/api/v1/audit/check")).json()["broken_at"] == entry_id
        await superuser.execute("DELETE FROM audit; INSERT INTO audit SELECT * FROM public.kept_audit")
        await superuser.execute("DROP TABLE public.kept_audit")
    assert (await admin.get("/api/v1/audit/check")).json()["is_whole"]
    await superuser.close()


async def test_the_gateways_own_role_cannot_change_the_audit(live: Any) -> None:
    for right in ("UPDATE", "DELETE", "TRUNCATE"):
        found = await live.rows("SELECT has_table_privilege('api_gateway', 'api_gateway.audit', $1)", right)
        assert not found[0][0]
