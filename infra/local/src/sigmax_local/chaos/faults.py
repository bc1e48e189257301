"""The faults that order-safety.md lists, and what each of them must end in."""

import re

FAULTS = {
    "F01": ("worker killed before the claim", "redelivered, another worker claims; 1 order"),
    "F02": ("killed after the claim, before the send", "unknown, absence proven, unplaced; 0 orders"),
    "F03": ("killed after the send, before the reply", "unknown, found, acked; 1 order"),
    "F04": ("killed after the reply, before the commit", "as F03"),
    "F05": ("killed after the commit, before the ack", "redelivered, acknowledged; 1 order"),
    "F06": ("stopped between sign and send, longer than the lease", "deadline or recvWindow refuses; never 2 orders"),
    "F07": ("Postgres down before the claim", "nothing is sent, the consumer waits, not ready; account CAUTION"),
    "F08": ("Postgres down after the reply", "commit again until the lease ends; as F03"),
    "F09": ("connection dies during the commit", "the row is read again; 1 order"),
    "F10": ("RabbitMQ restarts", "nothing lost, consumers back within 30 s"),
    "F11": ("publish confirm lost", "published again with the same id, the inbox drops it"),
    "F12": ("publish not routable", "error and alert, the outbox row stays"),
    "F13": ("queue or binding deleted", "not ready within 15 s, the topology job makes it anew"),
    "F14": ("message delivered twice, or to two workers", "1 order"),
    "F15": ("messages of one key out of order", "sequence in the row decides, stale ones ignored"),
    "F16": ("venue timeout, order accepted", "unknown, acked; 1 order"),
    "F17": ("venue timeout, order not accepted", "unknown, unplaced after proof; never sent again"),
    "F18": ("venue answers 5xx or garbage", "as F16 and F17"),
    "F19": ("the venue's list misses the order for a while", "no absence too early; seen late: account halted"),
    "F20": ("fills doubled, reversed, before the ack, after the cancel", "the same sums"),
    "F21": ("worker cut off from Postgres only", "cannot claim or send; in flight becomes unknown"),
    "F22": (
        "worker cut off from the venue only",
        "not sent or unknown; circuit opens after 5 in a row; that venue REDUCING; cancels go on",
    ),
    "F23": ("poison message", "dead letter and alert at once, the rest moves on"),
    "F24": ("clock off, stale prices, limits unreadable", "sends stop: denied, nothing approved"),
    "F25": ("duplicate or old signal", "no second order; past its time: denied as expired, not sent"),
    "F26": ("halt while requests are in flight", "no new send, working orders canceled, unknown asked until quiet"),
}
"""By number: the fault, and the required outcome in short."""

_NUMBERS = re.compile(r"F(\d\d)(?:-F(\d\d))?")


def numbers_in(name: str) -> list[str]:
    """Give the numbers that a fault's name speaks of: `crash (F01-F05)` speaks of five."""
    found = []
    for first, last in _NUMBERS.findall(name):
        found += [f"F{number:02}" for number in range(int(first), int(last or first) + 1)]
    return [number for number in found if number in FAULTS]
