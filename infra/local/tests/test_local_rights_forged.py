"""What a service publishes in another's name is not handled, even where the broker lets it through."""

from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused

from sigmax.runtime.consuming import ForgedMessageError, check_publisher
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, StageChanged
from sigmax.schemas.topology import EXCHANGE
from sigmax.schemas.types import AlertLevel, Scope, Stage
from sigmax_local.servers import Addresses
from sigmax_local.testkit.world import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def an_alert(producer: str, key: str) -> Alert:
    said = {"level": AlertLevel.INFO, "code": "a_code", "subject": "a subject", "text": "a text", "dedupe_key": key}
    return Alert(**Alert.first(key, NOW), producer=producer, **said)


def a_resume() -> StageChanged:
    return StageChanged(
        **StageChanged.first("a resume", NOW),
        scope=Scope.GLOBAL,
        scope_id="global",
        from_stage=Stage.HALTED,
        to_stage=Stage.NORMAL,
        version=9,
        changed_by="risk-gate",
        reason="all is well",
    )


@pytest.mark.parametrize("topic", ["llm_controller.alert.v1", "risk_gate.alert.v1.x", "notifier.alert.v1", ""])
def test_a_message_under_another_topic_than_its_own_is_forged(topic: str) -> None:
    with pytest.raises(ForgedMessageError):
        check_publisher(an_alert("risk_gate", "a key"), EXCHANGE, topic)


def test_a_message_under_its_own_topic_is_taken_and_so_is_one_that_a_person_moved_back() -> None:
    check_publisher(an_alert("risk_gate", "a key"), EXCHANGE, "risk_gate.alert.v1")
    check_publisher(an_alert("risk_gate", "a key"), "", "notifier.alert.v1")


async def _publish(servers: Addresses, login: str, topic: str, message: Message, **headers: list[str]) -> None:
    async with await aio_pika.connect(servers.rabbitmq_url_as(login)) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        await exchange.publish(aio_pika.Message(message.encode(), headers=dict(headers)), topic, mandatory=False)


@pytest.mark.integration
async def test_a_forged_message_is_parked_and_never_handled(run_service: Any, world: World, servers: Addresses) -> None:
    forged = 1
    await _publish(servers, "llm_controller", "llm_controller.alert.v1", an_alert("risk_gate", "forged"))
    for header in ("CC", "BCC"):
        try:
            await _publish(
                servers, "llm_controller", "llm_controller.decision.v1", a_resume(), **{header: [a_resume().topic]}
            )
            forged += 1
        except ChannelAccessRefused:  # RabbitMQ 4.0 looks at these topics as well
            pass
    await _publish(servers, "llm_controller", "llm_controller.alert.v1", an_alert("llm_controller", "honest"))

    async with run_service("notifier"), await aio_pika.connect(servers.admin_urls[2]) as connection:
        channel = await connection.channel()

        async def parked() -> bool:
            dead = await channel.declare_queue("notifier.dead", passive=True)
            return dead.declaration_result.message_count == forged

        await world.until(parked)
        keys = await world.until(
            lambda: world.database.fetch("SELECT dedupe_key FROM notifier.alerts WHERE code = 'a_code'")
        )

    assert [row["dedupe_key"] for row in keys] == ["honest"]
    assert not await world.database.fetch("SELECT * FROM notifier.stages")
