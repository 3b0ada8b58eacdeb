"""Batches when the store fails: who is refused as a whole, and what is told of each job."""

import contextlib
import os
import signal

import pytest
import redis
from storing import own_redis, wait_for

from server.errors import Unavailable
from server.submitting import PART, PARTS_UNDER_WAY

GOOD = {"task": "add", "args": {"a": 1}, "delay_s": 60}


@pytest.mark.gen_test
async def test_a_node_that_takes_nothing_refuses_a_batch_as_a_whole(api, node):
    node.queue.submitting.refusing = lambda: Unavailable("this node is draining")
    answer = await api.post("/api/jobs", [GOOD])
    assert (answer.status, answer.value["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]


@pytest.mark.gen_test
async def test_without_a_store_every_job_is_a_problem(api, node, monkeypatch):
    asked = 0

    async def away(jobs, **_):
        nonlocal asked
        asked += 1
        raise Unavailable("Redis is away")

    monkeypatch.setattr(node.queue.submitting._broker, "submit", away)
    answer = await api.post("/api/jobs", [GOOD] * 2000)
    assert answer.status == 202
    assert [one["code"] for one in answer.value["jobs"]] == ["unavailable"] * 2000
    assert asked <= PARTS_UNDER_WAY + 1
    assert node.queue.submitting.turned_away(60) is not None


@contextlib.contextmanager
def lasting_redis(folder, path):
    """A redis-server that keeps what it has; it may be killed, and started again."""
    with own_redis("--appendonly", "yes", "--dir", str(folder), socket=path) as url:
        yield url


@pytest.mark.expects_log("")
@pytest.mark.gen_test(timeout=30)
async def test_redis_killed_in_mid_batch_has_what_the_answer_says_and_the_rest_is_unavailable(
    nodes, settings, tmp_path
):
    path = tmp_path / "socket" / "redis.sock"
    told = []
    with lasting_redis(tmp_path, path) as url:
        quick = settings.model_copy(update={"redis": url, "redis_timeout_s": 0.5})
        node = await nodes.start(quick)
        async for outcomes in node.queue.submitting.store_all([GOOD] * 5000):
            if not told:
                with redis.Redis.from_url(url, protocol=2) as client:
                    os.kill(client.info()["process_id"], signal.SIGKILL)
            told += outcomes
    accepted = [one.job.id for one in told if not isinstance(one, Unavailable)]
    assert len(told) == 5000
    assert PART / 2 < len(accepted) < 5000
    assert all(isinstance(one, Unavailable) for one in told[len(accepted) :])
    with lasting_redis(tmp_path, path) as url, redis.Redis.from_url(url, protocol=2) as client:
        wait_for(lambda: not client.info()["loading"])
        prefix = f"{{{settings.namespace}}}:job:"
        assert all(client.exists(prefix + job_id) for job_id in accepted)
        total = client.zcard(f"{{{settings.namespace}}}:index:scheduled:all")
        assert len(accepted) <= total <= len(accepted) + PARTS_UNDER_WAY * PART
        await node.stop()
