"""The deploy jobs on real servers. Their part on RabbitMQ is tested where its management API is: tests/containers."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
import redis

from sigmax.runtime.rights import ADMIN
from sigmax_local.environment import repository
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration


def deploy(what: str, addresses: Addresses, **changed: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "SIGMAX_DATABASE_URL": addresses.database_url,
        "SIGMAX_REDIS_URL": addresses.redis_url,
        "SIGMAX_RABBITMQ_MANAGEMENT_URL": "http://127.0.0.1:1",
        "SIGMAX_SECRETS_DIR": str(addresses.secrets.folder),
        "PATH": "",
        **changed,
    }
    command = [sys.executable, "-m", "sigmax.runtime.deploy", what]
    return subprocess.run(command, env=environment, cwd=repository(), capture_output=True, text=True, check=False)


async def test_the_database_job_may_run_again_and_gives_back_a_right_that_was_lost(clean: Addresses) -> None:
    database = await asyncpg.connect(clean.admin_urls[0])
    right = "SELECT has_schema_privilege('api_gateway', 'order_worker', 'USAGE')"
    try:
        await database.execute("REVOKE USAGE ON SCHEMA order_worker FROM api_gateway")
        assert not await database.fetchval(right)

        done = deploy("database", clean)

        assert done.returncode == 0, done.stderr
        assert "order_worker is at its newest revision" in done.stdout
        assert await database.fetchval(right)
    finally:
        await database.close()


async def test_a_changed_password_is_the_one_that_counts_after_the_job(clean: Addresses) -> None:
    old = clean.secrets.get("notifier", "database_password")
    clean.secrets.put("notifier", "database_password", "another password")
    try:
        assert deploy("database", clean).returncode == 0
        await (await asyncpg.connect(clean.database_url_as("notifier"))).close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(clean.database_url_as("notifier").replace("another password", old))
    finally:
        clean.secrets.put("notifier", "database_password", old)
        assert deploy("database", clean).returncode == 0


def test_the_topology_job_names_the_server_that_does_not_answer(clean: Addresses) -> None:
    done = deploy("topology", clean)
    assert done.returncode == 1
    assert done.stderr.startswith("topology: RabbitMQ's management API at http://127.0.0.1:1 does not answer")


def test_a_missing_secret_is_named_with_the_remedy(clean: Addresses, tmp_path: Path) -> None:
    done = deploy("database", clean, SIGMAX_SECRETS_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "collector/database_password: No such file or directory. `make secrets`" in done.stderr


def test_a_missing_address_is_named(clean: Addresses) -> None:
    done = deploy("database", clean, SIGMAX_DATABASE_URL="")
    assert (done.returncode, done.stderr) == (
        1,
        "database: SIGMAX_DATABASE_URL is not set: it is the address of the server, without a login.\n",
    )


def test_redis_users_get_their_rights_and_strangers_go(clean: Addresses) -> None:
    from sigmax.runtime.deploy import prepare_redis

    passwords = clean.secrets.redis_passwords()
    with redis.Redis.from_url(clean.admin_urls[1], decode_responses=True) as server:
        server.execute_command("ACL", "SETUSER", "stranger", "on", "nopass", "+@all", "~*")
        server.execute_command("ACL", "SETUSER", "notifier", "+@all", "allkeys")

        assert prepare_redis(server, passwords) == ["user stranger"]

        users = server.execute_command("ACL", "LIST")
        assert not any(line.startswith("user stranger ") for line in users)
        notifier = next(line for line in users if line.startswith("user notifier "))
        assert "+@all" not in notifier
        assert "~*" not in notifier.split()
        assert next(line for line in users if line.startswith("user default ")).split()[2] == "off"
        assert any(line.startswith(f"user {ADMIN} on ") for line in users)
