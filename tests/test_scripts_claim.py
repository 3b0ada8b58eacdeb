"""The script that hands jobs out: in which order, to whom, and who is woken for them."""

import pytest
from storing import LANE, TASKS, new_job, opened

from server.broker import broker as broker_module
from server.broker.record import unpack
from server.broker.values import RECOVERY_BEATS
from server.codec import MSGPACK


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


def woken(heard):
    """The workers that were told to claim, in order."""
    return [
        channel.removeprefix("worker:")
        for channel, data in heard.messages()
        if channel.startswith("worker:") and unpack(data)[0] == b"claim"
    ]


@pytest.mark.gen_test
async def test_the_highest_priority_comes_first_and_then_the_first_submitted(store):
    given = [(0, "a", "add"), (5, "b", "mul"), (-3, "a", "mul"), (5, "a", "add"), (0, "b", "sub"), (10, "c", "add")]
    jobs = [await store.submit(task, queue=queue, priority=priority) for priority, queue, task in given]
    wanted = [jobs[i].id for i in (5, 1, 3, 0, 4, 2)]
    assert [lease.id for lease in await store.claim(count=4)] == wanted[:4]
    assert [lease.id for lease in await store.claim(count=4)] == wanted[4:]


@pytest.mark.gen_test
async def test_queues_named_by_a_worker_come_in_its_order_and_the_star_where_it_stands(store):
    for queue in ("other", "second", "first"):
        await store.submit(queue=queue, priority=10 if queue == "other" else 0)
    leases = await store.claim(count=3, queues=("first", "second", "*"))
    assert [lease.job.queue for lease in leases] == ["first", "second", "other"]


@pytest.mark.gen_test
async def test_a_worker_gets_only_tasks_and_queues_that_it_serves(store):
    await store.submit("add", queue="mine")
    await store.submit("mul", queue="mine")
    await store.submit("add", queue="others")
    leases = await store.claim(count=9, queues=("mine",), tasks=("add",))
    assert [(lease.task, lease.job.queue) for lease in leases] == [("add", "mine")]


@pytest.mark.gen_test
async def test_a_claim_hands_out_arguments_an_attempt_and_a_token(store):
    job = await store.submit()
    (lease,) = await store.claim(request="secret")
    assert (lease.id, lease.token, lease.attempt, lease.args, lease.log_last) == (job.id, "secret", 1, {"a": 1}, 0)
    assert (lease.job.state, lease.job.node) == ("running", "test-node")
    assert lease.job.started_at is not None
    assert lease.job.version > job.version


@pytest.mark.gen_test
async def test_the_same_request_answers_the_same_jobs(store):
    await store.broker.submit([new_job() for _ in range(5)])
    first = await store.claim(count=3, request="one")
    again = await store.claim(count=3, request="one")
    assert again == first
    assert len(await store.claim(count=9)) == 2


@pytest.mark.gen_test
async def test_a_repeated_request_leaves_out_what_was_taken_back_meanwhile(store):
    await store.broker.submit([new_job(), new_job()])
    first, second = await store.claim(count=2, request="one")
    await store.broker.release("w1", first.id)
    assert [lease.id for lease in await store.claim(count=2, request="one")] == [second.id]


@pytest.mark.gen_test
async def test_a_claim_is_announced_with_the_state_before(store):
    job = await store.submit()
    with store.listening() as heard:
        await store.claim()
        (change,) = heard.changes()
    assert (change.id, change.was, change.job.state) == (job.id, "queued", "running")


@pytest.mark.gen_test
async def test_an_id_without_a_job_is_passed_over(store):
    lost, kept = await store.submit(), await store.submit()
    store.redis.delete(store.key(f"job:{lost.id}"))
    assert [lease.id for lease in await store.claim(count=2)] == [kept.id]
    assert store.ids("ready") == set()


@pytest.mark.gen_test
async def test_one_submit_wakes_one_of_fifty_idle_workers(store):
    workers = [f"w{i}" for i in range(50)]
    await store.enlist(*workers)
    for worker in workers:
        assert await store.claim(worker, count=10) == []
    with store.listening() as heard:
        await store.submit()
        claims = woken(heard)
        assert len(claims) == 1
        (lease,) = await store.claim(claims[0], count=10)
        assert woken(heard) == []  # and its claim wakes nobody
    assert lease.task == "add"


@pytest.mark.gen_test
async def test_a_worker_that_was_woken_is_not_woken_again_before_it_found_nothing(store):
    await store.enlist("w1")
    await store.claim("w1")
    with store.listening() as heard:
        await store.submit()
        await store.submit()
        assert woken(heard) == ["w1"]
        await store.claim("w1", count=5)
        await store.submit()
        assert woken(heard) == ["w1"]


@pytest.mark.gen_test
async def test_a_worker_that_got_all_it_asked_for_is_not_idle(store):
    await store.enlist("w1")
    await store.claim("w1")
    await store.submit()
    await store.claim("w1", count=1)
    with store.listening() as heard:
        await store.submit()
        assert woken(heard) == []


@pytest.mark.gen_test
async def test_a_worker_is_not_woken_for_a_task_it_does_not_serve(store):
    await store.enlist("w1", tasks=("mul",))
    await store.claim("w1", tasks=("mul",))
    with store.listening() as heard:
        await store.submit("add")
        await store.submit("mul")
        assert woken(heard) == ["w1"]


@pytest.mark.gen_test
async def test_a_retired_worker_is_woken_no_more(store):
    await store.enlist("w1")
    await store.claim("w1")
    await store.broker.retire("w1")
    with store.listening() as heard:
        await store.submit()
        assert woken(heard) == []
    assert store.ids(f"members:{LANE}") == store.ids("serves:*/add") == set()


@pytest.mark.gen_test
async def test_a_batch_wakes_no_more_workers_than_it_has_jobs(store):
    await store.enlist("w1", "w2", "w3")
    for worker in ("w1", "w2", "w3"):
        await store.claim(worker)
    with store.listening() as heard:
        await store.broker.submit([new_job(), new_job()])
        assert len(woken(heard)) == 2


@pytest.mark.gen_test
async def test_a_claim_cut_short_by_large_arguments_is_followed_by_another_at_once(store, monkeypatch):
    monkeypatch.setattr(broker_module, "CLAIM_BYTES", 150)
    await store.enlist("w1")
    await store.broker.submit([new_job(args=MSGPACK.encode({"a": "x" * 100})) for _ in range(5)])
    with store.listening() as heard:
        assert len(await store.claim("w1", count=5)) == 2
        assert woken(heard) == ["w1"]
    assert store.ids(f"idle:{LANE}") == set()
    assert len(await store.claim("w1", count=5)) == 2


@pytest.mark.gen_test
async def test_a_beat_says_whether_jobs_wait_that_the_worker_could_run(store):
    assert not store.tick(tasks=TASKS).work
    await store.submit("mul")
    assert store.tick(tasks=TASKS).work
    assert not store.tick(tasks=("add",)).work


@pytest.mark.gen_test
async def test_a_beat_says_which_jobs_a_worker_holds_and_which_it_should_end(store):
    first, second = await store.running("p1"), await store.running("p1")
    await store.broker.cancel(second.id)
    beat = store.tick("p1")
    assert beat.leased == {first.id, second.id}
    assert beat.cancels == {second.id}
    assert store.tick("p2").leased == set()


@pytest.mark.gen_test
async def test_a_beat_says_whether_the_store_knows_the_worker(store):
    assert not store.tick("w1").enlisted
    await store.enlist("w1")
    assert store.tick("w1").enlisted


@pytest.mark.parametrize("seen", [("another", 0), (None, 10**9)], ids=["another store", "an earlier message"])
@pytest.mark.gen_test
async def test_of_a_store_that_has_gone_back_nothing_is_claimed_until_runners_had_time(store, seen):
    """Jobs that run may seem to wait in it; whoever notices first holds back all others too."""
    job = await store.submit()
    name = seen[0] or store.redis.get(store.key("store")).decode()
    claim = ("request", 5, ["*"], TASKS, LANE)
    assert await store.broker.claim("w1", *claim, seen=(name, seen[1])) == []
    assert 0 < store.redis.pttl(store.key("recovering")) <= RECOVERY_BEATS * 1000 * store.settings.beat_s
    assert await store.claim("w2") == []
    store.redis.delete(store.key("recovering"))  # as when its time is over
    (lease,) = await store.claim("w2")
    assert lease.id == job.id


@pytest.mark.gen_test
async def test_a_store_as_far_as_it_was_seen_or_further_gives_its_jobs(store):
    await store.submit()
    name, seq = store.redis.get(store.key("store")).decode(), int(store.redis.get(store.key("seq")))
    assert len(await store.broker.claim("w1", "request", 5, ["*"], TASKS, LANE, seen=(name, seq))) == 1


@pytest.mark.gen_test
async def test_who_claims_is_missed_when_it_dies_before_its_first_beat(store):
    await store.running("w9")
    assert store.redis.hget(store.key("beats"), "w9") == b"0"
