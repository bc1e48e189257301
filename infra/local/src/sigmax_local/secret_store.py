"""Random secrets, made once and kept as files: one folder per owner, readable by nobody else."""

import os
import secrets
from pathlib import Path

from sigmax.runtime.rights import ADMIN, MIGRATOR, OWNERS, SERVERS


class SecretStore:
    """The secrets of one stack, below `folder` (0700, files 0600)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _make_private(folder)

    def folder_of(self, owner: str) -> Path:
        """Give the folder that `SIGMAX_SECRETS_DIR` names for a service; make it if need be."""
        folder = self.folder / owner
        _make_private(folder)
        return folder

    def get(self, owner: str, name: str) -> str:
        """Give a secret; make it (256 random bits) when it does not exist."""
        path = self.folder_of(owner) / name
        if not path.exists():
            self.put(owner, name, secrets.token_urlsafe(32))
        return path.read_text(encoding="utf-8").strip()

    def has(self, owner: str, name: str) -> bool:
        """Say whether a secret was made already."""
        return (self.folder / owner / name).exists()

    def put(self, owner: str, name: str, value: str) -> None:
        """Write a secret; a reader sees the old value or the new one, never half of one."""
        path = self.folder_of(owner) / name
        partial = path.with_name(f".{name}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value)
        partial.replace(path)

    def server(self, name: str) -> str:
        """Give a secret that belongs to no service, such as the password of the Postgres superuser."""
        return self.get(SERVERS, name)

    def database_passwords(self) -> dict[str, str]:
        """Give the password of each Postgres role."""
        return {**self._of_owners("database_password"), MIGRATOR: self.server("postgres_migrator")}

    def rabbitmq_passwords(self) -> dict[str, str]:
        """Give the password of each RabbitMQ user."""
        return {**self._of_owners("rabbitmq_password"), ADMIN: self.server("rabbitmq_admin")}

    def redis_passwords(self) -> dict[str, str]:
        """Give the password of each Redis user."""
        return {**self._of_owners("redis_password"), ADMIN: self.server("redis_admin")}

    def _of_owners(self, name: str) -> dict[str, str]:
        return {owner: self.get(owner, name) for owner in OWNERS}


def _make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
