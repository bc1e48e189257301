"""What each service process is told: addresses, its folder of secrets, its port."""

import os
from pathlib import Path

from sigmax.schemas.topology import OWN_SECRETS, REACH, SERVICES, owner_of
from sigmax_local.ports import LOOPBACK
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers import Addresses

_PREFIX = "SIGMAX_"
_GIVEN_BY_PEOPLE = ("model_api_key", "channels")
"""Secrets that only a person can have; a service runs without them."""
_SERVERS = ("database_password", "rabbitmq_password", "redis_password")


def make_secrets(store: SecretStore) -> None:
    """Make every secret that services need, once.

    What two services share (the approval key, the paper venue's key) is the same in both folders and in no third.
    """
    for service in SERVICES:
        for name in (*_SERVERS, *REACH[service].secrets):
            if name in _GIVEN_BY_PEOPLE or store.has(owner_of(service), name):
                continue
            holders = [owner_of(other) for other in SERVICES if name in REACH[other].secrets]
            sharer = next((holder for holder in holders if store.has(holder, name)), None)
            if name in _SERVERS or name in OWN_SECRETS or sharer is None:
                store.get(owner_of(service), name)
            else:
                store.put(owner_of(service), name, store.get(sharer, name))


def adopt_secrets(store: SecretStore, given: Path) -> None:
    """Copy what people provide as `<given>/<owner>/<name>` (a model's key, notifier channels) to the services."""
    for service in SERVICES:
        for name in _GIVEN_BY_PEOPLE:
            source = given / owner_of(service) / name
            if name in REACH[service].secrets and source.is_file():
                store.put(owner_of(service), name, source.read_text(encoding="utf-8").strip())


def service_environment(addresses: Addresses, service: str, port: int, **settings: str) -> dict[str, str]:
    """Give the environment of a service process.

    `settings` are named like the fields of the service's settings (`venue_url="http://..."`). Variables of ours
    that the shell happens to hold are left out, so that what runs is what was asked for.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    own = {
        "database_url": addresses.database_url,
        "rabbitmq_url": addresses.rabbitmq_url,
        "redis_url": addresses.redis_url,
        "secrets_dir": str(addresses.secrets.folder_of(owner_of(service))),
        "http_host": LOOPBACK,
        "http_port": str(port),
        **settings,
    }
    return {**inherited, **{_PREFIX + name.upper(): value for name, value in own.items()}}


def repository() -> Path:
    """Find the repository this package is installed from. Raises `RuntimeError` when it is not."""
    for folder in (Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents):
        if (folder / "services").is_dir() and (folder / "shared" / "src" / "sigmax").is_dir():
            return folder
    raise RuntimeError("Run this inside the Sigma-X repository.")
