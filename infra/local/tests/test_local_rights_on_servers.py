"""Logins on the three servers: each opens with its own password alone; and the table of rights is up to date."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import aio_pika
import asyncpg
import pytest
import redis.asyncio
from aiormq.exceptions import ChannelAccessRefused

from sigmax.runtime.rights import ADMIN, MIGRATOR, OWNERS, SUPERUSER
from sigmax.schemas.topology import REACH, SERVICES, owner_of
from sigmax_local.environment import repository
from sigmax_local.rights import write_down
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration
Enter = Callable[[str, str], Awaitable[None]]


async def test_the_table_of_rights_is_up_to_date(servers: Addresses) -> None:
    """`python -m sigmax_local.rights` writes it anew: read its diff before it is committed."""
    connection = await asyncpg.connect(servers.admin_urls[0])
    try:
        document = await write_down(connection)
    finally:
        await connection.close()

    assert (repository() / "infra" / "RIGHTS.md").read_text(encoding="utf-8") == document


_PATIENCE_S = 60
"""Hundreds of logins at once, on a machine that has other work."""


def _entrances(servers: Addresses) -> dict[str, tuple[Enter, Mapping[str, str]]]:
    """Give what enters each server with a login and a password, and the right passwords."""

    async def enter_postgres(login: str, password: str) -> None:
        url = servers.database_url
        await (await asyncpg.connect(url, user=login, password=password or None, passfile="/nonexistent")).close()

    async def enter_redis(login: str, password: str) -> None:
        options: dict[str, Any] = {"socket_connect_timeout": _PATIENCE_S}
        if login:
            options |= {"username": login, "password": password}
        async with redis.asyncio.Redis.from_url(servers.redis_url, **options) as client:
            await client.ping()

    async def enter_rabbitmq(login: str, password: str) -> None:
        url = servers.rabbitmq_url.replace("amqp://", f"amqp://{quote(login)}:{quote(password)}@")
        await (await aio_pika.connect(url)).close()

    secrets = servers.secrets
    superuser = {SUPERUSER: secrets.server("postgres_superuser")}
    return {
        "postgres": (enter_postgres, {**secrets.database_passwords(), **superuser}),
        "redis": (enter_redis, secrets.redis_passwords()),
        "rabbitmq": (enter_rabbitmq, secrets.rabbitmq_passwords()),
    }


async def _opens(enter: Enter, login: str, password: str) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await enter(login, password)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        return False
    except redis.exceptions.AuthenticationError:
        return False
    except aio_pika.exceptions.ProbableAuthenticationError:
        return False
    return True


@pytest.mark.parametrize("server", ["postgres", "redis", "rabbitmq"])
async def test_a_login_opens_with_its_own_password_and_no_other(server: str, servers: Addresses) -> None:
    enter, passwords = _entrances(servers)[server]
    tries = [(login, whose) for login in passwords for whose in passwords]
    a_few = asyncio.Semaphore(20)

    async def attempt(login: str, whose: str) -> bool:
        async with a_few:
            return await _opens(enter, login, passwords[whose])

    opened = await asyncio.gather(*(attempt(login, whose) for login, whose in tries))

    assert [pair for pair, is_open in zip(tries, opened, strict=True) if is_open] == [(one, one) for one in passwords]


@pytest.mark.parametrize(
    ("server", "login", "password"),
    [
        *(("postgres", login, password) for login in ("postgres", MIGRATOR, "order_worker") for password in ("", "x")),
        ("postgres", "nobody_in_particular", "x"),
        *(("redis", login, password) for login in ("default", ADMIN) for password in ("", "x")),
        ("redis", "", ""),
        *(("rabbitmq", login, password) for login in ("guest", ADMIN) for password in ("guest", "", "x")),
    ],
)
async def test_nobody_enters_without_a_login_of_ours(
    server: str, login: str, password: str, servers: Addresses
) -> None:
    enter, _ = _entrances(servers)[server]
    assert not await _opens(enter, login, password)


def test_no_two_logins_share_a_password(servers: Addresses) -> None:
    secrets = servers.secrets
    passwords = [
        *secrets.database_passwords().values(),
        *secrets.redis_passwords().values(),
        *secrets.rabbitmq_passwords().values(),
        secrets.server("postgres_superuser"),
    ]
    assert len(set(passwords)) == len(passwords) == 3 * len(OWNERS) + 4


def test_only_what_two_services_must_share_is_the_same_in_two_folders(servers: Addresses) -> None:
    holders: dict[str, set[str]] = {}
    for service in SERVICES:
        folder = servers.secrets.folder_of(owner_of(service))
        for path in folder.iterdir():
            holders.setdefault(path.read_text(encoding="utf-8"), set()).add(f"{service}/{path.name}")
    shared = {frozenset(names) for names in holders.values() if len(names) > 1}
    both = ("approval_key", "venue_api_key", "venue_api_secret")
    assert shared == {frozenset(f"{one}/{name}" for one in SERVICES if name in REACH[one].secrets) for name in both}


async def test_llm_controller_cannot_publish_an_approval(servers: Addresses) -> None:
    async with await aio_pika.connect(servers.rabbitmq_url_as("llm_controller")) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("sigmax", ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await exchange.publish(aio_pika.Message(b"{}"), "risk_gate.order_approved.v1")
