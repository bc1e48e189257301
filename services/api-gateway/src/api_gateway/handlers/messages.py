"""Messages of the other services, handed on to who watches."""

from api_gateway.domain.rights import Topic
from api_gateway.ports.live import FeedPort
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, PostureChanged, StageChanged
from sigmax.schemas.orders import Fill, OrderApproved, OrderDenied, OrderEvent, PositionChanged, Reconciled, VenueHealth
from sigmax.schemas.signals import Decision

TOPIC_OF: dict[type[Message], Topic] = {
    Decision: Topic.DECISIONS,
    OrderApproved: Topic.APPROVALS,
    OrderDenied: Topic.DENIALS,
    OrderEvent: Topic.ORDERS,
    Fill: Topic.FILLS,
    PositionChanged: Topic.POSITIONS,
    Reconciled: Topic.RECONCILIATIONS,
    VenueHealth: Topic.VENUE,
    StageChanged: Topic.STAGES,
    PostureChanged: Topic.STAGES,
    Alert: Topic.ALERTS,
}
"""The live topic of each message the gateway takes."""


async def on_message(message: Message, feed: FeedPort) -> None:
    """Give one message to all live connections.

    There is no inbox: a message that comes twice is shown twice, with the same `message_id`, and the tables stay what
    people decide on.
    """
    # Who may watch approvals must not be able to show one as risk-gate's own.
    data = message.model_dump(mode="json", exclude={"signature"})
    await feed.publish(TOPIC_OF[type(message)], message.topic, data)
