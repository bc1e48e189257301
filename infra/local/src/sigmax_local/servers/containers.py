"""What `compose.yaml` is given: passwords, keys, settings of the servers, and the `.env` with ports and prices.

A container sees a file with the owner and mode it has on the host, and its process is no user of the host. So the files
are readable by everyone inside a folder that only its owner can enter.
"""

import json
import stat
from collections.abc import Mapping
from pathlib import Path

from sigmax.runtime.rights import ADMIN, rabbitmq_definitions, redis_acl
from sigmax_local.environment import adopt_secrets, make_secrets
from sigmax_local.feed import Feed
from sigmax_local.ports import prefer
from sigmax_local.secret_store import SecretStore

GATEWAY_PORT = 8080
_LIVE_WORKER = "order_worker_live"
_VENUE_KEYS = ("venue_api_key", "venue_api_secret")
_RECORDINGS_INSIDE = "/recordings"
_REDIS_CONF = {
    "dir": "/data",
    "aclfile": "/data/users.acl",
    "protected-mode": "no",
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
    "load_definitions": "/etc/sigmax/definitions.json",
    "disk_free_limit.absolute": "100MB",
    # The server takes the machine's memory for its own, not the container's limit.
    "vm_memory_high_watermark.absolute": "384MiB",
    "log.console": "true",
    "log.console.level": "warning",
    "log.file": "false",
    # The log of all quorum queues is kept in memory up to this size: the default of 512 MB is for a server.
    "raft.wal_max_size_bytes": "67108864",
    # The management API is here for the deploy job; figures come from rabbitmq_prometheus.
    "management_agent.disable_metrics_collector": "true",
}


def write_secrets(folder: Path) -> SecretStore:
    """Make the passwords and keys below `folder`, and what the servers start with. Those of an earlier call are kept.

    Raises `OSError` when a file cannot be written.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    secrets = SecretStore(folder / "secrets")
    make_secrets(secrets)
    secrets.get("api_gateway", "first_admin_password")
    secrets.database_passwords()  # the migrator's is among them
    adopt_secrets(secrets, folder.parent / "given")
    _make_live_worker(secrets, folder.parent / "given" / _LIVE_WORKER)
    for name, text in _server_files(secrets).items():
        _write(folder / name, text)
    (folder / "recordings").mkdir(exist_ok=True)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return secrets


def _make_live_worker(secrets: SecretStore, given: Path) -> None:
    """Make the folder of the worker at a real venue: as the paper worker's, but with no venue key unless given one."""
    for name in ("database_password", "rabbitmq_password", "redis_password", "approval_key", "audit_key"):
        secrets.put(_LIVE_WORKER, name, secrets.get("order_worker", name))
    for name in _VENUE_KEYS:
        if (given / name).is_file():
            secrets.put(_LIVE_WORKER, name, (given / name).read_text(encoding="utf-8").strip())


def _server_files(secrets: SecretStore) -> dict[str, str]:
    admin = secrets.redis_passwords()[ADMIN]
    return {
        "postgres/postgres_superuser": secrets.server("postgres_superuser"),
        "grafana/grafana_admin": secrets.server("grafana_admin"),
        "redis/redis.conf": "".join(f"{name} {value}\n" for name, value in _REDIS_CONF.items()),
        "redis/users.acl": redis_admin_acl(secrets),
        "redis/password": admin,
        "rabbitmq/rabbitmq.conf": "".join(f"{name} = {value}\n" for name, value in _RABBITMQ_CONF.items()),
        "rabbitmq/definitions.json": rabbitmq_admin_definitions(secrets),
        "rabbitmq/enabled_plugins": "[rabbitmq_management,rabbitmq_prometheus].\n",
    }


def redis_admin_acl(secrets: SecretStore) -> str:
    """Give the users that Redis starts with: its administrator. The job `topology` makes the others."""
    lines = redis_acl(secrets.redis_passwords()).splitlines()
    return "".join(f"{line}\n" for line in lines if line.split()[1] in {"default", ADMIN})


def rabbitmq_admin_definitions(secrets: SecretStore) -> str:
    """Give the definitions that RabbitMQ starts with: its administrator. The job `topology` makes the rest."""
    whole = rabbitmq_definitions(secrets.rabbitmq_passwords())
    admin = {
        "vhosts": whole["vhosts"],
        "users": [user for user in whole["users"] if user["name"] == ADMIN],
        "permissions": [one for one in whole["permissions"] if one["user"] == ADMIN],
    }
    return json.dumps(admin, indent=1)


def write_environment(path: Path, folder: Path, feed: Feed | None) -> None:
    """Tell compose in its `.env` where the secrets are and, with a `feed`, what to trade on.

    Ports and profiles of an earlier call are kept, and so are all other lines. Raises `OSError`.
    """
    known = read_variables(path)
    values = {"SIGMAX_COMPOSE_DIR": str(folder.resolve())}
    if "COMPOSE_PROFILES" not in known:
        values["COMPOSE_PROFILES"] = "paper"
    if "SIGMAX_GATEWAY_PORT" not in known:
        values["SIGMAX_GATEWAY_PORT"] = str(prefer(GATEWAY_PORT))
    if feed is not None:
        values |= feed_variables(feed)
    set_variables(path, values)


def feed_variables(feed: Feed) -> dict[str, str]:
    """Give the variables of `compose.yaml` that make the stack trade on a feed.

    Raises `PermissionError` when the recording cannot be read by the collector, who is another user.
    """
    services = ("collector", "strategy-engine", "risk-gate", "order-worker", "paper-venue")
    settings = {name: value for service in services for name, value in feed.settings_of(service).items()}
    recording = settings.pop("replay_file", None)
    variables = {f"SIGMAX_{name.upper()}": value for name, value in settings.items()}
    if recording is not None:
        if not Path(recording).stat().st_mode & stat.S_IROTH:
            raise PermissionError(f"{recording}: the collector's container cannot read it: chmod o+r {recording}")
        variables["SIGMAX_RECORDINGS"] = str(Path(recording).parent)
        variables["SIGMAX_REPLAY_FILE"] = f"{_RECORDINGS_INSIDE}/{Path(recording).name}"
    return variables


def read_variables(path: Path) -> dict[str, str]:
    """Give the variables of an `.env` file, without quotes; nothing when there is none."""
    if not path.exists():
        return {}
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if "=" in line and line[0] != "#")
    return {name.strip(): value.strip().strip("'\"") for name, _, value in (line.partition("=") for line in lines)}


def set_variables(path: Path, values: Mapping[str, str]) -> None:
    """Set some variables in an `.env` file; its other lines are people's."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    others = [line for line in lines if line.partition("=")[0].strip() not in values]
    ours = [f"{name}='{value}'" for name, value in values.items()]
    _write(path, "\n".join([*others, *ours]) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
