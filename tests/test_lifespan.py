"""What jobs share: opened once, handed out, closed in the reverse order; and what is wrong with it is told."""

import asyncio
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from processes import Processes, processes
from taskfiles import Write, here, told, write

from server.errors import Invalid, StartupError
from server.lifespan import PlainResources, Resources, wanted_here
from server.loader import load
from server.progress import Progress
from server.registry import Registry, make_task
from windsock import resource, task

__all__ = ["here", "processes", "write"]
said: list[str] = []  # what the resources below did


@pytest.fixture(autouse=True)
def _fresh() -> None:
    said.clear()


@resource
async def lamp() -> AsyncIterator[str]:
    said.append("lamp on")
    yield "light"
    said.append("lamp off")


@resource
def desk(light: Annotated[str, lamp]) -> Iterator[str]:
    said.append(f"desk in {light}")
    yield "desk"
    said.append("desk away")


@task
async def write_letter(text: str, at: Annotated[str, desk], progress: Progress) -> str:
    return f"{text} at the {at}"


@task
def read_letter(by: Annotated[str, lamp]) -> str:
    return f"by {by}"


def registry_of(*functions: object) -> Registry:
    registry = Registry()
    registry.add_functions(functions)
    return registry


def resources_of(*functions: object, open_s: float = 5.0, close_s: float = 5.0) -> Resources:
    return Resources(registry_of(*functions), open_s, close_s)


async def used(resources: Resources) -> dict[str, Callable[..., Any]]:
    """Open, and close again; the functions of the tasks as they were meanwhile."""
    await resources.open()
    bound = {one.name: one.function for one in resources.bound()}
    await resources.close()
    return bound


# What a task file may say


def test_a_parameter_that_takes_a_resource_is_no_argument() -> None:
    made = make_task(write_letter)
    assert list(made.describe()["arguments"]["properties"]) == ["text"]
    with pytest.raises(Invalid, match="at"):
        made.check({"text": "x", "at": "mine"})


def test_a_marked_function_stays_what_it_is() -> None:
    opened = desk("sun")
    assert next(opened) == "desk"
    assert said == ["desk in sun"]


def test_only_a_generator_can_be_a_resource() -> None:
    with pytest.raises(TypeError, match="@resource nothing: it has to yield"):

        @resource
        def nothing() -> None: ...


BROKEN = {
    "a circle": (
        '@resource\ndef a(b: "Annotated[int, b]"):\n    yield\n\n@resource\ndef b(a: Annotated[int, a]):\n    yield\n',
        "resource a needs itself: a → b → a",
    ),
    "an unknown parameter": (
        "@resource\ndef a(port: int):\n    yield 1\n",
        "resource a: parameter 'port' is not annotated with a resource",
    ),
    "a mark that lacks": (
        "def a():\n    yield 1\n\n@task\ndef t(x: Annotated[int, a]): ...\n",
        "task t: parameter 'x' asks for a, which lacks @resource",
    ),
    "an async one for a process": (
        "@resource\nasync def a():\n    yield 1\n\n@task(process=True)\ndef t(x: Annotated[int, a]): ...\n",
        "task t runs in a process, where the async resource a",
    ),
    "a parameter without a name": (
        "@resource\ndef a():\n    yield 1\n\n@task\ndef t(x: Annotated[int, a], /): ...\n",
        "task t: parameter 'x' takes a resource and has to have a name",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_opened_is_told_with_its_line(write: Write, what: str) -> None:
    text, message = BROKEN[what]
    write("jobs.py", f"from typing import Annotated\nfrom windsock import resource, task\n\n{text}")
    problems = told(load(["jobs.py"]))
    assert re.match(r"jobs\.py:\d+: ", problems[0])
    assert message in problems[0]


def test_a_resource_of_a_file_that_is_imported_under_two_names_is_opened_once(write: Write, here: Path) -> None:
    write("jobs.py", "from windsock import resource\n\n@resource\ndef a():\n    yield 1\n")
    write("pack/__init__.py", "")
    write("pack/more.py", "import importlib.util, sys\nfrom windsock import resource, task\nfrom jobs import a\n")
    loaded = load(["jobs.py", "jobs", "pack/more.py"])
    assert told(loaded) == []
    assert len(loaded.registry.resources) == 1


# Opening and closing


def test_each_is_opened_once_after_what_it_needs_and_closed_in_the_reverse_order() -> None:
    bound = asyncio.run(used(resources_of(write_letter, read_letter)))
    assert said == ["lamp on", "desk in light", "desk away", "lamp off"]
    assert bound["read_letter"]() == "by light"
    assert asyncio.run(bound["write_letter"](text="hi", progress=None)) == "hi at the desk"


def test_one_that_no_task_takes_is_opened_too() -> None:
    asyncio.run(used(resources_of(lamp)))
    assert said == ["lamp on", "lamp off"]


def test_what_only_processes_take_is_not_opened_in_the_worker() -> None:
    @resource
    def model() -> Iterator[int]:
        yield 1

    @task(process=True)
    def infer(weights: Annotated[int, model]) -> int:
        return weights

    registry = registry_of(model, infer, lamp)
    assert [one.function for one in wanted_here(registry)] == [lamp]
    plain = PlainResources(registry)
    plain.open()
    assert plain.bound(registry.get("infer")).function() == 1
    plain.close()


def test_a_plain_one_is_opened_and_closed_in_one_thread_which_is_not_that_of_the_loop() -> None:
    threads: list[str] = []

    @resource
    def connection() -> Iterator[None]:
        threads.append(threading.current_thread().name)
        yield
        threads.append(threading.current_thread().name)

    asyncio.run(used(resources_of(connection)))
    assert threads == ["windsock-connection"] * 2


def test_an_async_one_is_opened_and_closed_in_one_task() -> None:
    tasks: list[object] = []

    @resource
    async def scope() -> AsyncIterator[None]:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(60):  # which refuses to be left in another task
            yield
        tasks.append(asyncio.current_task())

    asyncio.run(used(resources_of(scope)))
    assert tasks[0] is tasks[1]


@resource
async def fails(light: Annotated[str, lamp]) -> AsyncIterator[None]:
    raise ConnectionRefusedError("nobody\nlistens")
    yield


@resource
def stops() -> Iterator[None]:
    return
    yield


@resource
async def hangs() -> AsyncIterator[None]:
    await asyncio.sleep(60)
    yield


@resource
def blocks() -> Iterator[None]:
    threading.Event().wait(60)
    yield


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (fails, "ConnectionRefusedError: nobody listens"),
        (stops, "it ends without a yield"),
        (hangs, "not within 0.1 s"),
        (blocks, "not within 0.1 s"),
    ],
)
def test_one_that_does_not_open_is_named_and_those_before_it_are_closed(broken: Any, why: str) -> None:
    async def run() -> None:
        resources = resources_of(lamp, broken, open_s=0.1)
        with pytest.raises(StartupError) as raised:
            await resources.open()
        assert re.fullmatch(rf"resource {broken.__name__} \(.*\.py:\d+\) could not be opened: {why}", str(raised.value))
        assert said == ["lamp on", "lamp off"]
        await resources.close()

    asyncio.run(run())


def test_an_opening_that_is_called_off_closes_what_was_open() -> None:
    async def run() -> None:
        begun = asyncio.Event()

        @resource
        async def waits() -> AsyncIterator[None]:
            begun.set()
            await asyncio.sleep(60)
            yield

        resources = resources_of(lamp, waits)
        opening = asyncio.create_task(resources.open())
        await begun.wait()
        opening.cancel()
        await resources.close()
        assert said == ["lamp on", "lamp off"]
        await asyncio.wait([opening])
        assert opening.cancelled()

    asyncio.run(run())


@resource
async def closes_badly(light: Annotated[str, lamp]) -> AsyncIterator[None]:
    yield
    raise ValueError("no")


@resource
def closes_never(light: Annotated[str, lamp]) -> Iterator[None]:
    yield
    threading.Event().wait(60)


@resource
def goes_on(light: Annotated[str, lamp]) -> Iterator[None]:
    yield
    said.append("again")
    yield


@pytest.mark.expects_log("was not closed well|was not closed within 0.1 s|yields more than once")
@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (closes_badly, "was not closed well"),
        (closes_never, "was not closed within 0.1 s"),
        (goes_on, "yields more than once"),
    ],
)
def test_one_that_does_not_close_is_logged_and_the_others_are_closed(
    broken: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(used(resources_of(broken, close_s=0.1)))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"resource {broken.__name__} (")
    assert line.endswith(why)
    assert said[-1] == "lamp off"


@pytest.mark.expects_log("was not closed well")
def test_in_a_process_they_are_opened_and_closed_in_order_too(caplog: pytest.LogCaptureFixture) -> None:
    @resource
    def first() -> Iterator[int]:
        said.append("first")
        yield 1
        said.append("first closed")

    @resource
    def second(one: Annotated[int, first]) -> Iterator[int]:
        yield one + 1
        raise ValueError("no")

    @task(process=True)
    def add(two: Annotated[int, second]) -> int:
        return two + 1

    registry = registry_of(add)
    plain = PlainResources(registry)
    plain.open()
    assert plain.bound(registry.get("add")).function() == 3
    plain.close()
    assert said == ["first", "first closed"]
    assert "was not closed well" in caplog.text


def test_in_a_process_one_that_does_not_open_is_named_and_those_before_it_are_closed() -> None:
    @resource
    def first() -> Iterator[int]:
        yield 1
        said.append("first closed")

    @resource
    def second(one: Annotated[int, first]) -> Iterator[int]:
        yield 1 // 0

    @task(process=True)
    def add(two: Annotated[int, second]) -> int:
        return two + 1

    with pytest.raises(StartupError, match=r"resource second \(.*could not be opened: ZeroDivisionError"):
        PlainResources(registry_of(add)).open()
    assert said == ["first closed"]


# In real processes

TASKS = '''
import asyncio, os
from typing import Annotated
from windsock import Progress, resource, task

def tell(word):
    with open("told", "a") as out:
        out.write(f"{os.getpid()} {word}\\n")

@resource
async def outer():
    await asyncio.sleep(0)
    tell("outer opened")
    yield {"jobs": 0}
    tell("outer closed")

@resource
def inner(counts: Annotated[dict, outer]):
    tell("inner opened")
    yield counts
    tell("inner closed")

@task
async def in_loop(counts: Annotated[dict, inner], progress: Progress, pause_s: float = 0) -> int:
    """Counts the jobs of its process."""
    progress.log("begun")
    await asyncio.sleep(pause_s)
    tell("job")
    counts["jobs"] += 1
    return counts["jobs"]

@task
def in_thread(counts: Annotated[dict, outer]) -> int:
    """The same in a thread."""
    tell("job")
    counts["jobs"] += 1
    return counts["jobs"]
'''

POOL = '''
import os
from typing import Annotated
from windsock import resource, task

def tell(word):
    with open("told", "a") as out:
        out.write(f"{os.getpid()} {word}\\n")

@resource
def model():
    tell("opened")
    yield []
    tell("closed")

@task(process=True)
def in_process(jobs: Annotated[list, model]) -> int:
    """Counts the jobs of its process."""
    tell("job")
    jobs.append(1)
    return len(jobs)
'''


@pytest.fixture
def work(processes: Processes) -> Processes:
    """Processes with the tasks above."""
    processes.tasks.write_text(TASKS)
    return processes


def words(work: Processes) -> list[tuple[int, str]]:
    """Who did what."""
    file = work.folder / "told"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(pid), word) for pid, word in (line.split(" ", 1) for line in lines)]


def test_jobs_of_a_process_share_what_is_opened_once_and_closed_after_the_drain(work: Processes) -> None:
    server = work.serve()
    assert [server.end(server.submit(name))["result"] for name in ("in_loop", "in_thread", "in_loop")] == [1, 2, 3]
    long = server.submit("in_loop", {"pause_s": 1})
    server.running(long)
    server.send(signal.SIGTERM)
    assert server.wait() == 0
    assert [word for _, word in words(work)] == [
        *("outer opened", "inner opened"),
        *["job"] * 4,
        *("inner closed", "outer closed"),
    ]


def test_each_worker_process_opens_its_own_and_their_server_opens_none(work: Processes) -> None:
    server = work.serve("--workers", "2")
    server.send(signal.SIGTERM)
    assert server.wait() == 0
    by_process: dict[int, list[str]] = {}
    for pid, word in words(work):
        by_process.setdefault(pid, []).append(word)
    assert server.pid not in by_process
    assert list(by_process.values()) == [["outer opened", "inner opened", "inner closed", "outer closed"]] * 2


def test_each_process_of_the_pool_opens_its_own_which_its_worker_does_not(work: Processes) -> None:
    work.tasks.write_text(POOL)
    server = work.serve(processes=1)
    assert [server.end(server.submit("in_process"))["result"] for _ in range(2)] == [1, 2]
    server.send(signal.SIGTERM)
    assert server.wait() == 0
    (pid,) = {pid for pid, _ in words(work)}
    assert pid != server.pid
    assert [word for _, word in words(work)] == ["opened", "job", "job", "closed"]


def test_a_server_that_runs_no_jobs_opens_nothing(work: Processes) -> None:
    server = work.serve("--no-worker")
    server.send(signal.SIGTERM)
    assert server.wait() == 0
    assert words(work) == []


def test_no_job_is_taken_before_all_is_open(work: Processes) -> None:
    server = work.serve("--no-worker")
    job_id = server.submit("in_loop")
    slow = work.folder / "slow.py"
    slow.write_text(TASKS.replace("sleep(0)", "sleep(1)"))  # beats come and say that there is work
    work.work(tasks=slow, data_dir=work.data_dir)
    assert server.end(job_id)["attempt"] == 1
    assert [word for _, word in words(work)][:3] == ["outer opened", "inner opened", "job"]


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_one_that_does_not_open_ends_the_start_with_one_line(work: Processes, command: str) -> None:
    server = work.serve("--no-worker")
    text = TASKS.replace('tell("inner opened")', "int('many')")
    work.tasks.write_text(text)
    home = work.data_dir if command == "worker" else work.folder / "other"
    refused = work.start(command, tasks=work.tasks, port=0, data_dir=home)
    assert refused.wait() == 1, refused.output
    line = text[: text.index("@resource\ndef inner")].count("\n") + 1
    where = rf"windsock: resource inner \(.*work\.py:{line}\)"
    assert re.fullmatch(rf"{where} could not be opened: ValueError: invalid literal .*'many'", refused.output)
    assert [word for _, word in words(work)] == ["outer opened", "outer closed"]
    assert server.get("/readyz").status == 200
