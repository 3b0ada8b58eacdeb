"""A tree of 1,000 and a group, with failures, cancels, and workers that are killed: in the end it adds up. So does a
smaller one when Redis is killed under it, alone and together with a worker."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis
from announced import Announced
from processes import ENDED, Process, Processes, Server, ask, processes, wait_for
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from storing import sets_as_they_should_be

from server.broker.embedded import join
from server.settings import Settings

__all__ = ["processes"]
CHILDREN = int(os.environ.get("WINDSOCK_TREE_CHILDREN", "1000"))
GROUP = CHILDREN // 4
KILLS = 4
FEW = 200  # children of the tree whose Redis is killed
TAG = "{windsock}"
TASKS = '''
import asyncio
from windsock import ChildFailed, Progress, task

@task
async def twig(n: int, progress: Progress, pause_s: float = 0.05) -> int:
    """A child; each tenth is bad."""
    for part in range(4):
        progress.update(part, 4)
        await asyncio.sleep(pause_s / 4)
    if n % 10 == 3:
        raise ValueError(f"twig {n} is bad")
    return n

@task(max_attempts=1000)
async def tree(count: int, progress: Progress, pause_s: float = 0.05) -> dict[str, int]:
    """Has many children, and counts how they ended."""
    for n in range(count):
        progress.spawn(twig, n=n, pause_s=pause_s, max_attempts=1000)
    ends = await progress.gather(on_failure="collect")
    states = [end.state for end in ends if isinstance(end, ChildFailed)]
    right = sum(end == n for n, end in enumerate(ends))
    return {"right": right, "failed": states.count("failed"), "cancelled": states.count("cancelled")}
'''


def pages(server: Server, parent: str) -> list[dict[str, Any]]:
    """All children of a job, in the order of their spawns."""
    found, before = [], ""
    while before is not None:
        page = server.get(f"/api/jobs/{parent}/children?limit=500{before and '&before=' + before}").body
        found += page["jobs"]
        before = page["next"]
    return found[::-1]


@pytest.mark.timeout(240)
def test_a_large_tree_adds_up_though_workers_are_killed_and_children_fail_and_are_cancelled(
    processes: Processes, tmp_path: Path
) -> None:
    (tasks := tmp_path / "tree_kills.py").write_text(TASKS)
    url, draw = processes.redis(), random.Random(7)
    server = processes.serve("--no-worker", redis=url, tasks=tasks)
    announced = Announced(url)
    hands = [_hand(processes, tasks, number, redis=url) for number in range(2)]
    parent, group = server.submit("tree", {"count": CHILDREN}), _forest(server, GROUP)
    store = redis.Redis.from_url(url, protocol=2)

    def ended() -> int:
        return int(store.zcard(f"{TAG}:ended"))

    for kill in range(KILLS):
        goal = (kill + 1) * (CHILDREN + GROUP) // (KILLS + 2)
        wait_for(lambda goal=goal: ended() >= goal, f"{goal} ends", 90)
        for job in draw.sample(pages(server, parent), 10):
            ask(server.url, "POST", f"/api/jobs/{job['id']}/cancel")
        hands.pop(0).kill()
        hands.append(_hand(processes, tasks, 2 + kill, redis=url))
    ends = {job_id: server.end(job_id, 120) for job_id in (parent, group)}
    everybody = _add_up(server, ends[parent], CHILDREN, ends[group], GROUP)
    for job_id in everybody:  # once
        assert [change.job.state for _, change in announced.of(job_id) if change.job.ended] == [
            server.job(job_id)["state"]
        ]
    should, stored = sets_as_they_should_be(store, TAG)
    assert stored == should
    announced.close()
    store.close()


@pytest.mark.timeout(240)
def test_a_tree_adds_up_though_redis_is_killed_under_it_alone_and_with_a_worker(
    processes: Processes, tmp_path: Path
) -> None:
    (tasks := tmp_path / "tree_kills.py").write_text(TASKS)
    draw, data_dir = random.Random(os.getpid()), processes.data_dir
    server = processes.serve("--no-worker", tasks=tasks)
    hands = [_hand(processes, tasks, number, data_dir=data_dir) for number in range(2)]
    parent, group = server.submit("tree", {"count": FEW, "pause_s": 0.6}), _forest(server, FEW // 4)
    url = asyncio.run(join(Settings(data_dir=str(data_dir))))
    store = redis.Redis.from_url(url, protocol=2, retry=Retry(ConstantBackoff(0.05), 200))

    def ended() -> int:
        return int(store.zcard(f"{TAG}:ended"))

    for kill, victims in enumerate(["redis", "worker, redis", "redis, worker", "redis"]):
        goal = draw.randint(kill * FEW // 5 + 1, (kill + 1) * FEW // 5)  # the first may come while it still spawns
        wait_for(lambda goal=goal: ended() >= goal, f"{goal} ends", 90)
        for victim in victims.split(", "):
            if victim == "redis":
                killed = processes.private_redis()
                killed.kill()
                killed.wait(5)
            else:
                hands.pop(0).kill()
                hands.append(_hand(processes, tasks, 2 + kill, data_dir=data_dir))
    wait_for(lambda: server.get(f"/api/jobs/{parent}").status == 200, "Redis again", 30)
    ends = {job_id: server.end(job_id, 120) for job_id in (parent, group)}
    _add_up(server, ends[parent], FEW, ends[group], FEW // 4)
    should, stored = sets_as_they_should_be(store, TAG)
    assert stored == should
    store.close()


def _forest(server: Server, count: int) -> str:
    """The id of a group of so many."""
    jobs = [{"task": "twig", "args": {"n": n}, "max_attempts": 1000} for n in range(count)]
    group: str = ask(server.url, "POST", "/api/jobs?group=forest", jobs).body["group"]["id"]
    return group


def _hand(processes: Processes, tasks: Path, number: int, **where: Any) -> Process:
    worker: Process = processes.start("worker", name=f"hand-{number}", tasks=tasks, slots=20, **where)
    worker.says("takes jobs", 30)
    return worker


def _add_up(server: Server, tree: dict[str, Any], children: int, forest: dict[str, Any], jobs: int) -> list[str]:
    """A tree and a group that have ended say of their children what those say; the ids of all."""
    _adds_up(tree, pages(server, tree["id"]), children)
    _adds_up(forest, pages(server, forest["id"]), jobs)
    assert tree["state"] == "succeeded"
    result, counts = tree["result"], tree["children"]
    assert (result["failed"], result["cancelled"]) == (counts["failed"], counts["cancelled"])
    assert sum(result.values()) == children
    assert (forest["state"], forest["error"]["code"]) == ("failed", "child_failed")
    assert forest["children"]["failed"] == len([n for n in range(jobs) if n % 10 == 3])
    ids = [tree["id"], forest["id"]]
    everybody = [*ids, *(job["id"] for parent in ids for job in pages(server, parent))]
    assert len(everybody) == children + jobs + 2
    return everybody


def _adds_up(job: dict[str, Any], children: list[dict[str, Any]], count: int) -> None:
    """What the parent says of its children is what they say."""
    states = Counter(child["state"] for child in children)
    assert set(states) <= set(ENDED)
    assert job["children"] == {
        "total": count,
        "ended": count,
        "failed": states["failed"],
        "cancelled": states["cancelled"],
        "running": 0,
    }
    assert (job["progress"]["done"], job["progress"]["fraction"]) == (count, 1)
