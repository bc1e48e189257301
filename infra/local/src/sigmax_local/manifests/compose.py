"""What `compose.yaml` says, in the words in which it is held against the manifests."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigmax_local.manifests.files import load_all

_VARIABLE = re.compile(r"\$\{(\w+)(?::?([-?])([^}]*))?\}")


@dataclass(frozen=True)
class ComposeService:
    """One service of the file, with the defaults of its variables."""

    image: str
    environment: Mapping[str, str | None]
    """None: passed on where it is set."""
    networks: frozenset[str]
    published: Mapping[int, str]
    """Ports inside, and the address at which each is published."""


@dataclass(frozen=True)
class Compose:
    """The services of some profiles, and the networks."""

    services: Mapping[str, ComposeService]
    closed: frozenset[str]
    """Networks without a way out."""


def read_compose(path: Path, profiles: Collection[str]) -> Compose:
    """Read the file as Compose would with these profiles and an empty `.env`. Raises `yaml.YAMLError`."""
    (content,) = load_all(path.read_text(encoding="utf-8"))
    services = {
        name: _service(service)
        for name, service in content["services"].items()
        if not service.get("profiles") or set(service["profiles"]) & set(profiles)
    }
    return Compose(services, frozenset(name for name, one in content["networks"].items() if _is_closed(one or {})))


def _service(content: Mapping[str, Any]) -> ComposeService:
    environment = content.get("environment") or {}
    ports = [str(port) for port in content.get("ports") or ()]
    return ComposeService(
        image=_filled(content["image"]),
        environment={name: None if value is None else _filled(str(value)) for name, value in environment.items()},
        networks=frozenset(content.get("networks") or ("default",)),
        published={int(port.rsplit(":", 1)[1]): _filled(port).rsplit(":", 1)[0] for port in ports},
    )


def _is_closed(network: Mapping[str, Any]) -> bool:
    masquerade = (network.get("driver_opts") or {}).get("com.docker.network.bridge.enable_ip_masquerade", "true")
    return bool(network.get("internal")) or masquerade == "false"


def _filled(text: str) -> str:
    return _VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "", text)
