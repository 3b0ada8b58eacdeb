"""`windsock watch` that is left and taken up again, as programs against real servers on one Redis."""

import asyncio
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chaos.proxy import Proxy
from processes import ROOT, Processes, Server, ask, lasting, processes, wait_for
from web import Api, eventually, having

from cli.exits import Exit
from windsock.backoff import Backoff
from windsock.stream import Stream
from windsock.target import Target
from windsock.watch import Subscription, Watch
from windsock.watched import Frame

__all__ = ["lasting", "processes"]
COUNT = 20  # log entries of a job that ends by itself


class Watching:
    """One `windsock watch` into a pipe."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, str(ROOT / "run.py"), "watch", *words]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        self.frames: list[Frame] = []
        self.err = ""

    def read(self, entries: int) -> "Watching":
        """Read on until so many log entries have come."""
        assert self._process.stdout is not None
        while len(self.log()) < entries:
            self.frames.append(json.loads(self._process.stdout.readline()))
        return self

    def end(self, number: int | None = None) -> int:
        """Read the rest, after a signal or to its own end; its exit code."""
        if number is not None:
            self._process.send_signal(number)
        with self._process as process:  # not `communicate`: it passes over what was read ahead
            assert process.stdout is not None
            assert process.stderr is not None
            self.frames += [json.loads(line) for line in process.stdout]
            self.err = process.stderr.read()
        return process.returncode

    def log(self, sub: int = 1) -> list[str]:
        """The texts of all entries that came."""
        frames = [frame for frame in self.frames if frame["type"] == "log" and frame["sub"] == sub]
        return [entry["text"] for frame in frames for entry in frame["entries"]]

    @property
    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


@dataclass(frozen=True)
class Pair:
    """Two servers on one Redis; the first runs the jobs."""

    here: Server
    there: Server


@pytest.fixture(scope="module")
def pair(lasting: Processes) -> Pair:
    redis = lasting.redis()
    here = lasting.serving(redis=redis, name="here")
    there = lasting.serving("--no-worker", redis=redis, name="there")
    return Pair(here.ready(), there.ready())


def whole(count: int = COUNT) -> list[str]:
    return [f"number {number}" for number in range(1, count + 1)]


def lasting_job(server: Server) -> str:
    """A job that logs fifty lines a second until it is cancelled."""
    return server.submit("count", {"to": 1_000_000})


def cancel(server: Server, *job_ids: str) -> None:
    for job_id in job_ids:
        assert ask(server.url, "POST", f"/api/jobs/{job_id}/cancel").status == 202


def elsewhere(told: str, url: str) -> list[str]:
    """The words of the command that a watch told when it was left, for another server."""
    words = shlex.split(told.strip().partition("To go on watching: windsock watch ")[2])
    words[words.index("--url") + 1] = url
    return words


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_told_on_leaving_goes_on_at_another_node_without_double_or_hole(pair: Pair, number: int) -> None:
    job_id = lasting_job(pair.here)
    first = Watching(job_id, "--url", pair.here.url).read(entries=10)
    assert first.end(number) == Exit.DETACHED
    assert "--after" in first.err
    second = Watching(*elsewhere(first.err, pair.there.url)).read(entries=10)
    cancel(pair.here, job_id)
    assert second.end() == Exit.CANCELLED
    assert second.frames[0]["how"] == "resumed"
    assert first.log() + second.log() == pair.here.log(job_id)
    assert second.err == ""


def test_any_cursor_of_the_output_goes_on_right_behind_its_frame(pair: Pair) -> None:
    job_id = pair.here.submit("count", {"to": COUNT})
    whole_watch = Watching(job_id, "--url", pair.here.url)
    whole_watch.end()
    logs = [frame for frame in whole_watch.frames if frame["type"] == "log"]
    for index in (0, len(logs) // 2):
        rest = Watching(job_id, "--after", logs[index]["cursor"], "--log", "2", "--url", pair.there.url)
        assert rest.end() == Exit.SUCCEEDED
        told = logs[index]["first"] + len(logs[index]["entries"]) - 1
        assert rest.log() == whole()[told:]  # --log 2 is for those who come without a cursor


def test_a_cursor_file_takes_several_jobs_from_one_node_to_another(pair: Pair, tmp_path: Path) -> None:
    jobs = [lasting_job(pair.here) for _ in range(2)]
    path = str(tmp_path / "cursors")
    first = Watching(*jobs, "--cursor-file", path, "--url", pair.here.url).read(entries=10)
    assert first.end(signal.SIGINT) == Exit.DETACHED
    second = Watching(*jobs, "--cursor-file", path, "--url", pair.there.url).read(entries=10)
    cancel(pair.there, *jobs)
    assert second.end() == Exit.CANCELLED
    assert [first.log(sub) + second.log(sub) for sub in (1, 2)] == [pair.here.log(job_id) for job_id in jobs]
    third = Watching(*jobs, "--cursor-file", path, "--url", pair.here.url)
    assert third.end() == Exit.CANCELLED
    assert sorted(third.types) == ["end", "end", "live", "live", "snapshot", "snapshot"]


def test_a_watch_that_was_killed_goes_on_without_a_hole(pair: Pair, tmp_path: Path) -> None:
    job_id = lasting_job(pair.here)
    path = str(tmp_path / "cursor")
    first = Watching(job_id, "--cursor-file", path, "--url", pair.here.url)
    wait_for(lambda: (tmp_path / "cursor").exists() and (tmp_path / "cursor").read_text(), "a cursor in the file")
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = Watching(job_id, "--cursor-file", path, "--url", pair.there.url).read(entries=10)
    cancel(pair.here, job_id)
    assert second.end() == Exit.CANCELLED
    log = pair.here.log(job_id)
    assert 10 <= len(second.log()) < len(log)
    assert first.log()[: len(log) - len(second.log())] + second.log() == log


def test_without_the_log_the_cursor_keeps_its_place_in_it(pair: Pair) -> None:
    job_id = lasting_job(pair.here)
    first = Watching(job_id, "--url", pair.here.url).read(entries=10)
    first.end(signal.SIGINT)
    cancel(pair.here, job_id)
    without = Watching(*elsewhere(first.err, pair.there.url), "--log", "none")
    assert without.end() == Exit.CANCELLED
    assert without.log() == []
    last = Watching(job_id, "--after", without.frames[-1]["cursor"], "--url", pair.here.url)
    assert last.end() == Exit.CANCELLED
    assert first.log() + last.log() == pair.here.log(job_id)


@pytest.mark.parametrize("cursor", ["garbage", "other-1.1790000000000.7"])
def test_a_cursor_the_server_cannot_use_is_told_in_one_line_and_the_log_comes_from_its_beginning(
    pair: Pair, cursor: str
) -> None:
    job_id = pair.here.submit("count", {"to": 5})
    watching = Watching(job_id, "--after", cursor, "--url", pair.here.url)
    assert watching.end() == Exit.SUCCEEDED
    assert watching.err.count("\n") == 1
    assert "the cursor is not of this job as the server has it: the log begins anew" in watching.err
    assert watching.log() == whole(5)


def test_the_end_of_a_job_is_told_again_to_who_has_it_and_so_is_the_exit_code(pair: Pair) -> None:
    job_id = pair.here.submit("count", {"to": 5})
    end = pair.here.end(job_id)
    watching = Watching(job_id, "--after", end["cursor"], "--url", pair.there.url)
    assert watching.end() == Exit.SUCCEEDED
    assert watching.types == ["snapshot", "live", "end"]


def test_a_job_that_is_gone_is_refused_whatever_the_cursor(pair: Pair) -> None:
    watching = Watching("01NOSUCH", "--after", "k-1.1.1", "--url", pair.here.url)
    assert watching.end() == Exit.REFUSED
    assert "01NOSUCH: no such job" in watching.err


class Losses:
    """A screen that remembers when and why connections were lost, and mends the network when one is."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.losses: list[tuple[float, str]] = []
        self.entries: list[Any] = []

    def show(self, one: Subscription | None, frame: Frame) -> None:
        self.entries += frame.get("entries", ())

    def lost(self, why: str, delay_s: float) -> None:
        self.losses.append((time.monotonic(), why))
        self._proxy.clear()

    def back(self) -> None:
        """Not asked for."""

    async def room(self) -> None:
        """Always."""


def follow(port: int, job_ids: Sequence[str], screen: Losses) -> asyncio.Task[None]:
    stream = Stream(Target.of(f"http://127.0.0.1:{port}"), Watch.of(job_ids, "all"), screen, backoff=Backoff(dice=min))
    return asyncio.create_task(stream.follow())


@pytest.mark.gen_test(timeout=20)
@having(heartbeat_s=0.4)
async def test_a_server_that_vanished_without_a_word_is_given_up_after_two_heartbeats(api: Api, port: int) -> None:
    proxy = await Proxy(("127.0.0.1", port)).start()
    screen = Losses(proxy)
    job = await api.submit("steps", args={"count": 40, "pause_s": 0.05})
    following = follow(proxy.port, [job["id"]], screen)
    try:
        await eventually(lambda: screen.entries)
        proxy.down.swallows = True
        vanished = time.monotonic()
        await eventually(lambda: screen.losses)
        assert screen.losses[0][1] == "the server is silent"
        assert 0.3 < screen.losses[0][0] - vanished < 3
        await asyncio.wait_for(following, 10)
        assert [entry["text"] for entry in screen.entries] == [f"step {i}" for i in range(1, 41)]
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await proxy.stop()
