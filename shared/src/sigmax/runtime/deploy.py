"""Make the three servers ready for this version: `python -m sigmax.runtime.deploy database`, then `... topology`.

Both may run again at any time, and do at each upgrade: what is already so stays so. `database` makes roles and schemas
and migrates; `topology` makes RabbitMQ's users, rights, queues, and bindings over its management API, and Redis' users.
Whatever a version no longer binds or lets in is taken away; queues and their messages are left for a person to remove.

Environment: `SIGMAX_DATABASE_URL`, `SIGMAX_RABBITMQ_MANAGEMENT_URL`, `SIGMAX_REDIS_URL`, each without a login, and
`SIGMAX_SECRETS_DIR` (`/run/secrets`) with the passwords as `<owner>/<name>` and `servers/<name>`.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from redis import Redis
from redis.exceptions import RedisError

from sigmax.runtime.migrate import migrate
from sigmax.runtime.rights import (
    ADMIN,
    MIGRATOR,
    OWNERS,
    SERVERS,
    SUPERUSER,
    postgres_roles_sql,
    rabbitmq_definitions,
    redis_acl,
)
from sigmax.schemas.topology import DEAD_LETTER_EXCHANGE, EXCHANGE

_TIMEOUT_S = 30.0


class DeployError(Exception):
    """A server or a secret is not as it must be. The text says which, and what to do."""


@dataclass(frozen=True)
class Passwords:
    """The folder of all secrets, which only this job sees whole."""

    folder: Path

    def of(self, owner: str, name: str) -> str:
        """Give a secret. Raises `DeployError` when its file is missing or empty."""
        path = self.folder / owner / name
        try:
            value = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise DeployError(f"{path}: {error.strerror}. `make secrets` makes what is missing.") from None
        if not value:
            raise DeployError(f"{path} is empty.")
        return value

    def of_owners(self, name: str) -> dict[str, str]:
        """Give the secret of that name of every service, by owner."""
        return {owner: self.of(owner, name) for owner in OWNERS}


async def prepare_roles(url: str, passwords: Passwords) -> None:
    """Make roles, schemas, and rights. `url` is `postgresql://host:port/database`. Raises what asyncpg raises."""
    roles = {**passwords.of_owners("database_password"), MIGRATOR: passwords.of(SERVERS, "postgres_migrator")}
    address = _with_login(url, SUPERUSER, passwords.of(SERVERS, "postgres_superuser"))
    connection = await asyncpg.connect(address, timeout=_TIMEOUT_S)
    try:
        async with connection.transaction():
            await connection.execute(postgres_roles_sql(roles, urllib.parse.urlsplit(url).path.lstrip("/")))
    finally:
        await connection.close()


class Management:
    """RabbitMQ's management API with the administrator's login."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url.rstrip("/")
        token = base64.b64encode(f"{ADMIN}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request. Raises `DeployError` with the server's words for any answer but 2xx."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data, self._headers, method=method)  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            words = error.read().decode("utf-8", "replace")[:1000]
            raise DeployError(f"RabbitMQ answered {error.code} to {method} {path}: {words}") from None
        except OSError as error:
            raise DeployError(f"RabbitMQ's management API at {self._url} does not answer: {error}") from None
        return json.loads(text) if text else None


def prepare_rabbitmq(management: Management, passwords: Mapping[str, str]) -> list[str]:
    """Apply the definitions, and remove users and bindings that they do not name; give what was removed.

    A binding left over would fill a queue that nobody reads until publishing is refused.
    """
    definitions = rabbitmq_definitions(passwords)
    management.call("POST", "/api/definitions", definitions)
    removed = []
    logins = {user["name"] for user in definitions["users"]}
    for user in management.call("GET", "/api/users"):
        if user["name"] not in logins:
            management.call("DELETE", f"/api/users/{_quote(user['name'])}")
            removed.append(f"user {user['name']}")
    wanted = {(one["source"], one["destination"], one["routing_key"]) for one in definitions["bindings"]}
    for exchange in (EXCHANGE, DEAD_LETTER_EXCHANGE):
        for one in management.call("GET", f"/api/exchanges/%2F/{_quote(exchange)}/bindings/source"):
            if (exchange, one["destination"], one["routing_key"]) not in wanted:
                path = f"/api/bindings/%2F/e/{_quote(exchange)}/q/{_quote(one['destination'])}"
                management.call("DELETE", f"{path}/{_quote(one['properties_key'])}")
                removed.append(f"binding {one['routing_key']} -> {one['destination']}")
    return removed


def prepare_redis(redis: Redis, passwords: Mapping[str, str]) -> list[str]:
    """Set every user's rights and keep them over a restart; give the users that were removed.

    Raises `RedisError`, also when the server has no ACL file to keep them in.
    """
    call: Callable[..., Any] = redis.execute_command
    version = tuple(int(part) for part in str(redis.info("server")["redis_version"]).split("."))
    wanted = set()
    for line in redis_acl(passwords, version).splitlines():
        _, name, *rules = line.split()
        wanted.add(name)
        call("ACL", "SETUSER", name, *([] if name == "default" else ["reset"]), *rules)
    names = [name.decode() if isinstance(name, bytes) else name for name in call("ACL", "USERS")]
    removed = [name for name in names if name not in wanted]
    if removed:
        call("ACL", "DELUSER", *removed)
    call("ACL", "SAVE")
    return [f"user {name}" for name in removed]


def _database(passwords: Passwords, services_dir: Path) -> None:
    url = _setting("SIGMAX_DATABASE_URL")
    asyncio.run(prepare_roles(url, passwords))
    print("Postgres: roles and schemas are there")
    for owner in migrate(_with_login(url, MIGRATOR, passwords.of(SERVERS, "postgres_migrator")), services_dir):
        print(f"Postgres: {owner} is at its newest revision")


def _topology(passwords: Passwords) -> None:
    admin = passwords.of(SERVERS, "rabbitmq_admin")
    management = Management(_setting("SIGMAX_RABBITMQ_MANAGEMENT_URL"), admin)
    removed = prepare_rabbitmq(management, {**passwords.of_owners("rabbitmq_password"), ADMIN: admin})
    print(f"RabbitMQ: users, rights, queues, and bindings are there; removed: {', '.join(removed) or 'nothing'}")
    admin = passwords.of(SERVERS, "redis_admin")
    with Redis.from_url(_setting("SIGMAX_REDIS_URL"), username=ADMIN, password=admin, socket_timeout=10) as redis:
        removed = prepare_redis(redis, {**passwords.of_owners("redis_password"), ADMIN: admin})
    print(f"Redis: users and rights are there; removed: {', '.join(removed) or 'nothing'}")


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise DeployError(f"{name} is not set: it is the address of the server, without a login.")
    return value


def _with_login(url: str, login: str, password: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=f"{login}:{_quote(password)}@{parts.netloc}").geturl()


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def main() -> int:
    """Read the command line and do one of the two; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sigmax.runtime.deploy", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("database", "topology"))
    parser.add_argument("--services-dir", type=Path, default=Path("services"), help="the folder with the migrations")
    options = parser.parse_args()
    passwords = Passwords(Path(os.environ.get("SIGMAX_SECRETS_DIR", "/run/secrets")))
    try:
        if options.what == "database":
            _database(passwords, options.services_dir)
        else:
            _topology(passwords)
    except (DeployError, OSError, asyncpg.PostgresError, RedisError) as error:
        print(f"{options.what}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
