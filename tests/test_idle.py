"""A node with nothing to do leaves Redis alone, and many that wait do not all come for one job."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from conftest import Nodes
from storing import own_redis
from web import eventually

from server.protocol import Submission
from server.settings import Settings

BEATS = 12


@pytest.fixture
def alone() -> Iterator[str]:
    """A Redis for this test only."""
    with own_redis() as url:
        yield url


def sent(url: str, seconds: float) -> list[str]:
    """What clients send to Redis in that time, without what scripts do."""
    with redis.Redis.from_url(url, protocol=2) as client, client.monitor() as monitor:
        client.ping()
        found, until = [], time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if monitor.connection.can_read(timeout=left):
                told = monitor.next_command()
                found += [told["command"].split()[0]] if told["client_type"] != "lua" else []
    return found


@pytest.mark.gen_test(timeout=30)
async def test_an_idle_node_sends_three_commands_a_beat_at_most(alone: str, nodes: Nodes, settings: Settings) -> None:
    beat_s = 0.25
    node = await nodes.start(settings.model_copy(update={"redis": alone, "beat_s": beat_s, "lease_s": 2.0}))
    await eventually(lambda: node.ready() is None)
    job = await node.queue.submit(Submission(task="add", args={"a": 1}))
    await eventually(lambda: _ended(node, job.id))
    commands = await asyncio.to_thread(sent, alone, BEATS * beat_s)
    assert 1 <= len(commands) <= 3 * BEATS
    assert set(commands) <= {"EVALSHA", "INFO", "PING"}


@pytest.mark.gen_test(timeout=60)
async def test_one_submit_makes_three_claims_at_most_of_fifty_idle_workers(
    alone: str, nodes: Nodes, settings: Settings
) -> None:
    calm = settings.model_copy(update={"redis": alone, "beat_s": 5.0, "lease_s": 15.0, "lost_s": 15.0})
    workers = [await nodes.start(calm.model_copy(update={"name": f"w{n}"}), serves=False) for n in range(50)]
    serving = await nodes.start(calm.model_copy(update={"worker": False}))
    claims: list[str] = []
    for worker in workers:
        _listen(worker, claims)
    await eventually(lambda: _all_idle(alone, settings.namespace, 50), timeout_s=20)
    claims.clear()
    job = await serving.queue.submit(Submission(task="add", args={"a": 1}))
    await eventually(lambda: _ended(serving, job.id))
    assert 1 <= len(claims) <= 3


def _listen(worker: Any, claims: list[str]) -> None:
    claim = worker.broker.claim

    async def counted(*arguments: Any) -> Any:
        claims.append(worker.id)
        return await claim(*arguments)

    worker.broker.claim = counted


def _all_idle(url: str, namespace: str, count: int) -> bool:
    with redis.Redis.from_url(url) as client:
        found = [client.scard(key) for key in client.scan_iter(f"*{namespace}*:idle:*", count=1000)]
    return count in found


async def _ended(node: Any, job_id: str) -> bool:
    return bool((await node.queue.get(job_id)).job.ended)
