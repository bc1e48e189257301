"""Private instances of PostgreSQL, Redis, and RabbitMQ. They never touch servers that already run."""

from sigmax_local.servers.binaries import BinariesMissing
from sigmax_local.servers.identity import IdentityError
from sigmax_local.servers.trio import Addresses, Ports, Servers, ServersError

__all__ = ["Addresses", "BinariesMissing", "IdentityError", "Ports", "Servers", "ServersError"]
