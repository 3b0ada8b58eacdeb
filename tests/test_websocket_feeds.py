"""Watching a feed over the socket: what matches, what left, what fills in, how many there are."""

import pytest
from web import eventually


class View:
    """A feed as a client holds it."""

    def __init__(self, client, sub=1):
        self.client = client
        self.sub = sub
        self._applied = 0
        self.jobs = {}
        self.counts = None

    async def until(self, condition):
        """Apply frames until the view is as wanted."""

        async def step():
            self.apply()
            if condition(self):
                return True
            await self.client.until(lambda frame: frame.get("sub") == self.sub)
            self.apply()
            return condition(self)

        return await eventually(step)

    def apply(self):
        """Take in what has come."""
        frames = self.client.of(self.sub)
        for frame in frames[self._applied :]:
            if frame["type"] == "snapshot":
                self.jobs = {}
            for job_id in frame.get("gone", []):
                assert job_id in self.jobs
                del self.jobs[job_id]
            self.jobs.update({job["id"]: job for job in frame.get("jobs", [])})
            self.counts = frame.get("counts", self.counts)
        self._applied = len(frames)

    @property
    def ids(self):
        """Newest first."""
        return sorted(self.jobs, reverse=True)


async def scheduled(api, count, **fields):
    return [(await api.submit("add", args={"a": 1}, delay_s=60, **fields))["id"] for _ in range(count)]


@pytest.mark.gen_test
async def test_a_feed_begins_with_what_there_is_and_goes_on_with_what_comes(stream, api):
    ids = await scheduled(api, 3)
    for codec in ("json", "msgpack"):
        client = await stream(codec=codec, hello=[{"sub": 1, "feed": {}}])
        await client.until("live", sub=1)
        snapshot = client.of(1)[0]
        assert (snapshot["type"], snapshot["how"]) == ("snapshot", "fresh")
        assert [job["id"] for job in snapshot["jobs"]] == ids[::-1]
        assert snapshot["counts"]["scheduled"] == len(ids)
        ids += await scheduled(api, 1)
        update = await client.until("update", sub=1)
        assert ([job["id"] for job in update["jobs"]], update["gone"]) == ([ids[-1]], [])
        assert update["counts"]["scheduled"] == len(ids)


@pytest.mark.gen_test
async def test_a_feed_follows_a_job_through_its_states(stream, api):
    client = await stream(hello=[{"sub": 1, "feed": {}, "rate": 20}])
    job = await api.submit("steps", args={"count": 5, "pause_s": 0.02})
    view = View(client)
    await view.until(lambda view: view.jobs.get(job["id"], {}).get("state") == "succeeded")
    assert view.counts["succeeded"] == 1
    assert "end" not in {frame["type"] for frame in client.of(1)}
    assert all("result" not in job for frame in client.of(1) for job in frame.get("jobs", []))


@pytest.mark.gen_test
async def test_a_job_that_no_longer_matches_is_gone(stream, api):
    keep, leave = await scheduled(api, 2, tags=["x"])
    await scheduled(api, 1)
    client = await stream(hello=[{"sub": 1, "feed": {"state": ["scheduled", "queued"], "tag": "x"}}])
    view = View(client)
    await view.until(lambda view: view.ids == [leave, keep])
    await api.post(f"/api/jobs/{leave}/cancel")
    await view.until(lambda view: view.ids == [keep])
    assert (view.counts["scheduled"], view.counts["cancelled"]) == (1, 1)


@pytest.mark.gen_test
async def test_a_full_window_pushes_out_and_fills_in(stream, api):
    ids = await scheduled(api, 5)
    client = await stream(hello=[{"sub": 1, "feed": {"state": "scheduled"}, "limit": 3}])
    view = View(client)
    await view.until(lambda view: view.ids == ids[:1:-1])
    ids += await scheduled(api, 1)
    await view.until(lambda view: view.ids == ids[:2:-1])
    for job_id in (ids[5], ids[3]):
        await api.post(f"/api/jobs/{job_id}/cancel")
    await view.until(lambda view: view.ids == [ids[4], ids[2], ids[1]])
    assert view.counts["scheduled"] == 4


@pytest.mark.gen_test
async def test_a_deleted_job_is_gone(stream, api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    client = await stream(hello=[{"sub": 1, "feed": {}}])
    view = View(client)
    await view.until(lambda view: view.ids == [job["id"]])
    await api.ask("DELETE", f"/api/jobs/{job['id']}")
    await view.until(lambda view: view.ids == [])
    assert view.counts["succeeded"] == 0


@pytest.mark.gen_test
async def test_filters_choose_or_within_and_between_fields(stream, api):
    (one,) = await scheduled(api, 1, tags=["x", "y"])
    (two,) = await scheduled(api, 1, queue="other")
    cases = [
        ({}, [two, one]),
        ({"state": "running"}, []),
        ({"state": []}, []),
        ({"tag": ["y", "z"]}, [one]),
        ({"queue": "other", "task": "add"}, [two]),
        ({"queue": "other", "tag": "x"}, []),
        ({"colour": "red"}, [two, one]),
    ]
    client = await stream(hello=[{"sub": at, "feed": feed} for at, (feed, _) in enumerate(cases, 1)])
    for at, (feed, expected) in enumerate(cases, 1):
        await eventually(lambda at=at: any(frame["type"] == "live" for frame in client.of(at)) or read(client))
        snapshot = client.of(at)[0]
        assert [job["id"] for job in snapshot["jobs"]] == expected, feed
        exact = len([name for name in ("task", "queue", "tag") if name in feed]) < 2 and not isinstance(
            feed.get("tag"), list
        )
        assert (snapshot["counts"] is not None) is exact, feed


async def read(client):
    await client.until("live")


@pytest.mark.gen_test
async def test_wrong_filters_are_refused_by_the_field(stream):
    client = await stream()
    for wish, field in [
        ({"feed": {"state": "gone"}}, "feed.state"),
        ({"feed": {"task": 7}}, "feed.task"),
        ({"feed": {"tag": ["a\nb"]}}, "feed.tag.0"),
        ({"feed": {"tag": ["x"] * 101}}, "feed.tag"),
        ({"feed": []}, "feed"),
        ({"feed": {}, "limit": 0}, "limit"),
        ({"feed": {}, "rate": 21}, "rate"),
        ({"feed": {}, "rate": 0}, "rate"),
        ({"feed": {}, "job": "x"}, "body"),
        ({}, "body"),
        ({"stats": True, "feed": {}}, "body"),
        ({"job": "x", "log": -1}, "log"),
        ({"job": "x", "log": "some"}, "log"),
        ({"job": ""}, "job"),
        ({"job": "x", "after": 7}, "after"),
    ]:
        await client.send({"type": "subscribe", "sub": 1, **wish})
        error = await client.until("error", sub=1)
        assert error["code"] == "invalid", wish
        assert error["errors"][0]["field"] == field, (wish, error)


@pytest.mark.gen_test
async def test_a_limit_over_the_largest_is_the_largest(stream, api):
    await scheduled(api, 1)
    client = await stream(hello=[{"sub": 1, "feed": {}, "limit": 2**60}])
    await client.until("live", sub=1)


@pytest.mark.gen_test
async def test_a_long_snapshot_comes_in_batches_before_live(stream, api):
    ids = await scheduled(api, 150, tags=["a" * 64, "b" * 64, "c" * 64])
    client = await stream(hello=[{"sub": 1, "feed": {}, "limit": 500}])
    await client.until("live", sub=1)
    kinds = [frame["type"] for frame in client.of(1)]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("snapshot", "live", {"update"})
    jobs = [job["id"] for frame in client.of(1) for job in frame.get("jobs", [])]
    assert jobs == ids[::-1]


@pytest.mark.gen_test
async def test_equal_feeds_share_one_window(stream, node):
    clients = [await stream(hello=[{"sub": 1, "feed": {"state": ["queued", "running"]}}]) for _ in range(5)]
    clients.append(await stream(hello=[{"sub": 1, "feed": {"state": ["running", "queued"]}}]))
    for client in clients:
        await client.until("live", sub=1)
    assert len(node.hub.feeds._held) == 1
    for client in clients:
        await client.close()
    await eventually(lambda: not node.hub.feeds._held)
