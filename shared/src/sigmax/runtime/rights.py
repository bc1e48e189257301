"""What each login may do on the three servers, derived from the one table in `sigmax.schemas.topology`.

The stack without Docker, Compose, and Kubernetes all apply what these functions give, so that a right is widened in
one place and seen in one diff. Every function is pure: the same passwords give the same text, and applying it again
changes nothing but passwords that changed.

`passwords` maps a login to its password. Logins are the owners (`risk_gate`), and beside them `ADMIN` and, on
Postgres, `MIGRATOR`.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from sigmax.schemas.base import Message
from sigmax.schemas.market import HEARTBEATS
from sigmax.schemas.topology import (
    DEAD_LETTER_EXCHANGE,
    EXCHANGE,
    REACH,
    SERVICES,
    dead_letter_queue_of,
    owner_of,
    queue_of,
)

ADMIN = "sigmax_admin"
"""A person's login on RabbitMQ and Redis: tests, repairs, and nothing that runs every day."""
MIGRATOR = "sigmax_migrator"
"""Owns the schemas and runs the migrations; no service logs in as it."""
SUPERUSER = "postgres"
"""Of Postgres: makes roles and schemas, and nothing else."""
SERVERS = "servers"
"""The folder of the passwords that belong to the servers and to no service, beside one folder for each owner."""
DATABASE = "sigmax"
OWNERS = tuple(owner_of(service) for service in SERVICES)

QUEUE_LENGTH_MAX = 100_000
"""Beyond it a publish is refused and stays in the outbox, where it is seen: better than a full disk."""
DELIVERY_LIMIT = 5
STATEMENT_TIMEOUT_S = 30
IDLE_IN_TRANSACTION_TIMEOUT_S = 30
CONNECTIONS_MAX = 100
"""Per service role: a leak of one service cannot lock out the others."""

_NOTHING = "^$"
_LARGE_OBJECTS = ("lo_creat(integer)", "lo_create(oid)", "lo_from_bytea(oid, bytea)")
"""Everybody may call these, whatever else is forbidden, and fill the disk."""
_SCRAM_ITERATIONS = 4096


def rabbitmq_definitions(passwords: Mapping[str, str]) -> dict[str, Any]:
    """Give the definitions that RabbitMQ loads at start: users, rights, exchanges, queues, and bindings.

    Raises `KeyError` when a service has no password.
    """
    return {
        "vhosts": [{"name": "/"}],
        "users": [_rabbitmq_user(login, passwords[login]) for login in (*OWNERS, ADMIN)],
        "permissions": [
            *(_permission(service) for service in SERVICES),
            {"user": ADMIN, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        ],
        "topic_permissions": [
            {
                "user": owner_of(service),
                "vhost": "/",
                "exchange": EXCHANGE,
                "write": publishable_pattern(service),
                "read": _NOTHING,
            }
            for service in SERVICES
        ],
        "exchanges": [
            {"name": EXCHANGE, "vhost": "/", "type": "topic", "durable": True, "auto_delete": False, "arguments": {}},
            {
                "name": DEAD_LETTER_EXCHANGE,
                "vhost": "/",
                "type": "direct",
                "durable": True,
                "auto_delete": False,
                "arguments": {},
            },
        ],
        "queues": [queue for service in SERVICES for queue in _queues(service)],
        "bindings": [binding for service in SERVICES for binding in _bindings(service)],
    }


def publishable_pattern(service: str) -> str:
    """Give the pattern of routing keys a service may publish: its own topics, each in full."""
    owner = owner_of(service)
    topics = [message.TOPIC.replace("*", owner, 1) for message in REACH[service].publishes]
    if not topics:
        return _NOTHING
    return "^(" + "|".join(re.escape(topic) for topic in topics) + ")$"


def _rabbitmq_user(login: str, password: str) -> dict[str, Any]:
    # RabbitMQ's format: a salt of 4 bytes, then SHA-256 over salt and password. The salt derives from the password,
    # which is 256 random bits, so that the same input gives the same file.
    salt = hashlib.sha256(f"{login}:{password}".encode()).digest()[:4]
    return {
        "name": login,
        "password_hash": b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": ["administrator"] if login == ADMIN else [],
        "limits": {},
    }


def _permission(service: str) -> dict[str, str]:
    reach = REACH[service]
    own_queues = [queue_of(service, message) for message in reach.consumes]
    if own_queues:
        own_queues.append(dead_letter_queue_of(service))
    readable = "^(" + "|".join(re.escape(queue) for queue in own_queues) + ")$" if own_queues else _NOTHING
    return {
        "user": owner_of(service),
        "vhost": "/",
        "configure": _NOTHING,
        # The default exchange is named `amq.default` here and reaches any queue by name: nobody writes to it.
        "write": f"^{re.escape(EXCHANGE)}$" if reach.publishes else _NOTHING,
        "read": readable,
    }


def _queues(service: str) -> list[dict[str, Any]]:
    consumes = REACH[service].consumes
    if not consumes:
        return []
    limits = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-max-length": QUEUE_LENGTH_MAX}
    dead_letters = {
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
        "x-dead-letter-routing-key": dead_letter_queue_of(service),
        "x-dead-letter-strategy": "at-least-once",
    }
    work = [_queue(queue_of(service, message), {**limits, **dead_letters}) for message in consumes]
    return [*work, _queue(dead_letter_queue_of(service), limits)]


def _queue(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "vhost": "/", "durable": True, "auto_delete": False, "arguments": arguments}


def _bindings(service: str) -> list[dict[str, Any]]:
    consumes = REACH[service].consumes
    if not consumes:
        return []
    dead = dead_letter_queue_of(service)
    return [
        *(_binding(EXCHANGE, queue_of(service, message), topic) for message in consumes for topic in _topics(message)),
        _binding(DEAD_LETTER_EXCHANGE, dead, dead),
    ]


def _topics(message: type[Message]) -> list[str]:
    """Give the topics a message really comes under: a wildcard would also let a stranger's in."""
    if not message.TOPIC.startswith("*"):
        return [message.TOPIC]
    publishers = [service for service in SERVICES if message in REACH[service].publishes]
    return [message.TOPIC.replace("*", owner_of(service), 1) for service in publishers]


def _binding(source: str, queue: str, routing_key: str) -> dict[str, Any]:
    return {
        "source": source,
        "vhost": "/",
        "destination": queue,
        "destination_type": "queue",
        "routing_key": routing_key,
        "arguments": {},
    }


_REDIS_ALL = ["ping", "hello", "auth", "select", "client|setname"]
_REDIS_READ = [
    *("xread", "xrange", "xrevrange", "xlen"),
    *("get", "mget", "hget", "hmget", "hgetall", "hlen", "hexists", "exists", "type", "ttl", "pttl"),
]
_REDIS_WRITE = [
    *("set", "del", "expire", "pexpire", "incrby", "hset", "hdel", "hincrby", "xadd"),
    *("zadd", "zrem", "zrange", "zremrangebyscore", "multi", "exec", "discard"),
]
_REDIS_SCRIPTS = ["eval", "evalsha", "script|load"]


def redis_acl(passwords: Mapping[str, str], version: tuple[int, ...] = (7, 0)) -> str:
    """Give the ACL file of Redis: the default user off, and per service the keys and commands it needs.

    `version` is the server's: an ACL file that names a command the server does not know keeps it from starting.
    Raises `KeyError` when a service has no password.
    """
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    lines += [_redis_user(service, passwords[owner_of(service)], version) for service in SERVICES]
    lines.append(f"user {ADMIN} on {_redis_password(passwords[ADMIN])} ~* &* +@all")
    return "\n".join(lines) + "\n"


def _redis_user(service: str, password: str, version: tuple[int, ...]) -> str:
    reach = REACH[service]
    commands = list(_REDIS_ALL)
    if version >= (7, 2):
        commands.append("client|setinfo")  # redis-py sends it with each connection
    if reach.reads or reach.owns:
        commands += _REDIS_READ
    if reach.owns:
        commands += _REDIS_WRITE
    if reach.runs_scripts:
        commands += _REDIS_SCRIPTS
    if reach.watches_redis:
        commands.append("info")
    keys = [*(f"%R~{key}" for key in reach.reads), *(f"%RW~{key}" for key in reach.owns)]
    rights = " ".join([*keys, "resetchannels", "-@all", *(f"+{command}" for command in commands)])
    # A right apart from the others: who may delete keys of its own may not delete the heartbeats.
    heartbeats = f"(%W~{HEARTBEATS} -@all +xadd)"
    return f"user {owner_of(service)} on {_redis_password(password)} {rights} {heartbeats}"


def _redis_password(password: str) -> str:
    return "#" + hashlib.sha256(password.encode()).hexdigest()


_TIMESCALEDB = f"""
DO $$
DECLARE
    home regnamespace;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') OR NOT EXISTS (
            SELECT FROM pg_settings WHERE name = 'shared_preload_libraries' AND setting ~ '\\mtimescaledb\\M'
        ) THEN
            RETURN;
        END IF;
        CREATE SCHEMA timescaledb;
        CREATE EXTENSION timescaledb WITH SCHEMA timescaledb;
    END IF;
    SELECT extnamespace::regnamespace INTO home FROM pg_extension WHERE extname = 'timescaledb';
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO {MIGRATOR}', home);
END $$;
"""  # noqa: S608 - a name of ours
"""Only a superuser may; the migrator alone may call what it brings. A server without it goes without."""


def postgres_roles_sql(passwords: Mapping[str, str], database: str = DATABASE) -> str:
    """Give the SQL that a superuser runs in `database` before the migrations, at every start.

    A service logs in as a role that owns nothing: it may read and write the rows of its own schema, and whatever a
    migration takes back (`REVOKE UPDATE, DELETE ON fills FROM order_worker`) stays taken. Raises `KeyError` when a
    role has no password.
    """
    statements = [
        *_role(MIGRATOR, passwords[MIGRATOR]),
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {MIGRATOR};",
        # Of the server's other databases a service needs nothing; in this one it makes no large objects.
        *(_closed_to_services(other) for other in ("postgres", "template1")),
        *(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC;" for function in _LARGE_OBJECTS),
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {MIGRATOR} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;",
        _TIMESCALEDB,
    ]
    reaches = {owner_of(service): REACH[service] for service in SERVICES if REACH[service].has_database}
    owners = list(reaches)
    for owner, reach in reaches.items():
        statements += _role(owner, passwords[owner])
        statements += _schema(owner, database, makes_temporary_tables=reach.makes_temporary_tables)
    for reader in (owner_of(service) for service in SERVICES if REACH[service].reads_all_schemas):
        for owner in owners:
            if owner != reader:
                statements += _reads(reader, owner)
    return "\n".join(statements) + "\n"


def _role(login: str, password: str) -> list[str]:
    return [
        f"DO $$ BEGIN CREATE ROLE {login}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;",
        f"ALTER ROLE {login} WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;",
        f"ALTER ROLE {login} CONNECTION LIMIT {CONNECTIONS_MAX} PASSWORD '{scram_verifier(login, password)}';",
    ]


def _closed_to_services(database: str) -> str:
    return (
        f"DO $$ BEGIN REVOKE ALL ON DATABASE {database} FROM PUBLIC;"
        " EXCEPTION WHEN invalid_catalog_name THEN NULL; END $$;"
    )


def _schema(owner: str, database: str, *, makes_temporary_tables: bool) -> list[str]:
    defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {MIGRATOR} IN SCHEMA {owner}"
    temporary = f"TEMPORARY ON DATABASE {database}"
    return [
        f"GRANT CONNECT ON DATABASE {database} TO {owner};",
        f"GRANT {temporary} TO {owner};" if makes_temporary_tables else f"REVOKE {temporary} FROM {owner};",
        f"CREATE SCHEMA IF NOT EXISTS {owner} AUTHORIZATION {MIGRATOR};",
        f"GRANT USAGE ON SCHEMA {owner} TO {owner};",
        f"{defaults} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {owner};",
        f"{defaults} GRANT USAGE, SELECT ON SEQUENCES TO {owner};",
        f"{defaults} GRANT EXECUTE ON FUNCTIONS TO {owner};",
        f"ALTER ROLE {owner} SET search_path = {owner};",
        f"ALTER ROLE {owner} SET statement_timeout = '{STATEMENT_TIMEOUT_S}s';",
        f"ALTER ROLE {owner} SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_TIMEOUT_S}s';",
        f"ALTER ROLE {owner} SET timezone = 'UTC';",
    ]


def _reads(reader: str, owner: str) -> list[str]:
    return [
        f"GRANT USAGE ON SCHEMA {owner} TO {reader};",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {MIGRATOR} IN SCHEMA {owner} GRANT SELECT ON TABLES TO {reader};",
    ]


def scram_verifier(login: str, password: str) -> str:
    """Give what Postgres stores for a password (SCRAM-SHA-256), so that no statement or log ever holds the password.

    The salt derives from login and password: passwords are 256 random bits, and the same input gives the same SQL.
    """
    salt = hashlib.sha256(f"{login}:{password}".encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
