"""Private instances of PostgreSQL, Redis, and RabbitMQ. They never touch servers that already run."""

from sigmax_local.servers.binaries import BinariesMissingError
from sigmax_local.servers.identity import IdentityError
from sigmax_local.servers.trio import Addresses, Ports, Servers, ServersError

__all__ = ["Addresses", "BinariesMissingError", "IdentityError", "Ports", "Servers", "ServersError"]
