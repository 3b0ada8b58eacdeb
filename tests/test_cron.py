"""Schedules: when a task is due, and that each tick is run once, whoever is there to run it."""

import contextlib
import itertools
import logging
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from storing import opened
from web import eventually

from server.errors import QueueFull
from server.protocol import Submission
from server.registry import Registry, make_task
from server.schedules import GRACE_MS, Missed, Schedule
from windsock import task

BERLIN = "Europe/Berlin"
MINUTE = 60_000


def schedule(expression, zone="UTC", missed="skip"):
    """A schedule of a task."""
    return Schedule("report", expression, ZoneInfo(zone), Missed(missed))


def ms(*when, zone="UTC"):
    """A time by the clocks of a zone."""
    return int(datetime(*when, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def ticks(one, after, through):
    """All ticks up to a time, as UTC texts."""
    found = []
    while (after := one.next_after(after)) is not None and after <= through:
        found.append(datetime.fromtimestamp(after / 1000, UTC).strftime("%d %H:%M"))
    return found


# When.


def test_ticks_are_those_of_the_expression():
    found = ticks(schedule("*/20 9-10 * * 1-5"), ms(2026, 11, 20, 9, 10), ms(2026, 11, 23, 9, 0))
    assert found == ["20 09:20", "20 09:40", "20 10:00", "20 10:20", "20 10:40", "23 09:00"]


def test_a_zone_has_its_own_clocks():
    assert ticks(schedule("0 6 * * *", BERLIN), ms(2026, 1, 1), ms(2026, 1, 2)) == ["01 05:00"]
    assert ticks(schedule("0 6 * * *", BERLIN), ms(2026, 7, 1), ms(2026, 7, 2)) == ["01 04:00"]


def test_what_falls_into_the_hour_that_is_left_out_runs_when_the_clock_has_gone_forward():
    night = ms(2026, 3, 28, 12), ms(2026, 3, 30, 12)
    assert ticks(schedule("30 2 * * *", BERLIN), *night) == ["29 01:00", "30 00:30"]  # 03:00 on that day


def test_what_falls_into_the_hour_that_comes_twice_runs_once():
    night = ms(2026, 10, 24, 12), ms(2026, 10, 26, 12)
    assert ticks(schedule("30 2 * * *", BERLIN), *night) == ["25 00:30", "26 01:30"]


@pytest.mark.parametrize("day", [(2026, 3, 29), (2026, 10, 25)])
def test_every_half_hour_is_every_half_hour_through_both_changes(day):
    one = schedule("*/30 * * * *", BERLIN)
    after, found = ms(*day), []
    for _ in range(12):
        after = one.next_after(after)
        found.append(after)
    assert {later - sooner for sooner, later in itertools.pairwise(found)} == {30 * MINUTE}


@pytest.mark.parametrize("minute", range(0, 60, 7))
def test_from_within_the_hour_that_comes_twice_time_goes_forward(minute):
    """02:00 to 03:00 comes twice: the second time 02:30 has been."""
    second_time = ms(2026, 10, 25, 1) + minute * MINUTE  # 02:00 + minute by the clock
    assert ticks(schedule("30 2 * * *", BERLIN), second_time, ms(2026, 10, 26, 12)) == ["26 01:30"]


# What was missed.


def test_a_tick_that_is_due_now_is_pending_whatever_the_policy():
    at = ms(2026, 1, 1, 6)
    for missed in Missed:
        assert schedule("0 6 * * *", missed=missed).pending(at - 86_400_000, at) == [at]
        assert schedule("0 6 * * *", missed=missed).pending(at, at + GRACE_MS) == []


@pytest.mark.parametrize(("missed", "count"), [("skip", 1), ("once", 1), ("all", 10)])
def test_after_a_time_away_the_policy_says_what_is_run(missed, count):
    now = ms(2026, 1, 1, 6, 0, 30)
    found = schedule("* * * * *", missed=missed).pending(now - 10 * MINUTE, now)
    assert len(found) == count
    assert found[-1] == ms(2026, 1, 1, 6)


@pytest.mark.parametrize(("missed", "count"), [("skip", 0), ("once", 1), ("all", 3)])
def test_a_nightly_job_that_was_missed_for_days(missed, count):
    nightly = schedule("0 3 * * *", BERLIN, missed)
    found = nightly.pending(ms(2026, 3, 26, 12), ms(2026, 3, 29, 12))  # the clock changes on the 29th
    assert found == [ms(2026, 3, day, 3, zone=BERLIN) for day in (27, 28, 29)][3 - count :]


def test_what_is_made_good_for_is_bounded_however_long_nobody_was_there():
    found = schedule("* * * * *", missed="all").pending(0, ms(2026, 1, 1))
    assert len(found) == 100
    assert found[-1] == ms(2026, 1, 1)


def test_a_job_id_is_the_same_on_every_node_and_in_the_order_of_time():
    one, same, other = schedule("* * * * *"), schedule("* * * * *"), schedule("* * * * *", BERLIN)
    at = ms(2026, 1, 1)
    assert one.job_id(at) == same.job_id(at) != other.job_id(at)
    assert one.job_id(at) < one.job_id(at + MINUTE)
    assert len(one.job_id(at)) == 26


# What a task file may say.


def declared(**options):
    """A task that is due by itself."""

    @task(**options)
    async def report(day: str = "today") -> None: ...

    return make_task(report)


def test_a_task_may_have_several_schedules():
    assert [one.expression for one in declared(cron=("0 6 * * *", "0  18 * * 1-5")).schedules] == [
        "0 6 * * *",
        "0 18 * * 1-5",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cron": "0 25 * * *"}, "'0 25 \\* \\* \\*' is no cron expression: Bad hour"),
        ({"cron": "daily"}, "no cron expression"),
        ({"cron": 5}, "'5' is no cron expression"),
        ({"cron": "0 0 31 2 *"}, "no cron expression"),
        ({"cron": "0 6 * * *", "timezone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
        ({"cron": "0 6 * * *", "missed": "some"}, "missed must be one of skip, once, all"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_when_it_is_loaded(options, message):
    with pytest.raises(TypeError, match=f"task report: .*{message}|task report: {message}"):
        declared(**options)


def test_all_arguments_of_a_task_with_a_schedule_have_defaults():
    @task(cron="0 6 * * *")
    async def report(day: str) -> None: ...

    with pytest.raises(TypeError, match="task report has a cron expression, and its argument 'day' has no default"):
        make_task(report)


def test_the_list_of_tasks_shows_the_schedule_and_when_it_is_due():
    options = declared(cron="* * * * *", timezone=BERLIN, missed="once").describe()["options"]
    assert (options["cron"], options["timezone"], options["missed"]) == (["* * * * *"], BERLIN, "once")
    assert 0 < options["next_at"] - time.time() * 1000 <= MINUTE
    plain = declared().describe()["options"]
    assert (plain["cron"], plain["timezone"], plain["next_at"]) == ([], None, None)


# What nodes do.


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@task(cron="* * * * * *")
async def each_second() -> None:
    """Due every second."""


@pytest.fixture
def registry():
    return Registry()


async def jobs_of(node, name):
    """All jobs of a task, oldest first."""
    from server.window import Match  # noqa: PLC0415

    page = await node.queue.page(Match(tasks=frozenset([name])), 100)
    return sorted(page.jobs, key=lambda job: job.scheduled_at)


@pytest.mark.gen_test(timeout=20)
async def test_two_nodes_run_each_tick_once_and_in_time(nodes, settings, registry):
    registry.add_functions([each_second])
    first, second = await nodes.start(settings), await nodes.start(settings, serves=False)
    await eventually(lambda: _many(first, 4), 10)
    await second.stop()
    await eventually(lambda: _many(first, 6), 10)
    jobs = await jobs_of(first, "each_second")
    times = [job.scheduled_at for job in jobs]
    assert times == list(range(times[0], times[-1] + 1, 1000))  # none twice, none left out
    assert all(0 <= job.created_at - job.scheduled_at < 900 for job in jobs)
    assert {job.tags for job in jobs} == {("cron",)}


async def _many(node, count):
    return len(await jobs_of(node, "each_second")) >= count


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize(("missed", "count"), [("skip", 0), ("once", 1), ("all", 3)])
async def test_a_node_makes_good_for_what_was_missed_while_none_was_there(
    nodes, settings, registry, store, missed, count
):
    started = datetime.now(UTC)
    minute = (started.minute - 5) % 60

    @task(cron=f"{minute} * * * *", missed=missed)
    async def hourly() -> str:
        return "done"

    registry.add_functions([hourly, each_second])
    (one,) = registry.get("hourly").schedules
    now, _ = await store.broker.ticked([one.name])
    store.redis.hset(store.key("schedules"), one.name, now - 3 * 60 * MINUTE)
    node = await nodes.start(settings)
    await eventually(lambda: _many(node, 1))  # the round in which the past is looked at is over
    jobs = await jobs_of(node, "hourly")
    expected = [tick for tick in one.pending(now - 3 * 60 * MINUTE, now)]
    assert [job.scheduled_at for job in jobs] == expected
    assert len(jobs) == count


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log("store is another one|the store has gone back|too late")
async def test_a_store_that_was_emptied_goes_on_with_the_next_tick(nodes, settings, registry, store):
    registry.add_functions([each_second])
    node = await nodes.start(settings)
    await eventually(lambda: _many(node, 1))
    for key in store.redis.keys(store.tag + "*"):
        store.redis.delete(key)
    assert await jobs_of(node, "each_second") == []
    await eventually(lambda: _many(node, 2))


@pytest.mark.gen_test
async def test_a_draining_node_hands_in_nothing(nodes, settings, registry, caplog):
    caplog.set_level(logging.INFO, "windsock.timetable")
    registry.add_functions([each_second])
    node = await nodes.start(settings)
    await eventually(lambda: _many(node, 1))
    await node.drain(0)
    count = len(await jobs_of(node, "each_second"))
    await eventually(lambda: "schedules have to wait: this node is draining" in caplog.text)
    assert len(await jobs_of(node, "each_second")) == count


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log(r"^schedule crowded \* \* \* \* \* \* UTC has to wait: 1 jobs wait in the queue narrow")
async def test_a_schedule_whose_queue_is_full_holds_up_no_other_and_goes_on_when_there_is_room(
    nodes, settings, registry, caplog
):
    @task(cron="* * * * * *", queue="narrow")
    async def crowded() -> None: ...

    registry.add_functions([crowded, each_second])
    node = await nodes.start(settings.model_copy(update={"queue_limit": 1}))
    await eventually(lambda: jobs_of(node, "crowded"))

    async def block():
        with contextlib.suppress(QueueFull):  # a tick was quicker
            return await node.queue.submit(Submission(task="crowded", args={}, delay_s=60))

    blocker = await eventually(block)
    count = len(await jobs_of(node, "each_second"))
    await eventually(lambda: _many(node, count + 3), 10)
    stuck = await jobs_of(node, "crowded")
    await node.queue.cancel(blocker.id)

    async def more():
        return len(await jobs_of(node, "crowded")) > len(stuck)

    await eventually(more, 10)
    assert caplog.text.count("has to wait") == 1
