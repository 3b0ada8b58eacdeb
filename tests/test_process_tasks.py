"""`@task(process=True)`: where the function runs, and what comes of what it returns or raises."""

import os
import threading

import psutil
import pytest
from pool import TASKS, begin, children, end_of, no_collector, registry, run, settings
from web import eventually, having

from server.job import JobState
from server.loader import load
from server.protocol import Submission
from windsock import task

__all__ = ["begin", "no_collector", "registry", "run", "settings"]


# where it runs


@pytest.mark.gen_test(timeout=30)
async def test_the_function_runs_in_a_process_that_imported_the_task_file_itself(run):
    detail = await run("where")
    assert detail.result["pid"] != os.getpid()
    assert detail.result["imported_in"] == detail.result["pid"]
    assert detail.result["group"] == detail.result["pid"]
    assert detail.result["job"] == detail.job.id


@pytest.mark.gen_test(timeout=30)
async def test_the_next_job_finds_the_process_that_is_there(run):
    assert (await run("where")).result["pid"] == (await run("where")).result["pid"]


@having(process_jobs=2)
@pytest.mark.gen_test(timeout=30)
async def test_a_process_is_replaced_after_its_number_of_jobs(run):
    pids = [(await run("where")).result["pid"] for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]
    await eventually(lambda: not psutil.pid_exists(pids[0]))


@pytest.mark.gen_test(timeout=30)
async def test_there_is_no_process_until_there_is_a_job(node, run):
    before = children()
    await run("where")
    assert (before, len(children())) == ([], 1)


@having(process_idle_s=0.1)
@pytest.mark.gen_test(timeout=30)
async def test_a_process_without_work_ends_and_the_next_job_gets_another(run):
    pid = (await run("where")).result["pid"]
    await eventually(lambda: not psutil.pid_exists(pid))
    assert (await run("where")).result["pid"] != pid


@having(processes=0)
@pytest.mark.gen_test(timeout=30)
async def test_a_worker_without_processes_leaves_such_jobs_to_others(node, nodes, settings):
    job = await node.queue.submit(Submission(task="where"))
    assert "process" not in node.worker.describe()["lanes"]
    await nodes.start(settings.model_copy(update={"processes": 1, "name": "other"}), serves=False)
    assert (await end_of(node, job)).job.node == "other"


@having(processes=3)
@pytest.mark.gen_test(timeout=30)
async def test_the_kind_and_the_slots_are_shown(api, begin, tmp_path, node):
    job = await begin("until_told", file=str(tmp_path / "go"))
    (shown,) = [one for one in (await api.get("/api/tasks")).value["tasks"] if one["name"] == "where"]
    assert shown["kind"] == "process"
    lane = node.worker.describe()["lanes"]["process"]
    assert (lane["slots"], lane["running"], "where" in lane["tasks"]) == (3, 1, True)
    (tmp_path / "go").touch()
    await end_of(node, job)


def test_a_coroutine_cannot_run_in_a_process(registry):
    async def nap() -> None:
        """Sleeps."""

    with pytest.raises(TypeError, match=r"task nap is async, and process=True is for plain `def`"):
        registry.add_functions([task(process=True)(nap)])


@having(process_jobs=2)
@pytest.mark.gen_test(timeout=30)
async def test_resources_are_opened_in_the_process_and_closed_when_it_ends(run, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTEBOOK", str(tmp_path / "notebook"))
    first = (await run("scribble", text="one")).result
    assert (await run("scribble", text="two")).result == [first[0], "one", "two"]
    assert first[0] != str(os.getpid())
    await eventually((tmp_path / "notebook").exists)
    assert (tmp_path / "notebook").read_text() == f"closed by {first[0]}"


@pytest.mark.gen_test(timeout=30)
async def test_a_task_that_the_process_cannot_load_is_unknown(node, nodes, settings, tmp_path):
    other = await nodes.start(settings.model_copy(update={"tasks": (), "namespace": f"{settings.namespace}-b"}))
    _, end = await other.queue.submit_and_wait(Submission(task="where"), 20)
    assert end.error["code"] == "unknown_task"
    assert "does not know the task 'where': nothing that --tasks names has it" in end.error["message"]


def dying_task_file(folder, code):
    """A task file that ends a process of the pool that imports it."""
    file = folder / "dies_at_import.py"
    lines = (
        "import multiprocessing, os",
        "from windsock import task",
        "if multiprocessing.parent_process() is not None:",
        f"    os._exit({code})",
        "@task(process=True)",
        "def never() -> None: pass",
    )
    file.write_text("\n".join(lines))
    return str(file)


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("code", [0, 5])
async def test_a_process_that_cannot_start_fails_the_job_after_three_tries(nodes, settings, registry, tmp_path, code):
    file = dying_task_file(tmp_path, code)
    for one in load([file]).registry:
        registry.add(one)
    node = await nodes.start(settings.model_copy(update={"tasks": (file,)}))
    _, end = await node.queue.submit_and_wait(Submission(task="never"), 20)
    assert end.error["code"] == "process_died"
    assert end.error["message"] == f"the process died: exit code {code}, before the job had begun, 3 times"


@pytest.mark.gen_test(timeout=50)
async def test_processes_that_have_ended_leave_no_descriptors_and_threads(run, no_collector):
    before, pid = 0, (await run("where")).result["pid"]
    for _ in range(3):
        before = before or psutil.Process().num_fds()
        psutil.Process(pid).kill()
        pid = (await run("where")).result["pid"]
    await eventually(lambda: psutil.Process().num_fds() <= before)
    await eventually(lambda: not [one for one in threading.enumerate() if one.name == "windsock-process-end"])


# how it ends


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("object", "bad_result", "the result (object) is not a JSON value"),
        ("iterator", "bad_result", "an iterator has no value of its own"),
        ("large", "result_too_large", "the limit is 1048576"),
    ],
)
async def test_a_result_that_cannot_be_is_refused_as_elsewhere(run, kind, code, message):
    detail = await run("give", kind=kind)
    assert (detail.job.state, detail.error["code"]) == (JobState.FAILED, code)
    assert message in detail.error["message"]


@pytest.mark.gen_test(timeout=30)
async def test_a_result_is_translated_as_elsewhere(run):
    assert (await run("give", kind="set")).result == [1]
    assert (await run("give", kind="none")).job.state is JobState.SUCCEEDED


@pytest.mark.gen_test(timeout=30)
async def test_an_exception_has_a_traceback_that_begins_in_the_task_file(run):
    error = (await run("fail")).error
    assert (error["code"], error["message"]) == ("exception", "Broken: it broke")
    head, first, *_ = error["traceback"].splitlines()
    assert head.startswith("Traceback")
    assert f'"{TASKS}"' in first
    assert "in fail" in first
    assert "child.py" not in error["traceback"]


@pytest.mark.gen_test(timeout=30)
async def test_sys_exit_fails_the_job_and_the_process_goes_on(run):
    pid = (await run("where")).result["pid"]
    assert (await run("fail", kind="exit")).error["message"] == "SystemExit: 4"
    assert (await run("where")).result["pid"] == pid


@pytest.mark.gen_test(timeout=30)
async def test_a_memory_error_is_an_exception(run):
    assert (await run("hungry")).error["message"].startswith("MemoryError")
