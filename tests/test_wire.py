"""The wire as recorded in tests/wire/*.json, which tests/static/wire.test.js reads too.

Here: what the server sends is what was recorded, and the terminal makes of it what the recording says. There: so does
the page. Times, ids and versions are made the same in every run. `WINDSOCK_RECORD=1` records anew: look at the
difference, and give new cases their outcome. `made.json` holds what cannot be had at will from a server.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.codec import JSON, MSGPACK
from server.cursor import Cursor
from windsock.watched import Watched

WIRE = Path(__file__).parent / "wire"
RECORDING = os.environ.get("WINDSOCK_RECORD") == "1"
EPOCH = 1_790_000_000_000


def read(name):
    """The cases of a file."""
    return json.loads((WIRE / f"{name}.json").read_text())


def record(name, cases):
    """Write the cases of a file, a frame a line."""
    lines = []
    for case in cases:
        frames = ",\n    ".join(json.dumps(frame) for frame in case["frames"])
        rest = {key: value for key, value in case.items() if key != "frames"}
        lines.append(f' {json.dumps(rest)[:-1]}, "frames": [\n    {frames}]}}')
    (WIRE / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


@pytest.fixture
def settings(settings):
    """A short log, so that something is trimmed."""
    return settings.model_copy(update={"log_keep": 10})


class Same:
    """Makes frames the same in every run."""

    def __init__(self, frames: list[dict[str, Any]]) -> None:
        self._ids = {job_id: f"job-{at}" for at, job_id in enumerate(sorted(set(_found(frames, "id"))), 1)}
        versions: dict[str, set[int]] = {}
        for job_id, version in _versions(frames, next(iter(self._ids), "")):
            versions.setdefault(job_id, set()).add(version)
        self._ranks = {job_id: sorted(found) for job_id, found in versions.items()}
        self._job = next(iter(self._ids), "")  # whose cursor is read

    def make(self, value: Any, name: str = "") -> Any:
        """A value without what changes from run to run."""
        if isinstance(value, dict):
            self._job = value.get("id", self._job)
            return {key: self.make(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.make(item, name) for item in value]
        if name == "traceback":
            return "Traceback"
        if name == "created_at":
            return EPOCH
        if name == "at" or name.endswith("_at"):
            return value and EPOCH + 1000
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        cursor = Cursor.parse(text)
        if cursor is not None:
            rank = self._ranks[self._job].index(cursor.version) + 1
            return str(Cursor("store", cursor.attempt, rank, cursor.offset))
        return self._ids.get(text, text)


def _found(value: Any, name: str) -> list[str]:
    """Every text under this name."""
    if isinstance(value, list):
        return [text for item in value for text in _found(item, name)]
    if isinstance(value, dict):
        here = [value[name]] if isinstance(value.get(name), str) else []
        return here + [text for item in value.values() for text in _found(item, name)]
    return []


def _versions(value: Any, job_id: str) -> Iterator[tuple[str, int]]:
    """Every version, with the id of the job it is of."""
    if isinstance(value, list):
        for item in value:
            yield from _versions(item, job_id)
    elif isinstance(value, dict):
        job_id = value.get("id", job_id)
        cursor = Cursor.parse(value.get("cursor"))
        if cursor is not None:
            yield job_id, cursor.version
        for item in value.values():
            yield from _versions(item, job_id)


# the scripts: each leads to the frames of subscription 1


async def ended(api, stream, task, args, **wish):
    """A job that has ended is watched."""
    job = await api.submit(task, wait_s=5, args=args)
    if "after" in wish:
        epoch, version, _ = job["cursor"].split(".")
        wish["after"] = wish["after"].format(epoch=epoch, version=version)
    client = await stream(hello=[{"sub": 1, "job": job["id"], **wish}])
    await client.until("end", sub=1)
    return client.of(1)


async def cancelled(api, stream):
    """A job is watched while it waits, and cancelled."""
    job = await api.submit("add", args={"a": 1}, delay_s=60, tags=["red"], priority=-1)
    client = await stream(hello=[{"sub": 1, "job": job["id"], "log": "all"}])
    await client.until("live", sub=1)
    await api.post(f"/api/jobs/{job['id']}/cancel")
    await client.until("end", sub=1)
    return client.of(1)


async def unknown(stream):
    """A job nobody knows is watched."""
    client = await stream(hello=[{"sub": 1, "job": "nobody"}])
    await client.until("error", sub=1)
    return client.of(1)


WATCHES = {
    "a job that succeeded, with its log": lambda api, stream: ended(api, stream, "steps", {"count": 3}, log="all"),
    "without its log": lambda api, stream: ended(api, stream, "steps", {"count": 3}),
    "the last entry of its log": lambda api, stream: ended(api, stream, "steps", {"count": 3}, log=1),
    "resumed": lambda api, stream: ended(api, stream, "steps", {"count": 3}, log="all", after="{epoch}.{version}.1"),
    "begun anew with a cursor of another store": lambda api, stream: ended(
        api, stream, "steps", {"count": 3}, log="all", after="other-1.1.2"
    ),
    "with a trimmed log": lambda api, stream: ended(api, stream, "emit_all", {"values": list(range(20))}, log="all"),
    "a job that failed": lambda api, stream: ended(api, stream, "fail", {"message": "no luck"}),
    "cancelled before it began": cancelled,
    "unknown": lambda api, stream: unknown(stream),
}


async def followed(api, stream, count, limit, steps):
    """A feed of scheduled jobs is watched: `+` submits one, a number cancels that one."""
    ids = []

    async def submit():
        ids.append((await api.submit("add", args={"a": 1}, delay_s=60))["id"])

    for _ in range(count):
        await submit()
    client = await stream(hello=[{"sub": 1, "feed": {"state": "scheduled"}, "limit": limit, "rate": 20}])
    await client.until("live", sub=1)
    for step in steps:
        await (submit() if step == "+" else api.post(f"/api/jobs/{ids[step - 1]}/cancel"))
        await client.until("update", sub=1)
    return client.of(1)


FEEDS = {
    "empty, then one comes": lambda api, stream: followed(api, stream, 0, 10, ["+"]),
    "one of two leaves": lambda api, stream: followed(api, stream, 2, 10, [1]),
    "a full window pushes the oldest out": lambda api, stream: followed(api, stream, 2, 2, ["+"]),
}


async def compare(name, scripts, expected, api, stream):
    """Run a script; its frames are those recorded."""
    case = next((case for case in expected if case["name"] == name), {"name": name, "outcome": None})
    frames = await scripts[name](api, stream)
    frames = Same(frames).make(frames)
    if RECORDING:
        return {**case, "frames": frames}
    assert frames == case["frames"], name
    return case


async def compare_all(file, scripts, api, stream):
    """Each script in turn."""
    expected = read(file) if (WIRE / f"{file}.json").exists() else []
    cases = [await compare(name, scripts, expected, api, stream) for name in scripts]
    if RECORDING:
        record(file, cases)
    assert [case["name"] for case in read(file)] == list(scripts)


@pytest.mark.gen_test
async def test_the_frames_of_a_watch_are_those_recorded(api, stream):
    await compare_all("watch", WATCHES, api, stream)


async def remove_all(api):
    """Leave nothing to the next script."""
    while jobs := (await api.get("/api/jobs?limit=500")).value["jobs"]:
        for job in jobs:
            if job["finished_at"] is None:
                await api.post(f"/api/jobs/{job['id']}/cancel")
            await api.ask("DELETE", f"/api/jobs/{job['id']}")


@pytest.mark.gen_test
async def test_the_frames_of_a_feed_are_those_recorded(api, stream):
    def after_cleaning(script):
        async def run(api, stream):
            await remove_all(api)
            return await script(api, stream)

        return run

    await compare_all("feed", {name: after_cleaning(script) for name, script in FEEDS.items()}, api, stream)


def rows_of(frame):
    """What a frame adds to a log: [offset, text] or [from, to, why]."""
    if frame is not None and frame["type"] == "gap":
        return [[frame["from"], frame["to"], frame["why"]]]
    if frame is None or frame["type"] != "log":
        return []
    return [[frame["first"] + at, entry.get("text", entry.get("value"))] for at, entry in enumerate(frame["entries"])]


def test_the_terminal_makes_of_a_watch_what_was_recorded():
    for case in read("watch") + read("made"):
        watched = Watched("job-1", 1)
        rows = []
        for frame in case["frames"]:
            if frame.get("how") == "reset":
                rows = [row for row in rows if row[0] < frame["log_from"]]
            rows += rows_of(watched.apply(frame))
        outcome = {
            "state": watched.summary["state"] if watched.summary else None,
            "result": watched.summary.get("result") if watched.summary else None,
            "error": (watched.summary.get("error") or {}).get("code") if watched.summary else "not_found",
            "rows": rows,
            "cursor": watched.cursor,
        }
        assert outcome == case["outcome"], case["name"]
        assert watched.done


def test_cursors_are_read_and_written_as_recorded():
    for case in read("cursors"):
        cursor = Cursor.parse(case["text"])
        if case["cursor"] is None:
            assert cursor is None, case["text"]
        else:
            assert cursor == Cursor(**case["cursor"])
            assert str(cursor) == case["text"]


def test_every_recorded_cursor_is_one():
    for name in ("watch", "feed", "made"):
        for text in _found(read(name), "cursor"):
            assert Cursor.parse(text) is not None, text


@pytest.mark.parametrize("case", read("msgpack"), ids=lambda case: case["name"])
def test_msgpack_and_json_say_the_same(case):
    frames = JSON.decode(case["json"].encode())
    assert MSGPACK.decode(bytes.fromhex(case["hex"])) == frames
    assert MSGPACK.encode(frames).hex() == case["hex"]
