"""The secrets of an overlay, as files beside the kustomization that lists them."""

from pathlib import Path

from sigmax.runtime.rights import SERVERS
from sigmax.schemas.topology import OWN_SECRETS, REACH
from sigmax_local.manifests.rendering import listed_secrets
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers.containers import rabbitmq_admin_definitions, redis_admin_acl

_ACL = f"{SERVERS}/redis_users.acl"
_DEFINITIONS = f"{SERVERS}/rabbitmq_definitions.json"
_OF_VENUES = frozenset(REACH["paper-venue"].secrets)
_ADMINS = frozenset({"postgres_superuser", "rabbitmq_admin", "redis_admin"})
_SHARED = frozenset(name for reach in REACH.values() for name in reach.secrets) - OWN_SECRETS
"""A secret of that name is the same for everyone who holds it."""


class SecretsMissingError(Exception):
    """There are secrets that only people have. The text says which, and where they go."""


def write_secret_files(folder: Path) -> None:
    """Make what `folder/kustomization.yaml` lists and does not exist; what exists is kept.

    Nobody but people can know the key of a real venue, or the administrators of servers that the overlay does not run:
    `SecretsMissingError` names them when all others are made. Raises `OSError` when a file cannot be read or written.
    """
    listed = listed_secrets(folder / "kustomization.yaml")
    store = SecretStore(folder)
    missing = [name for name in listed if not _make(store, name, listed)]
    if missing:
        files = "\n".join(f"  {folder / name}" for name in missing)
        raise SecretsMissingError(f"Write these files, which only you can, and call this again:\n{files}")
    for name, text in ((_ACL, redis_admin_acl), (_DEFINITIONS, rabbitmq_admin_definitions)):
        if name in listed:
            store.put(SERVERS, Path(name).name, text(store))


def _make(store: SecretStore, listed_name: str, listed: list[str]) -> bool:
    """Make a secret unless it is there; say whether it is then."""
    owner, name = listed_name.split("/")
    if listed_name in (_ACL, _DEFINITIONS) or store.has(owner, name):
        return True
    if _is_given(owner, name, listed):
        return False
    holders = [other.split("/")[0] for other in listed if other.endswith(f"/{name}")] if name in _SHARED else []
    holder = next((holder for holder in holders if store.has(holder, name)), None)
    if holder is None:
        store.get(owner, name)
    else:
        store.put(owner, name, store.get(holder, name))
    return True


def _is_given(owner: str, name: str, listed: list[str]) -> bool:
    """Say whether the secret belongs to something that the overlay does not run: a real venue, servers elsewhere."""
    if name in _OF_VENUES:
        return f"paper_venue/{name}" not in listed
    return owner == SERVERS and name in _ADMINS and _DEFINITIONS not in listed
