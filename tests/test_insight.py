"""Where a running job stands, and where its time goes: asked of any node, answered by the worker that has it."""

import asyncio
import io
import json
import pstats
import re
import time
from pathlib import Path

import pytest
import redis
from inspected_tasks import line_of
from web import eventually, having

from server.loader import load
from server.protocol import Submission

TASKS = str(Path(__file__).parent / "inspected_tasks.py")
ALL = ["computes", "thread_computes", "process_computes"]


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"tasks": (TASKS,), "processes": 1, "lease_s": 20.0})


@pytest.fixture
def registry():
    loaded = load([TASKS])
    assert loaded.problems == []
    return loaded.registry


@pytest.fixture
def begin(node, app):
    """Submits a job and waits for its first word."""

    async def begin(name, **args):
        job = await node.queue.submit(Submission(task=name, args=args))

        async def spoken():
            return (await node.queue.get(job.id)).job.progress

        await eventually(spoken, 20)
        return job.id

    return begin


async def stack(api, job_id):
    answer = await api.get(f"/api/jobs/{job_id}/stack")
    assert answer.status == 200, answer.body
    return answer.value


def lines(answer):
    return [(frame["function"], frame["line"]) for frame in answer["frames"] if frame["file"] == TASKS]


# where it stands


@pytest.mark.gen_test(timeout=30)
async def test_the_stack_of_a_coroutine_follows_what_it_awaits(begin, api, node):
    job_id = await begin("waits")
    answer = await stack(api, job_id)
    assert lines(answer) == [("waits", line_of("waits")), ("middle", line_of("middle")), ("deep", line_of("deep"))]
    assert answer["frames"][0]["code"] == "await middle()  # waits"
    assert (answer["job"], answer["attempt"], answer["node"], answer["kind"]) == (job_id, 1, "test-node", "coroutine")
    assert 0 <= answer["idle_s"] < 5
    assert f'File "{TASKS}", line {line_of("deep")}, in deep' in answer["text"]
    assert "runner.py" not in answer["text"]


@pytest.mark.gen_test(timeout=30)
async def test_the_stack_follows_a_gather_and_names_the_other_tasks(begin, api):
    answer = await stack(api, await begin("gathers"))
    assert [name for name, _ in lines(answer)] == ["gathers", "middle", "deep"]
    assert "and task two:" in answer["text"]
    assert answer["text"].count("in deep") == 2


@pytest.mark.gen_test(timeout=30)
async def test_the_stack_of_a_thread(begin, api):
    job_id = await begin("thread_waits", seconds=1.5)
    answer = await stack(api, job_id)
    assert lines(answer) == [("thread_waits", line_of("thread"))]
    assert answer["kind"] == "thread"
    await api.until(job_id, "succeeded")
    assert "executors.py" not in answer["text"]


@pytest.mark.gen_test(timeout=30)
async def test_the_stack_of_a_process(begin, api):
    job_id = await begin("process_waits", seconds=1.5)
    answer = await stack(api, job_id)
    assert lines(answer) == [("process_waits", line_of("process"))]
    assert answer["kind"] == "process"
    await api.until(job_id, "succeeded")


@pytest.mark.gen_test(timeout=30)
async def test_time_since_the_last_progress_grows(begin, api):
    job_id = await begin("waits")
    before = (await stack(api, job_id))["idle_s"]
    await asyncio.sleep(0.3)
    assert (await stack(api, job_id))["idle_s"] >= before + 0.25


@pytest.mark.gen_test(timeout=30)
async def test_a_job_that_has_ended_has_no_stack(node, api, app):
    _, end = await node.queue.submit_and_wait(Submission(task="other", args={"seconds": 0.0}), 10)
    answer = await api.get(f"/api/jobs/{end.job.id}/stack")
    assert (answer.status, answer.value["code"]) == (409, "conflict")
    assert "succeeded" in answer.value["detail"]


@pytest.mark.gen_test(timeout=30)
async def test_a_job_that_nobody_knows_has_none_either(api, app):
    answer = await api.get("/api/jobs/01HZZZZZZZZZZZZZZZZZZZZZZZ/stack")
    assert (answer.status, answer.value["code"]) == (404, "not_found")


@pytest.mark.gen_test(timeout=30)
async def test_any_node_can_ask(begin, nodes, settings):
    job_id = await begin("waits")
    other = await nodes.start(settings.model_copy(update={"worker": False, "name": "another"}))
    answer = await other.asking.stack(job_id)
    assert answer["node"] == "test-node"
    assert lines(answer)[-1] == ("deep", line_of("deep"))


@having(answer_s=0.3)
@pytest.mark.gen_test(timeout=30)
async def test_a_worker_that_does_not_answer_is_503(begin, api, node):
    job_id = await begin("waits")
    node.worker.insight.on_ask = lambda packed: None
    node._ticker.on_asked = None
    answer = await api.get(f"/api/jobs/{job_id}/stack")
    assert (answer.status, answer.value["code"]) == (503, "unavailable")
    assert "did not answer within 0.3 s" in answer.value["detail"]


# profiles on demand


async def profiled(api, job_id, number):
    async def kept():
        answer = await api.get(f"/api/jobs/{job_id}/profiles/{number}.json")
        return answer.value if answer.status == 200 else None

    return await eventually(kept, 15)


def shares(value):
    """Of a speedscope file: seconds by function, with what it called."""
    names = [frame["name"] for frame in value["shared"]["frames"]]
    (profile,) = value["profiles"]
    found = {}
    for sample, weight in zip(profile["samples"], profile["weights"], strict=True):
        for name in {names[number] for number in sample}:
            found[name] = found.get(name, 0.0) + weight
    return found


@pytest.mark.parametrize("name", ALL)
@pytest.mark.gen_test(timeout=60)
async def test_a_profile_on_demand_shows_the_hot_function_on_top(name, begin, api, node):
    job_id = await begin(name, seconds=3.0)
    answer = await api.post(f"/api/jobs/{job_id}/profile", {"seconds": 1.0, "interval_ms": 2})
    assert answer.status == 202, answer.body
    assert answer.value == {"profile": 1, "seconds": 1.0}
    found = shares(await profiled(api, job_id, 1))
    assert found["hot"] > 0.6 * found[name]
    assert found.get("cold", 0.0) < 0.2 * found["hot"]
    assert not any("runner" in one or one == "_call" for one in found)
    (listed,) = (await api.get(f"/api/jobs/{job_id}/profiles")).value["profiles"]
    assert (listed["number"], listed["kind"], listed["attempt"]) == (1, "sampled", 1)
    assert 0.5 < listed["seconds"] < 3
    assert listed["samples"] > 10
    assert listed["bytes"] > 50
    await api.until(job_id, "succeeded")


@pytest.mark.gen_test(timeout=60)
async def test_a_process_that_is_still_being_started_is_not_profiled(node, api, app):
    job = await node.queue.submit(Submission(task="process_computes", args={"seconds": 0.1}))
    await api.until(job.id, "running")
    answer = await api.post(f"/api/jobs/{job.id}/profile", {"seconds": 1.0})
    assert (answer.status, answer.value["detail"]) == (503, f"the process of job {job.id} has not begun with it yet")
    assert (await node.queue.ended(job.id, 20)).job.state == "succeeded"
    assert (await api.get(f"/api/jobs/{job.id}/profiles")).value["profiles"] == []


@pytest.mark.gen_test(timeout=60)
async def test_only_the_jobs_own_frames_are_in_the_profile_of_a_coroutine(begin, api, node):
    job_id = await begin("computes", seconds=3.0)
    await node.queue.submit(Submission(task="other", args={"seconds": 3.0}))
    await api.post(f"/api/jobs/{job_id}/profile", {"seconds": 1.0, "interval_ms": 2})
    found = shares(await profiled(api, job_id, 1))
    assert "hot" in found
    assert "beside" not in found
    assert found["(waiting)"] > 0


@pytest.mark.gen_test(timeout=30)
async def test_one_profile_of_a_job_at_a_time(begin, api):
    job_id = await begin("waits")
    assert (await api.post(f"/api/jobs/{job_id}/profile", {"seconds": 0.5})).status == 202
    again = await api.post(f"/api/jobs/{job_id}/profile", {"seconds": 0.5})
    assert (again.status, again.value["code"]) == (409, "conflict")
    await profiled(api, job_id, 1)
    assert (await api.post(f"/api/jobs/{job_id}/profile", {"seconds": 0.1})).status == 202


@having(profile_s=2.0)
@pytest.mark.gen_test(timeout=30)
async def test_a_profile_has_a_longest_time(begin, api):
    job_id = await begin("waits")
    answer = await api.post(f"/api/jobs/{job_id}/profile", {"seconds": 3})
    assert (answer.status, answer.value["errors"][0]["field"]) == (422, "seconds")
    answer = await api.post(f"/api/jobs/{job_id}/profile", {"colour": "red"})
    assert (answer.status, answer.value["errors"][0]["field"]) == (422, "colour")


# profiles of whole runs


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("how", [True, "cprofile"])
@pytest.mark.gen_test(timeout=60)
async def test_a_whole_run_is_profiled_and_the_profile_is_there_when_it_ends(name, how, node, api):
    _, end = await node.queue.submit_and_wait(Submission(task=name, args={"seconds": 0.6}, profile=how), 30)
    assert end.job.state == "succeeded"
    assert end.whole()["profile"] == how
    (listed,) = (await api.get(f"/api/jobs/{end.job.id}/profiles")).value["profiles"]
    assert listed["kind"] == ("sampled" if how is True else "cprofile")
    found = shares((await api.get(f"/api/jobs/{end.job.id}/profiles/1.json")).value)
    assert found["hot"] > 0.6 * found[name]
    assert set(sorted(found, key=found.get)[-2:]) == {name, "hot"}
    assert not {"_bootstrap", "_worker", "_call", "_guarded", "<lambda>"} & set(found)


@pytest.mark.gen_test(timeout=60)
async def test_what_ends_the_profile_of_a_run_is_not_in_it(node, api, monkeypatch):
    insight = node.worker.insight
    end = insight.end

    async def slow(attempt):
        over = time.monotonic() + 0.1  # the sampler is still there
        while time.monotonic() < over:
            pass
        await end(attempt)

    monkeypatch.setattr(insight, "end", slow)
    _, done = await node.queue.submit_and_wait(Submission(task="computes", args={"seconds": 0.2}, profile=True), 30)
    found = shares((await api.get(f"/api/jobs/{done.job.id}/profiles/1.json")).value)
    assert "hot" in found
    assert "slow" not in found


@pytest.mark.parametrize("name", ALL)
@pytest.mark.gen_test(timeout=60)
async def test_pstats_can_be_read_by_python(name, node, api, tmp_path):
    _, end = await node.queue.submit_and_wait(Submission(task=name, args={"seconds": 0.3}, profile="cprofile"), 30)
    answer = await api.get(f"/api/jobs/{end.job.id}/profiles/1.pstats")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    (tmp_path / "kept.pstats").write_bytes(answer.body)
    told = io.StringIO()
    pstats.Stats(str(tmp_path / "kept.pstats"), stream=told).sort_stats("tottime").print_stats()
    assert re.search(r"inspected_tasks.py:\d+\(hot\)", told.getvalue())


@pytest.mark.gen_test(timeout=60)
async def test_what_runs_between_the_steps_of_a_coroutine_is_not_traced(node, api):
    await node.queue.submit(Submission(task="other", args={"seconds": 1.0}))
    _, end = await node.queue.submit_and_wait(
        Submission(task="computes", args={"seconds": 0.6}, profile="cprofile"), 30
    )
    found = shares((await api.get(f"/api/jobs/{end.job.id}/profiles/1.json")).value)
    assert "hot" in found
    assert "beside" not in found


@pytest.mark.gen_test(timeout=60)
async def test_a_rerun_is_profiled_as_the_job_was(node, api):
    _, end = await node.queue.submit_and_wait(Submission(task="computes", args={"seconds": 0.1}, profile=True), 30)
    again = await node.queue.rerun(end.job.id)
    await api.until(again.id, "succeeded")
    assert len((await api.get(f"/api/jobs/{again.id}/profiles")).value["profiles"]) == 1


# what is kept


@having(profiles=2)
@pytest.mark.gen_test(timeout=60)
async def test_the_oldest_profile_makes_room(begin, api):
    job_id = await begin("waits")
    for number in (1, 2, 3):
        await api.post(f"/api/jobs/{job_id}/profile", {"seconds": 0.05})
        await profiled(api, job_id, number)
    listed = (await api.get(f"/api/jobs/{job_id}/profiles")).value["profiles"]
    assert [one["number"] for one in listed] == [2, 3]
    assert (await api.get(f"/api/jobs/{job_id}/profiles/1.html")).status == 404


@pytest.mark.gen_test(timeout=60)
async def test_profiles_go_with_their_job(node, api, redis_url):
    _, end = await node.queue.submit_and_wait(Submission(task="computes", args={"seconds": 0.1}, profile=True), 30)
    await node.queue.delete(end.job.id)
    assert (await api.get(f"/api/jobs/{end.job.id}/profiles")).status == 404
    client = redis.Redis(unix_socket_path=redis_url.removeprefix("unix://"))
    assert client.keys(f"*{node.settings.namespace}*kept*") == []
    client.close()


@pytest.mark.gen_test(timeout=60)
async def test_the_page_needs_no_script_and_asks_nobody(node, api):
    _, end = await node.queue.submit_and_wait(Submission(task="computes", args={"seconds": 0.3}, profile=True), 30)
    answer = await api.get(f"/api/jobs/{end.job.id}/profiles/1.html")
    text = answer.body.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "hot inspected_tasks.py" in text
    assert "<script" not in text
    asked = re.findall(r'(?:src|href)="[^"]*"|(?:src|href)=|url\(|@import', text)
    assert asked == ['href="data:,"']  # that it has no icon
    assert "prefers-color-scheme: dark" in text


@pytest.mark.gen_test(timeout=60)
async def test_speedscope_reads_the_json(node, api):
    _, end = await node.queue.submit_and_wait(Submission(task="computes", args={"seconds": 0.2}, profile=True), 30)
    value = json.loads((await api.get(f"/api/jobs/{end.job.id}/profiles/1.json")).body)
    (profile,) = value["profiles"]
    assert value["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert profile["type"] == "sampled"
    assert len(profile["samples"]) == len(profile["weights"])
    assert max(max(sample) for sample in profile["samples"]) < len(value["shared"]["frames"])
