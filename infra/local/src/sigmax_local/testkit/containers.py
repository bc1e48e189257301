"""PostgreSQL, Redis, and RabbitMQ in containers, with the roles, users, rights, and queues that private servers get.

They are made by testcontainers from the official images. Where an image is not on this machine and the one that
`make images-airgap` makes is, that one is taken. Data lies in memory, ports are on loopback alone.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import docker  # type: ignore[import-untyped]
from docker.errors import APIError, DockerException, ImageNotFound  # type: ignore[import-untyped]
from docker.types import Ulimit  # type: ignore[import-untyped]
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from sigmax.runtime.rights import ADMIN, DATABASE, SUPERUSER, rabbitmq_definitions, redis_acl
from sigmax_local import locks
from sigmax_local.ports import LOOPBACK
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers import Addresses, Ports, ServersError
from sigmax_local.servers import postgres as postgres_server
from sigmax_local.servers import rabbitmq as rabbitmq_server
from sigmax_local.servers.trio import in_own_loop

POSTGRES_IMAGE = "postgres:17"
REDIS_IMAGE = "redis:8"
RABBITMQ_IMAGE = "rabbitmq:4"
OUR_PREFIX = "sigmax/"
"""Before the names of the images that are made where no registry can be reached."""
OWNER_LABEL = "sigmax.test-servers"
"""Names the folder of the run a container belongs to."""

_REDIS_VERSION = (8, 0)
_READY_TIMEOUT_S = 90
_POLL_S = 0.2
_INSIDE = "/etc/sigmax"
_NOT_PUBLISHED = 0
_DATA = "/var/lib/postgresql/data"
_ACL = "/data/users.acl"
"""In the one folder that Redis may write: it saves its users there when it is told to."""
_REDIS_CONF = {"aclfile": _ACL, "save": '""', "appendonly": "no", "databases": "1"}
_RABBITMQ_CONF = {
    **rabbitmq_server.SETTINGS,
    "load_definitions": f"{_INSIDE}/definitions.json",
    # The server takes the machine's memory for its own.
    "vm_memory_high_watermark.absolute": "512MiB",
    "log.console": "true",
    "log.console.level": "warning",
    "log.file": "false",
}


class ContainersMissingError(RuntimeError):
    """No container can be started here. The text says what is missing."""


class ContainerServers:
    """The three servers of one test run, with what belongs to them below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.images: list[str] = []
        """The names of the images in use."""
        self._containers: list[DockerContainer] = []
        self._lock: IO[str] | None = None

    def start(self) -> Addresses:
        """Start all three and make them ready: database, roles, users, queues.

        Containers that a killed run left are removed first. Raises `ContainersMissingError` when there is no engine or
        no image, and `ServersError` when a server does not come up.
        """
        engine = _engine()
        _remove_left_over(engine)
        self._lock = locks.hold(self.folder / "servers.lock")
        (self.folder / "logs").mkdir(exist_ok=True, mode=0o700)
        secrets = SecretStore(self.folder / "secrets")
        try:
            self._containers = _make_containers(engine, secrets, {OWNER_LABEL: str(self.folder)})
            self.images = [container.image for container in self._containers]
            with ThreadPoolExecutor(len(self._containers)) as pool:
                list(pool.map(_start, self._containers))
            postgres, redis, rabbitmq = (
                container.get_exposed_port(port)
                for container, port in zip(self._containers, (5432, 6379, 5672), strict=True)
            )
            in_own_loop(lambda: postgres_server.prepare_database(postgres, secrets))
        except BaseException:
            self.stop()
            raise
        finally:
            engine.close()
        return Addresses(self.folder, Ports(postgres, redis, rabbitmq, _NOT_PUBLISHED, _NOT_PUBLISHED))

    def stop(self) -> None:
        """Remove the containers and what they stored; safe to repeat."""
        for container in self._containers:
            container.stop()
        self._containers = []
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _engine() -> Any:
    try:
        engine = docker.from_env()
        engine.ping()
    except DockerException as error:
        raise ContainersMissingError(f"No Docker engine answers: {error}") from None
    return engine


def _remove_left_over(engine: Any) -> None:
    """Remove the containers and folders of runs that were killed: nobody holds their folder any more.

    Testcontainers has a container of its own for this, whose image cannot be had where no registry is reached.
    """
    for container in engine.containers.list(all=True, ignore_removed=True, filters={"label": OWNER_LABEL}):
        lock = Path(container.labels[OWNER_LABEL]) / "servers.lock"
        # A folder that is not there may be that of a run which sees other folders than we do.
        if lock.exists() and not locks.is_held(lock):
            container.remove(force=True, v=True)
            if not engine.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={lock.parent}"}):
                shutil.rmtree(lock.parent, ignore_errors=True)


def _make_containers(engine: Any, secrets: SecretStore, labels: Mapping[str, str]) -> list[DockerContainer]:
    testcontainers_config.ryuk_disabled = True
    # A machine with a /.dockerenv is taken for a container, which would reach the ports over the bridge; they are on
    # the loopback address, where all machines that run the engine themselves reach them.
    testcontainers_config.connection_mode_override = ConnectionMode.docker_host
    testcontainers_config.tc_host_override = LOOPBACK
    testcontainers_config.sleep_time = _POLL_S
    testcontainers_config.max_tries = int(_READY_TIMEOUT_S / _POLL_S)
    # With it RabbitMQ is asked whether it is ready; each no would be a dozen errors in the log of a test that fails.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # Not before: one of them remembers the settings that it was imported under.
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.community.rabbitmq import RabbitMqContainer
    from testcontainers.community.redis import RedisContainer

    passwords = secrets.rabbitmq_passwords()
    postgres = _of_image(
        engine,
        PostgresContainer,
        POSTGRES_IMAGE,
        username=SUPERUSER,
        password=secrets.server("postgres_superuser"),
        dbname=DATABASE,
        driver=None,
    )
    postgres.with_env("PGDATA", _DATA).with_env("POSTGRES_INITDB_ARGS", "--locale=C --encoding=UTF8 --no-sync")
    postgres.with_tmpfs_mount(_DATA, "size=2g,uid=999,gid=999,mode=0700")
    settings = {**postgres_server.SETTINGS, **postgres_server.FAST}
    postgres.with_command(["postgres", *(word for pair in settings.items() for word in ("-c", "=".join(pair)))])
    postgres.with_kwargs(labels=labels, shm_size="256m")
    _publish(postgres, 5432)

    redis = _of_image(engine, RedisContainer, REDIS_IMAGE)
    redis.with_copy_into_container(_lines(_REDIS_CONF, " "), f"{_INSIDE}/redis.conf")
    acl = redis_acl(secrets.redis_passwords(), _REDIS_VERSION)
    redis.with_copy_into_container(acl.encode(), _ACL)
    redis.with_command(["redis-server", f"{_INSIDE}/redis.conf"])
    # Its own way to look is to log in as the default user, which is off.
    redis.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    redis.with_kwargs(labels=labels)
    _publish(redis, 6379)

    rabbitmq = _of_image(engine, RabbitMqContainer, RABBITMQ_IMAGE, username=ADMIN, password=passwords[ADMIN])
    files = {
        "definitions.json": json.dumps(rabbitmq_definitions(passwords)).encode(),
        "rabbitmq.conf": _lines(_RABBITMQ_CONF, " = "),
        "enabled_plugins": b"[].\n",
    }
    for name, text in files.items():
        rabbitmq.with_copy_into_container(text, f"{_INSIDE}/{name}")
    rabbitmq.with_tmpfs_mount("/var/lib/rabbitmq", "size=1g,uid=999,gid=999,mode=0755")
    rabbitmq.with_env("RABBITMQ_CONFIG_FILE", f"{_INSIDE}/rabbitmq")
    rabbitmq.with_env("RABBITMQ_ENABLED_PLUGINS_FILE", f"{_INSIDE}/enabled_plugins")
    rabbitmq.with_env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", rabbitmq_server.ERLANG_ARGUMENTS)
    # Erlang sizes a table by the number of files; the limits of some engines are too high for that.
    rabbitmq.with_kwargs(labels=labels, hostname="rabbitmq", ulimits=[Ulimit(name="nofile", soft=16384, hard=16384)])
    _publish(rabbitmq, 5672)
    return [postgres, redis, rabbitmq]


def _of_image(engine: Any, kind: type[Any], image: str, **values: object) -> Any:
    """Make a container of the official image, or of ours where that alone is there."""
    prefix = testcontainers_config.hub_image_name_prefix
    if not prefix and not _is_here(engine, image) and _is_here(engine, OUR_PREFIX + image):
        testcontainers_config.hub_image_name_prefix = OUR_PREFIX
    try:
        return kind(image, **values)
    finally:
        testcontainers_config.hub_image_name_prefix = prefix


def _is_here(engine: Any, image: str) -> bool:
    try:
        engine.images.get(image)
    except ImageNotFound:
        return False
    return True


def _publish(container: Any, port: int) -> None:
    # By its own methods a port is published on every interface of the machine.
    container.ports = {f"{port}/tcp": (LOOPBACK, None)}


def _lines(settings: Mapping[str, str], sign: str) -> bytes:
    return "".join(f"{name}{sign}{value}\n" for name, value in settings.items()).encode()


def _start(container: DockerContainer) -> None:
    try:
        container.start()
    except APIError as error:
        raise ContainersMissingError(
            f"{container.image} could not be started: {error.explanation or error}. Where no registry can be reached, "
            "`make images-airgap` makes the images."
        ) from None
    except Exception as error:
        logs = b"".join(container.get_logs()).decode("utf-8", "replace").splitlines()[-15:]
        raise ServersError(f"{container.image} did not get ready: {error}\n" + "\n".join(logs)) from error
