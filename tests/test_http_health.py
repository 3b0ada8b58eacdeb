"""What the server says of itself: tasks, nodes, alive, ready."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis
from conftest import redis_program
from web import eventually

from server.errors import QueueFull


@pytest.mark.gen_test
async def test_tasks_are_described(api):
    tasks = {task["name"]: task for task in (await api.get("/api/tasks")).value["tasks"]}
    add = tasks["add"]
    assert (add["summary"], add["kind"]) == ("Adds two numbers.", "coroutine")
    assert add["arguments"]["properties"]["b"]["default"] == 1
    assert add["arguments"]["required"] == ["a"]
    assert tasks["slow"]["options"]["timeout_s"] == 0.2
    assert tasks["in_thread"]["kind"] == "thread"
    assert "progress" not in tasks["in_thread"]["arguments"]["properties"]


@pytest.mark.gen_test
async def test_nodes_are_told_with_their_slots(api):
    async def nodes():
        return (await api.get("/api/nodes")).value["nodes"]

    (node,) = await eventually(nodes)
    assert (node["name"], node["pid"], node["serves"], node["draining"]) == ("test-node", os.getpid(), True, False)
    assert node["worker"]["lanes"]["coroutine"]["slots"] == 100
    assert node["worker"]["running"] == 0
    assert node["loop_lag_ms"] >= 0


@pytest.mark.gen_test
async def test_a_node_is_ready_when_it_has_heard_from_redis(api):
    assert (await api.get("/healthz")).value == {"status": "alive"}
    await eventually(lambda: answers(api, "/readyz", 200))
    assert (await api.get("/readyz")).value == {"status": "ready"}


@pytest.mark.gen_test
async def test_a_draining_node_takes_nothing_and_shows_everything(api, node):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    node.draining = True
    for answer in (
        await api.get("/readyz"),
        await api.post("/api/jobs", {"task": "add", "args": {"a": 1}}),
        await api.post(f"/api/jobs/{job['id']}/rerun"),
    ):
        assert (answer.status, answer.value["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await api.get("/healthz")).status == 200
    assert (await api.get(f"/api/jobs/{job['id']}")).status == 200


@pytest.mark.gen_test
async def test_a_full_queue_is_503_and_says_when_to_come_again(api, node, monkeypatch):
    async def full(jobs, **_):
        return [QueueFull("full", after_s=5.0) for _ in jobs]

    monkeypatch.setattr(node.broker, "submit", full)
    answer = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}})
    assert (answer.status, answer.value["code"], answer.headers["Retry-After"]) == (503, "queue_full", "5")


@pytest.mark.gen_test
async def test_a_job_that_was_accepted_is_never_refused_afterwards(api, node, monkeypatch):
    """Its end cannot be read any more: 202, or the client would hand it in again."""
    real = node.broker.detail

    async def gone(job_id):
        await node.broker.delete(job_id)
        return await real(job_id)

    monkeypatch.setattr(node.broker, "detail", gone)
    answer = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}}, Prefer="wait=5")
    assert answer.status == 202


async def answers(api, path, status):
    return (await api.get(path)).status == status


class OwnRedis:
    """A redis-server that may be killed."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="windsock-test-")
        self.path = Path(self.folder.name) / "redis.sock"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [redis_program(), "--port", "0", "--unixsocket", str(self.path), "--save", "", "--dir", self.folder.name],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                with redis.Redis(unix_socket_path=str(self.path)) as client:
                    client.ping()
                    break
            except redis.RedisError:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(5)


@pytest.fixture
def own_redis(_same_redis_everywhere):
    server = OwnRedis()
    yield server
    server.kill()
    server.folder.cleanup()


@pytest.fixture
def settings(settings, request):
    """With a Redis of the test's own where it asks for one."""
    if "own_redis" not in request.fixturenames:
        return settings
    own = request.getfixturevalue("own_redis")
    return settings.model_copy(update={"redis": f"unix://{own.path}", "redis_timeout_s": 0.5})


@pytest.mark.expects_log("link is down|beat does not get through|the store is another one")
@pytest.mark.gen_test
async def test_without_redis_nothing_is_accepted_and_the_process_lives(own_redis, api):
    await api.submit("add", wait_s=5, args={"a": 1})
    own_redis.kill()
    await eventually(lambda: answers(api, "/readyz", 503))
    for answer in (
        await api.get("/readyz"),
        await api.post("/api/jobs", {"task": "add", "args": {"a": 1}}),
        await api.get("/api/jobs"),
        await api.get("/api/nodes"),
        await api.get("/api/jobs/X?wait=5&after=x-1.1.1"),
    ):
        assert (answer.status, answer.value["code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"]
    assert (await api.get("/healthz")).status == 200
    assert (await api.get("/api/tasks")).status == 200
    own_redis.start()
    await eventually(lambda: answers(api, "/readyz", 200))
    assert (await api.submit("add", wait_s=5, args={"a": 4}))["result"] == 5
