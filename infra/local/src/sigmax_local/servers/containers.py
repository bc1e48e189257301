"""What the servers of `compose.yaml` are given: passwords, users, rights, queues, as files that containers can read.

A container sees a file with the owner and mode it has on the host, and its server is no user of the host. So the files
are readable by everyone inside a folder that only its owner can enter.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from sigmax.runtime.rights import ADMIN, postgres_roles_sql, rabbitmq_definitions, redis_acl
from sigmax_local.environment import make_secrets
from sigmax_local.ports import prefer
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers.trio import Addresses, Ports

REDIS_VERSION = (8, 0)
"""Of the image that `compose.yaml` names."""
_INSIDE = "/etc/sigmax"
"""Where a container sees its folder."""
_WANTED_PORTS = (15432, 16379, 16672)
"""Of Postgres, Redis, RabbitMQ: below the range from which systems take ports for connections."""
_NOT_PUBLISHED = 0
_REDIS_CONF = {
    "dir": "/data",
    "aclfile": f"{_INSIDE}/users.acl",
    # What lies here can be rebuilt: it is saved now and then, and when the server is stopped.
    "save": "300 1",
    "appendonly": "no",
    "stop-writes-on-bgsave-error": "no",
    "databases": "1",
    # Below the container's limit, with room for the copy that a save makes.
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
}
_RABBITMQ_CONF = {
    "load_definitions": f"{_INSIDE}/definitions.json",
    "disk_free_limit.absolute": "100MB",
    # The server takes the machine's memory for its own, not the container's limit.
    "vm_memory_high_watermark.absolute": "384MiB",
    "log.console": "true",
    "log.console.level": "warning",
    "log.file": "false",
    # The log of all quorum queues is kept in memory up to this size: the default of 512 MB is for a server.
    "raft.wal_max_size_bytes": "67108864",
}


def write_files(folder: Path, variables: Path, redis_version: tuple[int, ...] = REDIS_VERSION) -> Addresses:
    """Write what the containers need below `folder`, and what compose needs to know to `variables`, its `.env`.

    Secrets and ports of an earlier call are kept, and so are all other lines of `variables`. Raises `OSError` when a
    file cannot be written, and `ValueError` when an earlier `state.json` is broken.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    state = folder / "state.json"
    addresses = Addresses(folder, Addresses.load(state).ports if state.exists() else _choose_ports())
    secrets = addresses.secrets
    make_secrets(secrets)
    for name, text in _files(secrets, redis_version).items():
        _write(folder, name, text)
    addresses.save(state)
    _set_variables(
        variables,
        {
            "SIGMAX_COMPOSE_DIR": f"'{folder}'",
            "SIGMAX_POSTGRES_PORT": str(addresses.ports.postgres),
            "SIGMAX_REDIS_PORT": str(addresses.ports.redis),
            "SIGMAX_RABBITMQ_PORT": str(addresses.ports.rabbitmq),
        },
    )
    return addresses


def _files(secrets: SecretStore, redis_version: tuple[int, ...]) -> dict[str, str]:
    definitions = rabbitmq_definitions(secrets.rabbitmq_passwords())
    return {
        "postgres/superuser_password": secrets.server("postgres_superuser"),
        "postgres/init/roles.sql": postgres_roles_sql(secrets.database_passwords()),
        "redis/admin_password": secrets.redis_passwords()[ADMIN],
        "redis/conf/redis.conf": "".join(f"{name} {value}\n" for name, value in _REDIS_CONF.items()),
        "redis/conf/users.acl": redis_acl(secrets.redis_passwords(), redis_version),
        "rabbitmq/definitions.json": json.dumps(definitions, indent=1),
        "rabbitmq/rabbitmq.conf": "".join(f"{name} = {value}\n" for name, value in _RABBITMQ_CONF.items()),
        "rabbitmq/enabled_plugins": "[].\n",
    }


def _choose_ports() -> Ports:
    """Take ports that are easily remembered, or other free ones."""
    postgres, redis, rabbitmq = (prefer(port) for port in _WANTED_PORTS)
    return Ports(postgres, redis, rabbitmq, _NOT_PUBLISHED, _NOT_PUBLISHED)


def _write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for parent in path.relative_to(folder).parents[:-1]:
        (folder / parent).chmod(0o755)  # whatever mask the shell has
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.chmod(0o644)
    partial.replace(path)


def _set_variables(path: Path, values: Mapping[str, str]) -> None:
    """Set some variables in an `.env` file; its other lines are people's."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    others = [line for line in lines if line.partition("=")[0].strip() not in values]
    ours = [f"{name}={value}" for name, value in values.items()]
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text("\n".join([*others, *ours]) + "\n", encoding="utf-8")
    partial.replace(path)
