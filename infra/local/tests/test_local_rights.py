"""What the one table of who reads and writes what becomes on each server."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmax.runtime.rights import (
    ADMIN,
    MIGRATOR,
    OWNERS,
    postgres_roles_sql,
    publishable_pattern,
    rabbitmq_definitions,
    redis_acl,
    scram_verifier,
)
from sigmax.schemas.topology import MESSAGES, REACH, SERVICES, dead_letter_queue_of, owner_of, queue_of

PASSWORDS = {login: f"secret-of-{login}" for login in (*OWNERS, ADMIN, MIGRATOR)}
DEFINITIONS = rabbitmq_definitions(PASSWORDS)
PERMISSIONS = {permission["user"]: permission for permission in DEFINITIONS["permissions"]}
QUEUES = {queue["name"]: queue["arguments"] for queue in DEFINITIONS["queues"]}


@pytest.mark.parametrize(("publisher", "message"), product(SERVICES, MESSAGES))
def test_a_topic_is_publishable_by_its_owner_if_the_table_says_so(publisher: str, message: type) -> None:
    for owner in SERVICES:
        topic = message.TOPIC.replace("*", owner_of(owner), 1)  # type: ignore[attr-defined]
        is_own = topic.startswith(f"{owner_of(publisher)}.")
        may = bool(re.search(publishable_pattern(publisher), topic))
        assert may is (is_own and message in REACH[publisher].publishes)


@given(st.text(max_size=60))
def test_no_other_text_is_a_topic_somebody_may_publish(text: str) -> None:
    known = {m.TOPIC.replace("*", owner_of(s), 1) for s in SERVICES for m in REACH[s].publishes}
    if text not in known:
        assert not any(re.fullmatch(publishable_pattern(service), text) for service in SERVICES if text)


def test_no_service_may_declare_or_write_to_a_queue_by_name() -> None:
    for service in SERVICES:
        permission = PERMISSIONS[owner_of(service)]
        assert not re.search(permission["configure"], "anything")
        for exchange in ("", "amq.default", "amq.topic", "sigmax.dead", "sigmaxx"):
            assert not exchange or not re.search(permission["write"], exchange)


def test_a_service_reads_its_own_queues_alone() -> None:
    for service in SERVICES:
        readable = PERMISSIONS[owner_of(service)]["read"]
        own = {queue_of(service, message) for message in REACH[service].consumes}
        own |= {dead_letter_queue_of(service)} if own else set()
        assert {queue for queue in QUEUES if re.search(readable, queue)} == own


def test_every_work_queue_is_a_quorum_queue_with_a_limit_and_dead_letters() -> None:
    for service in SERVICES:
        for message in REACH[service].consumes:
            arguments = QUEUES[queue_of(service, message)]
            assert arguments["x-queue-type"] == "quorum"
            assert arguments["x-delivery-limit"] == 5
            assert arguments["x-dead-letter-routing-key"] == dead_letter_queue_of(service)
            assert arguments["x-dead-letter-strategy"] == "at-least-once"
            assert arguments["x-overflow"] == "reject-publish"
            assert arguments["x-max-length"] > 0


def test_every_published_topic_reaches_every_reader() -> None:
    bindings = {(b["routing_key"], b["destination"]) for b in DEFINITIONS["bindings"] if b["source"] == "sigmax"}
    for publisher, reader in product(SERVICES, SERVICES):
        for message in set(REACH[publisher].publishes) & set(REACH[reader].consumes):
            topic = message.TOPIC.replace("*", owner_of(publisher), 1)
            assert (topic, queue_of(reader, message)) in bindings


def test_there_is_no_guest_and_no_password_in_clear() -> None:
    assert "guest" not in {user["name"] for user in DEFINITIONS["users"]}
    for text in (str(DEFINITIONS), redis_acl(PASSWORDS), postgres_roles_sql(PASSWORDS)):
        assert "secret-of-" not in text


def test_the_same_passwords_give_the_same_text() -> None:
    assert rabbitmq_definitions(PASSWORDS) == DEFINITIONS
    assert redis_acl(PASSWORDS) == redis_acl(dict(PASSWORDS))
    assert postgres_roles_sql(PASSWORDS) == postgres_roles_sql(dict(PASSWORDS))


def test_another_password_changes_the_text() -> None:
    other = {**PASSWORDS, "risk_gate": "another"}
    assert redis_acl(other) != redis_acl(PASSWORDS)
    assert postgres_roles_sql(other) != postgres_roles_sql(PASSWORDS)
    assert rabbitmq_definitions(other) != DEFINITIONS


def test_a_missing_password_is_an_error_and_no_open_door() -> None:
    without = {login: password for login, password in PASSWORDS.items() if login != "scheduler"}
    for function in (rabbitmq_definitions, redis_acl, postgres_roles_sql):
        with pytest.raises(KeyError):
            function(without)


def test_the_default_redis_user_is_off_and_can_do_nothing() -> None:
    assert redis_acl(PASSWORDS).splitlines()[0] == "user default off resetpass resetkeys resetchannels -@all"


def _acl_of(owner: str) -> str:
    return next(line for line in redis_acl(PASSWORDS).splitlines() if line.startswith(f"user {owner} "))


def test_only_the_collector_may_write_market_data() -> None:
    writers = [owner for owner in OWNERS if re.search(r"%R?W~md\.", _acl_of(owner))]
    assert writers == ["collector"]


def test_everyone_may_add_heartbeats_and_only_named_services_read_them() -> None:
    assert all(_acl_of(owner).endswith(" (%W~ops.heartbeats -@all +xadd)") for owner in OWNERS)
    readers = {owner for owner in OWNERS if " %R~ops.heartbeats " in _acl_of(owner)}
    assert readers == {owner_of(service) for service in SERVICES if "ops.heartbeats" in REACH[service].reads}


def test_no_service_has_a_dangerous_redis_command() -> None:
    for owner in OWNERS:
        words = _acl_of(owner).split()
        assert not {"+@all", "+flushall", "+config", "+acl", "+debug", "+keys", "+shutdown", "allkeys"} & set(words)


def test_a_command_that_an_old_redis_does_not_know_is_not_named_to_it() -> None:
    assert "client|setinfo" not in redis_acl(PASSWORDS, (7, 0))
    assert "client|setinfo" in redis_acl(PASSWORDS, (7, 2))


def test_a_role_gets_rows_and_never_structure() -> None:
    grants = [line for line in postgres_roles_sql(PASSWORDS).splitlines() if line.endswith(" TO risk_gate;")]
    assert not any("CREATE" in grant or "ALL" in grant.split(" ON ")[0].split("GRANT ")[-1] for grant in grants)
    assert "CREATE SCHEMA IF NOT EXISTS risk_gate AUTHORIZATION sigmax_migrator;" in postgres_roles_sql(PASSWORDS)


def test_only_the_gateway_reads_the_schemas_of_others() -> None:
    usage = re.findall(r"GRANT USAGE ON SCHEMA (\w+) TO (\w+);", postgres_roles_sql(PASSWORDS))
    assert {reader for schema, reader in usage if schema != reader} == {"api_gateway"}
    assert {schema for schema, reader in usage if reader == "api_gateway"} == set(OWNERS)


def test_a_scram_verifier_has_the_form_that_postgres_stores() -> None:
    assert re.fullmatch(
        r"SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=", scram_verifier("a", "b")
    )
