from typing import Any
from uuid import uuid5

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from api_gateway.domain.rights import GRANTS, PUBLIC, ROUTES, Right, Role
from api_gateway.handlers.context import Gateway
from api_gateway.handlers.http import check_rights, create_http
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.types import OrderStatus

KEY = {"Idempotency-Key": "key-00001"}
BODIES: dict[str, dict[str, Any]] = {
    "change_password": {"current_password": "a long walk by the river", "new_password": "another walk by the river"},
    "add_user": {"login": "mina", "role": "trader", "accounts": ["paper"]},
    "change_user": {"is_active": False},
    "set_strategy_params": {"params": {"fast": 12}},
    "halt": {"reason": "test"},
    "resume": {"reason": "test"},
    "set_stage": {"stage": "locked"},
    "flatten": {"reason": "test"},
    "set_limits": {"account_id": "paper", "values": {"order_notional_max": "20000"}, "reason": "test"},
    "set_posture": {"account_id": "paper", "posture": "defensive"},
    "release": {"scope": "strategy", "scope_id": "ema", "reason": "test"},
    "book_transfer": {"account_id": "paper", "asset": "USDT", "amount": "100", "reason": "test"},
    "identify_order": {"venue_order_id": "117057"},
    "approve": {"fingerprint": "0" * 64},
    "refuse": {"fingerprint": "0" * 64},
}


def _operations() -> list[tuple[str, str, str]]:
    paths = create_http().openapi()["paths"]
    return [(op["operationId"], method.upper(), path) for path, ops in paths.items() for method, op in ops.items()]


def _address(path: str) -> str:
    some_id = str(uuid5(NAMESPACE, "viewer"))
    return (
        path.replace("{strategy_id}", "ema")
        .replace("{client_order_id}", "sx1")
        .replace("{user_id}", some_id)
        .replace("{alert_id}", some_id)
        .replace("{command_id}", some_id)
        .replace("{execution_id}", "e1")
        .replace("{approval_id}", some_id)
    )


@pytest.mark.parametrize(("operation", "method", "path"), _operations())
@pytest.mark.parametrize("role", [None, *Role])
async def test_every_route_is_open_to_the_roles_of_the_table_alone(
    client_as: Any, operation: str, method: str, path: str, role: Role | None
) -> None:
    client = client_as(role.value if role else None)
    answer = await client.request(
        method,
        _address(path),
        json=BODIES.get(operation),
        headers=KEY,
        params={"instrument_id": "BTC/USDT@binance"} if operation == "list_bars" else None,
    )
    if operation in PUBLIC:
        assert answer.status_code in (204, 401, 422)
    elif role is None:
        assert answer.status_code == 401
    elif role in GRANTS[ROUTES[operation]]:
        assert answer.status_code in (200, 201, 202, 204, 404), answer.text
    else:
        assert answer.status_code == 403
        assert answer.json()["type"] == "/problems/not-allowed"


def test_a_route_outside_the_table_of_rights_keeps_the_gateway_from_starting() -> None:
    with pytest.raises(RuntimeError, match="sneak_in"):
        check_rights(PUBLIC | set(ROUTES) | {"sneak_in"})


async def test_login_answers_with_a_token_and_a_cookie_that_scripts_cannot_read(client_as: Any) -> None:
    answer = await client_as(None).post(
        "/api/v1/auth/login", json={"login": "Trader", "password": "a long walk by the river"}
    )
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-sigmax-refresh=refresh-1;")
    for flag in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert flag in cookie
    assert answer.json()["refresh_token"] is None


async def test_a_program_gets_its_refresh_token_in_the_body_and_no_cookie(client_as: Any) -> None:
    answer = await client_as(None).post(
        "/api/v1/auth/login",
        json={"login": "trader", "password": "a long walk by the river", "wants_refresh_token": True},
    )
    assert answer.json()["refresh_token"] == "refresh-1"
    assert "set-cookie" not in answer.headers


async def test_an_unknown_login_and_a_wrong_password_get_the_same_answer(client_as: Any, gateway: Gateway) -> None:
    answers = [
        await client_as(None).post("/api/v1/auth/login", json={"login": login, "password": "wrong"})
        for login in ("trader", "nobody")
    ]
    bodies = [{**answer.json(), "instance": ""} for answer in answers]
    assert bodies[0] == bodies[1]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert gateway.counters.logins == ["wrong", "wrong"]  # type: ignore[attr-defined]


async def test_too_many_tries_are_told_how_long_to_wait(client_as: Any, gateway: Gateway) -> None:
    gateway.sessions.wait_s = 42  # type: ignore[attr-defined]
    answer = await client_as(None).post("/api/v1/auth/login", json={"login": "trader", "password": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "42")


async def test_the_session_cookie_works_only_with_a_header_that_a_strange_page_cannot_send(client_as: Any) -> None:
    client = client_as(None)
    cookie = {"Cookie": "__Host-sigmax-refresh=refresh-1"}
    bare = await client.post("/api/v1/auth/refresh", headers=cookie)
    assert (bare.status_code, bare.json()["type"]) == (403, "/problems/header-missing")
    whole = await client.post("/api/v1/auth/refresh", headers={**cookie, "X-Requested-With": "dashboard"})
    assert whole.status_code == 200
    assert "refresh-2" in whole.headers["set-cookie"]


async def test_logout_ends_the_session_of_the_access_token_too(client_as: Any, gateway: Gateway) -> None:
    answer = await client_as("trader").post("/api/v1/auth/logout")
    assert answer.status_code == 204
    assert gateway.sessions.closed[0][1] is not None  # type: ignore[attr-defined]


async def test_a_weak_new_password_is_refused_by_name(client_as: Any, gateway: Gateway) -> None:
    body = {"current_password": "a long walk by the river", "new_password": "short"}
    answer = await client_as("viewer").post("/api/v1/auth/password", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "body.new_password"
    assert gateway.users.passwords == []  # type: ignore[attr-defined]


async def test_refused_values_are_never_repeated_to_the_caller(client_as: Any) -> None:
    answer = await client_as(None).post(
        "/api/v1/auth/login", json={"login": "a b", "password": {"x": "hunter2 secret"}}
    )
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_a_command_is_accepted_with_the_address_of_its_status(client_as: Any) -> None:
    answer = await client_as("trader").post("/api/v1/strategies/ema/stop", headers=KEY)
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["status_url"]


async def test_the_same_key_and_wish_is_one_command(client_as: Any) -> None:
    client = client_as("trader")
    ids = {
        (await client.post("/api/v1/risk/halt", json={"reason": "x"}, headers=KEY)).json()["command_id"]
        for _ in range(2)
    }
    assert len(ids) == 1


async def test_the_same_key_for_another_wish_is_refused(client_as: Any) -> None:
    client = client_as("trader")
    await client.post("/api/v1/risk/halt", json={"reason": "x"}, headers=KEY)
    answer = await client.post("/api/v1/risk/halt", json={"reason": "y"}, headers=KEY)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_a_command_without_a_key_is_refused(client_as: Any) -> None:
    answer = await client_as("trader").post("/api/v1/risk/halt", json={})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "header.Idempotency-Key"


async def test_a_trader_steers_no_strategy_of_a_strangers_account(client_as: Any) -> None:
    for path, method, body in (
        ("/api/v1/strategies/other/stop", "POST", None),
        ("/api/v1/strategies/other/params", "PUT", {"params": {"fast": 1}}),
        ("/api/v1/risk/halt", "POST", {"scope": "account", "scope_id": "other"}),
        ("/api/v1/risk/halt", "POST", {"scope": "strategy", "scope_id": "other"}),
    ):
        answer = await client_as("trader").request(method, path, json=body, headers=KEY)
        assert answer.status_code == 403, path


async def test_an_unknown_parameter_is_refused_by_name(client_as: Any) -> None:
    answer = await client_as("trader").put(
        "/api/v1/strategies/ema/params", json={"params": {"fast": 5, "speed": 1}}, headers=KEY
    )
    assert answer.status_code == 422
    assert [error["where"] for error in answer.json()["errors"]] == ["body.params.speed"]


async def test_parameters_travel_as_text_and_null_as_nothing(client_as: Any) -> None:
    params = {"fast": 0.25, "slow": None}
    answer = await client_as("trader").put("/api/v1/strategies/ema/params", json={"params": params}, headers=KEY)
    assert answer.json()["values"] == {"fast": "0.25", "slow": ""}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "[1]"])
async def test_a_parameter_is_one_finite_value(client_as: Any, value: str) -> None:
    headers = {**KEY, "Content-Type": "application/json"}
    content = f'{{"params": {{"fast": {value}}}}}'
    answer = await client_as("trader").put("/api/v1/strategies/ema/params", content=content, headers=headers)
    assert answer.status_code == 422


async def test_an_order_that_is_over_cannot_be_cancelled(client_as: Any, books: Any) -> None:
    books.order_now = books.order_now.model_copy(update={"status": OrderStatus.FILLED})
    answer = await client_as("trader").post("/api/v1/orders/sx1/cancel", headers=KEY)
    assert answer.status_code == 409


@pytest.mark.parametrize("body", [{"scope": "account"}, {"scope": "global", "scope_id": "paper"}])
async def test_a_scope_and_its_id_fit_together(client_as: Any, body: dict[str, str]) -> None:
    assert (await client_as("trader").post("/api/v1/risk/halt", json=body, headers=KEY)).status_code == 422


async def test_a_spent_budget_of_changes_does_not_keep_a_trader_from_halting(client_as: Any, gateway: Gateway) -> None:
    await client_as("trader").post("/api/v1/risk/halt", json={}, headers=KEY)
    await client_as("trader").post("/api/v1/strategies/ema/activate", headers=KEY)
    assert gateway.rates.buckets == ["requests", "changes"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "cursor=nonsense",
        "since=2026-01-01T00:00:00",
        "since=9999-12-31T23:59:59-12:00",
        "status=x",
    ],
)
async def test_a_list_refuses_bounds_it_does_not_know(client_as: Any, query: str) -> None:
    assert (await client_as("viewer").get(f"/api/v1/orders?{query}")).status_code == 422


async def test_an_unreachable_part_is_said_to_be_away_and_no_more(client_as: Any, books: Any) -> None:
    books.fault = OperationalError("SELECT secret", {}, Exception("password=hunter2"))
    answer = await client_as("viewer").get("/api/v1/accounts")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "secret" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_fault_of_ours_tells_nothing_but_where_to_look(client_as: Any, books: Any, gateway: Gateway) -> None:
    books.fault = ValueError("secret")
    with capture_logs() as logged:
        answer = await client_as("viewer").get("/api/v1/accounts")
    assert answer.status_code == 500
    assert answer.json()["instance"] in [line.get("instance") for line in logged]
    assert "secret" not in answer.text
    assert answer.json()["instance"].startswith("urn:sigmax:answer:")
    assert gateway.counters.requests[-1] == ("list_accounts", "GET", 500)  # type: ignore[attr-defined]


async def test_a_body_beyond_the_limit_is_refused_whether_announced_or_not(client_as: Any) -> None:
    client = client_as(None)

    async def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 1000

    announced = await client.post("/api/v1/auth/login", content=b"x" * 100_000)
    streamed = await client.post("/api/v1/auth/login", content=chunks(), headers={"Content-Type": "application/json"})
    assert [announced.status_code, streamed.status_code] == [413, 413]


async def test_a_body_that_is_no_json_is_refused(client_as: Any) -> None:
    headers = {"Content-Type": "application/json"}
    answers = [
        await client_as(None).post("/api/v1/auth/login", content=content, headers=headers)
        for content in (b"\xff\xfe", b"{", b"[1")
    ]
    assert {answer.status_code for answer in answers} <= {400, 422}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


@pytest.mark.parametrize("path", ["/", "/api/v1/orders", "/api/v1/nothing", "/assets/app.js"])
async def test_every_answer_carries_the_security_headers(client_as: Any, path: str) -> None:
    headers = (await client_as("viewer").get(path)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" in headers
    assert ("no-store" in headers.get("cache-control", "")) == path.startswith("/api/")


async def test_only_listed_origins_may_read(client_as: Any) -> None:
    for origin, allowed in (("https://desk.example", True), ("https://evil.example", False)):
        answer = await client_as("viewer").get("/api/v1/orders", headers={"Origin": origin})
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
        preflight = await client_as(None).options(
            "/api/v1/orders", headers={"Origin": origin, "Access-Control-Request-Method": "GET"}
        )
        assert (preflight.status_code == 204) is allowed


async def test_a_wrong_method_names_the_right_ones(client_as: Any) -> None:
    answer = await client_as("viewer").delete("/api/v1/orders")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["type"] == "/problems/method-not-allowed"


async def test_an_unknown_address_is_a_problem_too(client_as: Any, gateway: Gateway) -> None:
    answer = await client_as("viewer").get("/api/v1/nothing")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    assert gateway.counters.requests[-1][0] == "unmatched"  # type: ignore[attr-defined]


def test_openapi_documents_every_error_with_one_schema() -> None:
    schema = create_http().openapi()
    for path in schema["paths"].values():
        for operation in path.values():
            for status in ("400", "401", "403", "404", "409", "413", "422", "429", "500", "503"):
                content = operation["responses"][status]["content"]
                assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_every_right_is_asked_for_by_some_route() -> None:
    assert set(ROUTES.values()) == set(Right)
