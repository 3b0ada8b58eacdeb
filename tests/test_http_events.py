"""A job's frames over plain HTTP: Server-Sent Events and NDJSON, on the same cursor as the socket."""

import asyncio
import json

import pytest
from web import eventually

from server.client import Client


def events_of(body: bytes) -> list[dict]:
    """The events in a stream: type, id (None without), data."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append({"type": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"])})
    return found


async def ended(api, task="steps", **args):
    """An ended job."""
    answer = await api.post("/api/jobs", {"task": task, "args": args}, Prefer="wait=5")
    assert answer.status == 200
    return answer.value


@pytest.mark.gen_test
async def test_a_stream_tells_a_job_from_snapshot_to_end(api):
    job = await ended(api, count=3)
    answer = await api.get(f"/api/jobs/{job['id']}/events")
    events = events_of(answer.body)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert [event["type"] for event in events] == ["snapshot", "log", "live", "end"]
    assert [entry["text"] for entry in events[1]["data"]["entries"]] == ["step 1", "step 2", "step 3"]
    assert events[-1]["data"]["job"]["result"] == 3
    assert all("sub" not in event["data"] for event in events)
    assert all(event["id"] == event["data"].get("cursor") for event in events)


@pytest.mark.gen_test
async def test_a_stream_follows_a_running_job(api, base_url, http_client):
    job = await api.submit("forever")
    came = []
    running = http_client.fetch(
        f"{base_url}/api/jobs/{job['id']}/events", streaming_callback=came.append, request_timeout=10
    )
    await eventually(lambda: b"event: live" in b"".join(came))
    await api.post(f"/api/jobs/{job['id']}/cancel")
    await running
    assert events_of(b"".join(came))[-1]["data"]["job"]["state"] == "cancelled"


@pytest.mark.gen_test
async def test_last_event_id_goes_on_where_the_reader_was_and_wins_over_after(api):
    job = await ended(api, count=5)
    events = events_of((await api.get(f"/api/jobs/{job['id']}/events?log=2")).body)
    middle = events[0]["id"]
    again = events_of((await api.get(f"/api/jobs/{job['id']}/events?after=garbage", Last_Event_ID=middle)).body)
    assert again[0]["data"]["how"] == "resumed"
    assert [event["data"]["first"] for event in again if event["type"] == "log"] == [4]


@pytest.mark.gen_test
async def test_a_reader_that_has_the_end_is_told_to_stop(api):
    job = await ended(api, count=1)
    end = events_of((await api.get(f"/api/jobs/{job['id']}/events")).body)[-1]["id"]
    assert (await api.get(f"/api/jobs/{job['id']}/events", Last_Event_ID=end)).status == 204
    assert (await api.get(f"/api/jobs/{job['id']}/events?after={end}")).status == 204


@pytest.mark.gen_test
async def test_every_cursor_but_the_ends_still_gets_the_end(api):
    job = await ended(api, count=2)
    for event in events_of((await api.get(f"/api/jobs/{job['id']}/events")).body)[:-1]:
        if event["id"]:
            rest = events_of((await api.get(f"/api/jobs/{job['id']}/events", Last_Event_ID=event["id"])).body)
            assert rest[-1]["type"] == "end"


@pytest.mark.gen_test
async def test_ndjson_is_one_frame_a_line(api):
    job = await ended(api, count=2)
    answer = await api.get(f"/api/jobs/{job['id']}/events", Accept="application/x-ndjson")
    frames = [json.loads(line) for line in answer.body.splitlines()]
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [frame["type"] for frame in frames] == ["snapshot", "log", "live", "end"]


@pytest.mark.gen_test
async def test_without_the_log_there_is_none(api):
    job = await ended(api, count=2)
    events = events_of((await api.get(f"/api/jobs/{job['id']}/events?log=none")).body)
    assert [event["type"] for event in events] == ["snapshot", "live", "end"]


@pytest.mark.gen_test
async def test_an_unknown_job_is_a_404_and_a_bad_wish_a_422(api):
    assert (await api.get("/api/jobs/01NOSUCH/events")).status == 404
    job = await ended(api, count=1)
    assert (await api.get(f"/api/jobs/{job['id']}/events?log=some")).status == 422


@pytest.mark.gen_test
async def test_a_reader_that_hangs_up_leaves_nothing_behind(api, node, http_port):
    job = await api.submit("forever")
    reader, writer = await asyncio.open_connection("localhost", http_port)
    writer.write(f"GET /api/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"event: live")
    assert node.hub._topics
    writer.close()
    await eventually(lambda: not node.hub._topics)


@pytest.mark.gen_test
async def test_nothing_follows_the_end_however_much_there_is_to_say(api, http_port, monkeypatch):
    whole = Client.writable

    def writable(self):
        whole(self)
        self.announce({"type": "fresh", "why": "it comes in the turn of the end"})

    monkeypatch.setattr(Client, "writable", writable)
    job = await ended(api, count=1)
    for _ in range(5):
        reader, writer = await asyncio.open_connection("localhost", http_port)
        path = f"/api/jobs/{job['id']}/events"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        told = await asyncio.wait_for(reader.read(), 5)
        assert [line for line in told.splitlines() if line.startswith(b"event:")][-1] == b"event: end"
        writer.close()


@pytest.mark.gen_test
async def test_a_reader_that_is_gone_before_the_first_byte_is_no_fault(api, node, http_port):
    job = await ended(api, count=1)
    for _ in range(20):
        _, writer = await asyncio.open_connection("localhost", http_port)
        writer.write(f"GET /api/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        writer.transport.abort()
    assert (await api.get(f"/api/jobs/{job['id']}/events")).status == 200
    await eventually(lambda: not node.hub._topics)
