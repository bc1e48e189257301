"""Redis' rows of the table of rights, each tried on a real server: what is no row is refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError, ResponseError

from sigmax.schemas.market import HEARTBEATS
from sigmax.schemas.topology import REACH, SERVICES, owner_of
from sigmax_local.servers import Addresses

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("service", SERVICES)]

PATTERNS = {pattern for service in SERVICES for pattern in (*REACH[service].reads, *REACH[service].owns)}
KEYS = {pattern.replace("*", "a_key") for pattern in PATTERNS} | {"md", "md2.x", "lease.other.x", "ops.other", "x", ""}
READS = ("GET", "HGETALL", "HGET * f", "XRANGE * - +", "XREVRANGE * + -", "XREAD STREAMS * 0", "ZRANGE * 0 -1")
WRITES = ("SET * 1", "HSET * f 1", "XADD * * f 1", "ZADD * 1 m", "DEL", "EXPIRE * 1", "XTRIM * MAXLEN 0", "RENAME * y")
CATEGORIES = ("admin", "dangerous", "scripting", "pubsub", "blocking")
HARMLESS = {"xread"}
"""Of those categories: it blocks its own connection alone."""
_REFUSALS = ("ACL failure", "user executing the script can't", "command not allowed")
"""In scripts of Redis 7.2 and later, in those of 7.0, and of commands that the server has switched off."""
SCRIPTS = {"eval", "evalsha", "script|load"}


class Login:
    """A service's connection."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def may(self, *words: str) -> bool:
        """Run a command; say whether the server allowed it. That it makes no sense is no refusal."""
        command: Any = self._client.execute_command
        try:
            await command(*words)
        except NoPermissionError:
            return False
        except ResponseError as error:
            return not any(words in str(error) for words in _REFUSALS)
        return True

    async def may_any(self, commands: tuple[str, ...], key: str) -> bool:
        """Say whether one of the commands is allowed with this key in the first place that is free."""
        for command in commands:
            words = command.split() if " " in command else [command, "*"]
            words[words.index("*")] = key
            if await self.may(*words):
                return True
        return False


@pytest.fixture
async def login(service: str, clean: Addresses) -> AsyncIterator[Login]:
    async with redis.asyncio.Redis.from_url(clean.redis_url_as(owner_of(service))) as client:
        yield Login(client)


def _matching(patterns: tuple[str, ...]) -> set[str]:
    prefixes = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*"))
    return {key for key in KEYS if key in patterns or (prefixes and key.startswith(prefixes))}


async def test_a_service_reads_exactly_the_keys_of_its_row(service: str, login: Login) -> None:
    readable = {key for key in KEYS if await login.may_any(READS, key)}

    assert readable == _matching((*REACH[service].reads, *REACH[service].owns))


async def test_a_service_writes_exactly_the_keys_it_owns_and_adds_heartbeats(service: str, login: Login) -> None:
    writable = {key for key in KEYS if await login.may_any(WRITES, key)}

    assert writable == _matching(REACH[service].owns) | {HEARTBEATS}
    assert await login.may("XADD", HEARTBEATS, "*", "d", "1")
    others = tuple(command for command in WRITES if not command.startswith("XADD"))
    assert not await login.may_any(others, HEARTBEATS)


async def test_no_service_has_a_dangerous_command(service: str, login: Login, servers: Addresses) -> None:
    async with redis.asyncio.Redis.from_url(servers.admin_urls[1], decode_responses=True) as admin:
        admin.set_response_callback("COMMAND", lambda answer: answer)
        ask: Any = admin.execute_command
        names = {name for each in CATEGORIES for name in await ask("COMMAND", "LIST", "FILTERBY", "ACLCAT", each)}
        arity = {name: abs((await ask("COMMAND", "INFO", name))[0][1]) for name in names}

    allowed = set()
    for name in names - HARMLESS:
        words = name.split("|")
        if await login.may(*words, *["1"] * (arity[name] - len(words))):
            allowed.add(name)

    assert {"flushall", "flushdb", "keys", "config|set", "acl|setuser", "script|flush", "shutdown"} < names
    reach = REACH[service]
    assert allowed == (SCRIPTS if reach.runs_scripts else set()) | ({"info"} if reach.watches_redis else set())


async def test_a_script_has_no_rights_beyond_those_of_its_login(service: str, login: Login) -> None:
    for key in KEYS - _matching(REACH[service].owns) - {HEARTBEATS}:
        assert not await login.may("EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", key), key
        assert not await login.may("EVAL", f"return redis.call('SET', '{key}', 'x')", "0"), key
    assert not await login.may("EVAL", "return redis.call('FLUSHALL')", "0")
