"""What is measured: each row takes a contestant and says its figures, by the name of the figure."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from processes import percentile
from queue_contestants import OURS, Contestant
from queue_http import http
from queue_scale import Cells, Scale
from queue_stage import FIRST, REST, Stage

PAUSE_S = 0.02
SETTLE_S = 0.5  # a job that comes again does so by then
STALLED_S = 5.0  # a worker that runs nothing for so long has nothing left
SLOTS = 100  # of the workers that drain; otherwise each has those it comes with


def submit(contestant: Contestant, folder: str, scale: Scale) -> Cells:
    """Submits by the program that wants the work done."""
    cells: Cells = {}
    ways = {"one": "one at a time", "together": "32 under way", "batch": "batches of 1,000"}
    with Stage(contestant, folder, scale.submits) as stage:
        client = stage.client(FIRST)
        stage.submit(client, "one", 50)
        for way, words in ways.items():
            told = stage.submit(client, way, scale.submits)
            cells[f"submit in process, {words}, jobs/s"] = told.get("missing") or scale.submits / told["seconds"]
    return cells


def fill(stage: Stage, task: str) -> None:
    """All jobs of the stage, submitted in the quickest way there is, without a delay."""
    client = stage.client(REST)
    for way in ("batch", "together", "one"):
        if "missing" not in stage.submit(client, way, stage.jobs, task=task):
            break
    stage.end(client)


def drain(contestant: Contestant, folder: str, scale: Scale, *, far: bool = False) -> Cells:
    """No-ops that wait, run by one worker process; counted from the first that ran."""
    with Stage(contestant, folder, scale.drains, slots=SLOTS) as stage:
        fill(stage, "noop")
        if far:
            stage.move_away()
        worker = stage.worker(FIRST)
        stage.until(lambda: stage.ran() > 0, 30, "the worker runs nothing")
        count, cpu, redis_cpu = stage.ran(), worker.cpu_s(), stage.store.cpu_s()
        took_s, cut = _watch(stage, scale.drain_s)
        done = stage.ran() - count
        cpu, redis_cpu = worker.cpu_s() - cpu, stage.store.cpu_s() - redis_cpu
        time.sleep(SETTLE_S)
        faults = {"ran more than once": stage.again(), "never ran": 0 if cut else stage.jobs - stage.ran()}
    where = ", 1 ms to Redis" if far else ""
    cells: Cells = {f"drain of no-ops{where}, jobs/s": done / took_s}
    cells[f"of these{where}, not run just once"] = ", ".join(f"{n:,} {how}" for how, n in faults.items() if n) or "none"
    if not far:
        cells["worker CPU per 1,000 no-ops, s"] = cpu / done * 1000
        cells["Redis CPU per 1,000 no-ops, s"] = redis_cpu / done * 1000
    return cells


def _watch(stage: Stage, within_s: float) -> tuple[float, bool]:
    """Until all jobs have run or none runs any more: the seconds that took, and whether it was cut short."""
    began = moved = time.monotonic()
    ran = stage.ran()
    while ran < stage.jobs and (now := time.monotonic()) < moved + STALLED_S:
        if now > began + within_s:
            return now - began, True
        time.sleep(0.02)
        if (more := stage.ran()) > ran:
            ran, moved = more, time.monotonic()
    return moved - began, False


def latency(contestant: Contestant, folder: str, scale: Scale, *, far: bool = False) -> Cells:
    """One job at a time on an idle system. Peers have the same figures in both groups: they are compared with each."""
    where = ", 1 ms to Redis" if far else ""
    cells: Cells = {}
    for by_http, words in ((True, "POST"), (False, "enqueue")):
        if by_http and not contestant.posts:
            continue
        starts, ended = _ends(contestant, folder, scale, far, by_http)
        for name, times in (("start", starts), ("end known", ended)):
            for part in (0.5, 0.99):
                cells[f"{words} → {name}{where}, p{part * 100:.0f} ms"] = percentile(times, part)
    if contestant.name != OURS:
        cells |= {name.replace("enqueue", "POST"): cell for name, cell in cells.items()}
    return cells


def _ends(
    contestant: Contestant, folder: str, scale: Scale, far: bool, by_http: bool
) -> tuple[list[float], list[float]]:
    """Milliseconds until each job started, and until its end was known."""
    with Stage(contestant, folder, scale.ends) as stage:
        if far:
            stage.move_away()
        if by_http:
            stage.server()
        client = stage.client(REST, by_http=by_http)
        stage.submit(client, "one", 0)  # it is there, and with it what a worker needs
        stage.worker(FIRST)
        stage.warm_up(client)
        asked: dict[str, Any] = {"way": "end", "task": "noop", "limit_s": scale.ends_s, "pause_s": PAUSE_S}
        client.ask(60, **asked | {"first": stage.spare(), "count": 1})
        told = client.ask(scale.ends_s + 60, **asked, first=0, count=scale.ends)
        at = stage.marks.at_ns[: len(told["asked_ns"])].tolist()
        if stage.ran() != len(at) or stage.again():
            raise RuntimeError(f"{stage.ran()} of {len(at)} jobs ran, {stage.again()} more than once")
    starts = [(start - asked_at) / 1e6 for asked_at, start in zip(told["asked_ns"], at, strict=True)]
    return starts, [(end - begin) / 1e6 for begin, end in zip(told["asked_ns"], told["ended_ns"], strict=True)]


def sleeps(contestant: Contestant, folder: str, scale: Scale) -> Cells:
    """Sleeps of a second, many at once; from the start of the first to the end of the last."""
    name = f"{scale.sleeps:,} sleeps of 1 s, {scale.sleepers:,} at once, s"
    if not contestant.coroutines:
        return {name: "one at a time"}
    with Stage(contestant, folder, scale.sleeps, slots=scale.sleepers) as stage:
        fill(stage, "pause")
        stage.worker(FIRST)
        stage.until(lambda: stage.ran() == scale.sleeps, 60, "not all have ended")
        ended = stage.marks.at_ns[: scale.sleeps].tolist()
        if stage.again():
            raise RuntimeError(f"{stage.again()} jobs ran more than once")
    return {name: (max(ended) - min(ended)) / 1e9 + 1}


def idle(contestant: Contestant, folder: str, scale: Scale) -> Cells:
    """A worker that has run something and has nothing to do; nobody else is there."""
    with Stage(contestant, folder, 1) as stage:
        client = stage.client(REST)
        stage.submit(client, "one", 0)
        worker = stage.worker(FIRST)
        stage.warm_up(client)
        stage.end(client)
        time.sleep(2)
        sent, run = stage.store.traffic(scale.idle_s)
        return {
            "idle worker, memory (PSS), MiB": worker.memory_mib(),
            "idle worker, commands/s to Redis": sent / scale.idle_s,
            "idle worker, commands/s with those in scripts": run / scale.idle_s,
        }


def kill(contestant: Contestant, folder: str, scale: Scale) -> Cells:
    """kill -9 of the worker that runs a job, with another one there; until the job runs again."""
    name = "kill -9 → runs again, s"
    with Stage(contestant, folder, 1) as stage:
        client = stage.client(REST)
        stage.submit(client, "one", 0)
        first = stage.worker(FIRST)
        stage.warm_up(client)
        stage.submit(client, "one", 1, task="hang")
        stage.until(lambda: stage.marks.runs[0] == 1, 30, "the job does not start")
        second = stage.worker(FIRST)
        _joined(stage, client, second.pids)
        first.kill()
        began = time.monotonic()
        while stage.marks.runs[0] < 2 and time.monotonic() < began + scale.kill_s:
            time.sleep(0.01)
        again = stage.marks.runs[0] > 1
        took = time.monotonic() - began
        second.kill()
    return {name: took if again else f"> {scale.kill_s:.0f}"}


def _joined(stage: Stage, client: Any, pids: Callable[[], list[int]]) -> None:
    """Until the second worker has run something."""
    until = time.monotonic() + 40
    while True:
        number = stage.spare()
        stage.submit(client, "one", 1, first=number)
        time.sleep(0.2)
        if stage.marks.pids[number] in pids():
            return
        if time.monotonic() > until:
            raise RuntimeError("the second worker runs nothing")


ROWS: dict[str, Callable[[Contestant, str, Scale], Cells]] = {
    "http": http,
    "submit": submit,
    "drain": drain,
    "drain-delay": partial(drain, far=True),
    "latency": latency,
    "latency-delay": partial(latency, far=True),
    "sleeps": sleeps,
    "idle": idle,
    "kill": kill,
}
NOT_QUICK = {"drain-delay", "latency-delay", "kill"}
AT_ONCE = {"kill"}  # waits, and measures no CPU: all contestants at the same time
