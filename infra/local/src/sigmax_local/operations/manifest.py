"""What a backup is of: a small file beside it, so that it can be judged before anything is touched."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

_SUFFIX = ".manifest.json"
_FORMAT = 1
_CHUNK_BYTES = 1 << 20


class BackupError(RuntimeError):
    """A backup cannot be made or used. The text says why."""


@dataclass(frozen=True)
class Manifest:
    """One backup."""

    made_at: datetime
    """When its snapshot was taken, or a moment before."""
    version: str
    """Of the platform that made it."""
    postgres: str
    revisions: Mapping[str, str]
    """The migration each schema was at."""
    extensions: Mapping[str, str]
    """Extensions of the database, with their versions."""
    bytes: int
    sha256: str

    def save(self, backup: Path) -> None:
        """Write it beside the backup; a reader sees a whole file or none."""
        path = path_of(backup)
        partial = path.with_name(f".{path.name}.partial")
        text = json.dumps({"format": _FORMAT, **asdict(self), "made_at": self.made_at.isoformat()}, indent=2)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.chmod(0o600)
        partial.replace(path)

    @classmethod
    def load(cls, backup: Path) -> "Manifest":
        """Read the manifest of a backup. Raises `BackupError`."""
        try:
            told = json.loads(path_of(backup).read_text(encoding="utf-8"))
            if told.pop("format") != _FORMAT:
                raise BackupError(f"{path_of(backup)} was written by another version of this command.")
            return cls(**{**told, "made_at": datetime.fromisoformat(told["made_at"])})
        except OSError as error:
            raise BackupError(f"{path_of(backup)}: {error.strerror}. A backup is two files; both are needed.") from None
        except (ValueError, TypeError, KeyError) as error:
            raise BackupError(f"{path_of(backup)} is no manifest of a backup: {error}") from None


def path_of(backup: Path) -> Path:
    """Give the file of the manifest of a backup."""
    return backup.with_name(backup.name + _SUFFIX)


def check_content(backup: Path, manifest: Manifest, on_bytes: Callable[[int], None]) -> None:
    """Hold a backup against its manifest. Raises `BackupError` when it is not what was written."""
    digest, count = hashlib.sha256(), 0
    try:
        with backup.open("rb") as file:
            while part := file.read(_CHUNK_BYTES):
                digest.update(part)
                count += len(part)
                on_bytes(count)
    except OSError as error:
        raise BackupError(f"{backup}: {error.strerror}") from None
    if count != manifest.bytes or digest.hexdigest() != manifest.sha256:
        raise BackupError(f"{backup} is not the file that its manifest tells of: it was cut off or changed.")
