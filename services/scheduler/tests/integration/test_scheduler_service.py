"""Schedulers as processes over real servers."""

from typing import Any

import pytest

from sigmax.schemas.control import Alert, JobDue, JobFinished

pytestmark = pytest.mark.integration

QUICK = {"tick_interval_s": "0.2", "heartbeat_age_max_s": "5", "startup_grace_s": "0"}


async def a_job(world: Any, job: str, schedule: str) -> None:
    await world.database.execute("INSERT INTO scheduler.jobs (job, schedule) VALUES ($1, $2)", job, schedule)


async def test_two_replicas_run_each_slot_once(world: Any, start: Any) -> None:
    told: list[JobDue] = await world.listen(JobDue, JobDue.TOPIC)
    await a_job(world, "ticking", "every 1")

    async with start(replica="a", **QUICK), start(replica="b", **QUICK):
        await world.until_true(lambda: len([due for due in told if due.job == "ticking"]) >= 6)

    slots = [due.due_at for due in told if due.job == "ticking"]
    taken = [
        row["due_at"]
        for row in await world.database.fetch("SELECT due_at FROM scheduler.job_runs WHERE job = 'ticking'")
    ]
    assert len(slots) == len(set(slots))
    assert sorted(slots) == sorted(taken)


async def test_a_killed_replica_leaves_the_slots_to_the_other(world: Any, run_service: Any) -> None:
    told: list[JobDue] = await world.listen(JobDue, JobDue.TOPIC)
    await a_job(world, "ticking", "every 1")

    async with run_service("scheduler", replica="a", **QUICK) as first, run_service("scheduler", replica="b", **QUICK):
        await world.until_true(lambda: len(told) >= 2)
        await first.kill()
        heard = len(told)
        await world.until_true(lambda: len(told) >= heard + 3)

    # What the dead replica had just sent may come a second time, under the same id: inboxes drop that.
    by_id = {due.message_id: (due.job, due.due_at) for due in told}
    assert len(by_id) == len(set(by_id.values()))


async def test_a_killed_service_makes_an_alert_and_its_return_ends_it(world: Any, run_service: Any) -> None:
    alerts: list[Alert] = await world.listen(Alert, "scheduler.alert.v1")
    await world.database.execute("UPDATE scheduler.jobs SET schedule = 'every 1' WHERE job = 'health_check'")

    watcher = run_service("scheduler", expected_services='["llm-controller"]', **QUICK)
    results = "SELECT text FROM scheduler.job_runs WHERE finished_at IS NOT NULL LIMIT 1"
    async with run_service("llm-controller", replica="x") as watched, watcher:
        assert await world.until(lambda: world.database.fetchval(results)) == "0 problems open."
        await watched.kill()
        await world.until_true(lambda: bool(alerts))
        async with run_service("llm-controller", replica="x"):
            await world.until_true(lambda: len(alerts) >= 2)

    missing, over = alerts[:2]
    assert (missing.code, missing.subject, missing.level.value) == ("heartbeat_missing", "llm-controller", "danger")
    assert (over.code, over.subject, over.values["problem"]) == ("recovered", "llm-controller", "heartbeat_missing")


async def test_a_dead_letter_makes_an_alert(world: Any, start: Any) -> None:
    alerts: list[Alert] = await world.listen(Alert, "scheduler.alert.v1")
    await world.database.execute("UPDATE scheduler.jobs SET schedule = 'every 1' WHERE job = 'health_check'")
    async with start(expected_services='["scheduler"]', **QUICK):
        broken = JobFinished(
            **JobFinished.first("x", (await world.database.fetchval("SELECT now()"))),
            producer="scheduler",
            job="x",
            due_at="2026-11-21T10:00:00Z",
            succeeded=True,
        )
        object.__setattr__(broken, "job", "")  # what the schema refuses, so that no handler can take it
        await world.publish(broken)
        await world.until_true(lambda: any(alert.code == "dead_letters" for alert in alerts))


async def test_a_schedule_nobody_can_read_is_switched_off_once(world: Any, start: Any) -> None:
    alerts: list[Alert] = await world.listen(Alert, "scheduler.alert.v1")
    await a_job(world, "broken", "whenever")
    async with start(replica="a", **QUICK), start(replica="b", **QUICK):
        await world.until_true(lambda: bool(alerts))
        runs = "SELECT count(*) FROM scheduler.job_runs"
        await world.until(lambda: world.database.fetchval(runs))

    row = await world.database.fetchrow("SELECT is_enabled, disabled_reason FROM scheduler.jobs WHERE job = 'broken'")
    assert not row["is_enabled"]
    assert "cron" in row["disabled_reason"]
    assert [alert.subject for alert in alerts if alert.code == "schedule_invalid"] == ["broken"]


async def test_old_runs_are_deleted_but_never_the_newest_of_a_job(world: Any, start: Any) -> None:
    await a_job(world, "yearly", "0 0 1 1 *")
    for days in (400, 35, 31):
        await world.database.execute(
            "INSERT INTO scheduler.job_runs (job, due_at, taken_at, taken_by)"
            " VALUES ('yearly', now() - make_interval(days => $1), now(), 'a')",
            days,
        )
    await world.database.execute("UPDATE scheduler.jobs SET schedule = 'every 1' WHERE job = 'tidy_job_runs'")
    async with start(**QUICK):
        left = "SELECT count(*) = 1 FROM scheduler.job_runs WHERE job = 'yearly'"
        await world.until(lambda: world.database.fetchval(left))
    kept = await world.database.fetchval(
        "SELECT now() - due_at < interval '32 days' FROM scheduler.job_runs WHERE job = 'yearly'"
    )
    assert kept
