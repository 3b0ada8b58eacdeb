"""What a process counts, and how Prometheus gets to read it."""

import re
from pathlib import Path

import pytest
from job_values import job
from prometheus_client.parser import text_string_to_metric_families
from web import Api, eventually

from server.feed_subscription import FeedSubscription
from server.job_subscription import JobSubscription
from server.metrics import BOUNDS_S, MAX_PAIRS, METRICS, OTHER, Metrics, Spread, Traffic
from server.topic import Entry, Topic
from server.window import Match, Window

OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"


@pytest.fixture
def api(http_client, base_url):
    return Api(http_client, base_url)


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def samples(text):
    """Values by name and labels, in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families(text).values()
        for sample in family.samples
    }


async def scraped(api):
    return samples((await api.get("/metrics")).body)


def test_each_metric_has_a_row_in_the_docs_and_no_row_is_for_anything_else():
    rows = re.findall(
        r"^\| `(windsock_\w+)` \| (counter|gauge|histogram) \| (.*?) \| (.+) \|$", OPERATIONS.read_text(), re.MULTILINE
    )
    assert [(name, kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels, _ in rows] == [
        (metric.name, metric.kind, list(metric.labels)) for metric in METRICS
    ]


@pytest.mark.gen_test
async def test_metrics_are_text_that_prometheus_reads(api):
    answer = await api.get("/metrics")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    told = families(answer.body)
    for metric in METRICS:
        assert told[metric.name.removesuffix("_total")].type == metric.kind, metric.name
    assert told["process_cpu_seconds"].samples
    assert (await api.ask("HEAD", "/metrics")).status == 200


@pytest.mark.gen_test
async def test_jobs_are_counted_by_task_queue_and_state(api, node):
    await api.submit("add", wait_s=5, args={"a": 1})
    await api.submit("add", wait_s=5, args={"a": 1}, queue="other")
    await api.submit("fail", wait_s=5, args={"message": "x"})
    waiting = await api.submit("add", args={"a": 1}, delay_s=60)
    await api.post(f"/api/jobs/{waiting['id']}/cancel")
    runs = await api.submit("forever")
    await api.until(runs["id"], "running")
    busy = await scraped(api)
    assert (busy["windsock_worker_busy", "coroutine"], busy["windsock_worker_slots", "coroutine"]) == (1, 100)
    await api.post(f"/api/jobs/{runs['id']}/cancel")
    await api.until(runs["id"], "cancelled")
    await eventually(lambda: node.metrics.job("forever", "default").ended)
    await eventually(lambda: node.metrics.job("add", "default").ended["cancelled"])  # with the next beat
    told = await scraped(api)
    started = told_of(told, "windsock_jobs_started_total")
    assert started == {("default", "add"): 1, ("other", "add"): 1, ("default", "fail"): 1, ("default", "forever"): 1}
    ended = told_of(told, "windsock_jobs_ended_total")
    assert ended == {
        ("default", "succeeded", "add"): 1,
        ("default", "cancelled", "add"): 1,
        ("other", "succeeded", "add"): 1,
        ("default", "failed", "fail"): 1,
        ("default", "cancelled", "forever"): 1,
    }
    assert told["windsock_pickup_seconds_count", "add"] == told["windsock_run_seconds_count", "add"] == 2
    assert 0 < told["windsock_run_seconds_sum", "forever"] < 5


def told_of(told, name):
    """The values of one metric by their labels."""
    return {tuple(labels): value for (found, *labels), value in told.items() if found == name}


@pytest.mark.gen_test
async def test_submits_are_counted_accepted_and_refused(api, stream, node):
    await api.submit("add", wait_s=5, args={"a": 1})
    await api.post("/api/jobs", {"task": "nobody"})
    client = await stream()
    await client.send({"type": "submit", "id": 1, "task": "add", "args": {"a": 2}}, {"type": "cancel", "id": 2})
    await client.until("error", id=2)  # it did not have to wait for the store
    await client.until("ok", id=1)
    node.draining = True
    await api.post("/api/jobs", {"task": "add", "args": {"a": 1}})
    told = await scraped(api)
    assert [told["windsock_submits_total", code] for code in ("accepted", "invalid", "unavailable")] == [2, 1, 1]
    assert told["windsock_commands_refused_total", "invalid"] == 1


@pytest.mark.gen_test
async def test_requests_are_counted_by_handler_and_status_and_never_by_path(api):
    for path in ("/healthz", "/healthz", "/nowhere", "/api/jobs/NONE", "/api/jobs/NEITHER"):
        await api.get(path)
    answer = await api.get("/metrics")
    told = samples(answer.body)
    assert told["windsock_http_requests_total", "HealthHandler", "200"] == 2
    assert told["windsock_http_requests_total", "JobHandler", "404"] == 2
    assert told["windsock_http_requests_total", "NotFoundHandler", "404"] == 1
    assert b"NONE" not in answer.body


@pytest.mark.gen_test
async def test_connections_subscriptions_and_frames_are_counted(api, stream, node):
    waiting = await api.submit("add", args={"a": 1}, delay_s=60)
    wishes = [{"sub": 1, "job": waiting["id"]}, {"sub": 2, "feed": {}}, {"sub": 3, "stats": True}]
    client = await stream(hello=wishes)
    await client.until("live", sub=1)
    other = await stream()
    await other.until("welcome")
    told = await scraped(api)
    assert told[("windsock_connections",)] == 2
    assert [told["windsock_subscriptions", kind] for kind in ("job", "feed", "stats")] == [1, 1, 1]
    assert told["windsock_snapshots_total", "fresh"] == 2
    await client.send({"type": "ping", "n": 1})
    before = node.metrics.traffic.frames_out
    await client.until("pong")
    assert node.metrics.traffic.frames_out > before
    assert node.metrics.traffic.bytes_out > 10 * node.metrics.traffic.frames_out
    for one in (client, other):
        await one.close()
    await eventually(lambda: not any(node.metrics.traffic.subscriptions.values()))
    told = await scraped(api)
    assert told[("windsock_connections",)] == 0


@pytest.mark.gen_test
async def test_closes_are_counted_by_codes_that_mean_something(api, stream, node):
    for code in (1000, 3999, 4321):
        client = await stream()
        await client.until("welcome")
        client.connection.close(code)
        await client.closed()
    client = await stream(hello=False)
    await client.raw(b"no frame")
    assert await client.closed() == 4000
    await eventually(lambda: node.metrics.closes.total() == 4)
    assert node.metrics.closes == {"1000": 1, "other": 2, "4000": 1}
    assert (await scraped(api))["windsock_closes_total", "4000"] == 1


@pytest.mark.expects_log("the Pub/Sub link is")
@pytest.mark.gen_test
async def test_the_link_and_its_losses_are_told(api, node, stream):
    await (await stream(hello=[{"sub": 1, "feed": {}}])).until("live")
    told = await scraped(api)
    assert (told[("windsock_link_up",)], told[("windsock_link_losses_total",)]) == (1, 0)
    node._link.suspect("a test says so")
    await eventually(lambda: node._link.losses == 1 and node._link.up)
    told = await scraped(api)
    assert (told[("windsock_link_up",)], told[("windsock_link_losses_total",)]) == (1, 1)
    assert told[("windsock_resyncs_total",)] >= 1
    assert told[("windsock_loop_lag_seconds",)] >= 0
    assert told[("windsock_jobs_rescued_total",)] == 0


@pytest.mark.gen_test
async def test_an_end_that_went_out_with_the_last_words_is_forgotten_too(api, stream, node):
    ended = await api.submit("add", wait_s=5, args={"a": 1})
    client = await stream(hello=False)
    await client.send({"type": "hello", "subscribe": [{"sub": 1, "feed": {}}]})
    await client.until("live", sub=1)
    (held,) = [watcher for window in node.hub.feeds.windows for watcher in window.watchers]
    (socket,) = held.members
    topic = node.hub.topic(ended["id"])
    topic.apply((await node.queue.get(ended["id"])).job)
    topic.outcome = {"result": 2}
    socket.watch(2, topic)
    socket.last_words({"type": "bye"})
    assert ended["id"] not in node.hub._topics
    assert node.metrics.traffic.subscriptions["job"] == 0


def test_a_task_and_a_queue_have_a_series_each_until_there_are_too_many():
    metrics = Metrics()
    for number in range(MAX_PAIRS + 50):
        metrics.job("add", f"q{number}").start(0.1)
    metrics.job("other", "q1").start(None)
    told = told_of(samples(metrics.text()), "windsock_jobs_started_total")
    assert len(told) == MAX_PAIRS + 2
    assert told[OTHER, "add"] == 50
    assert metrics.job("add", "q1") is metrics.job("add", "q1")
    assert metrics.job("add", f"q{MAX_PAIRS + 7}") is metrics.job("add", "a new one")


def test_a_spread_counts_up_to_each_bound():
    spread = Spread()
    for seconds in (0.0, 0.001, 0.002, 10_000.0):
        spread.add(seconds)
    buckets = dict(spread.buckets())
    assert (buckets["0.001"], buckets["0.0025"], buckets["1800"], buckets["+Inf"]) == (2, 3, 3, 4)
    assert len(buckets) == len(BOUNDS_S) + 1
    assert spread.total_s == pytest.approx(10_000.003)


# what subscriptions count


def frames(subscription, now):
    while subscription.next(now, 10_000) is not None:
        pass


def test_states_that_were_passed_over_are_conflated():
    traffic, topic = Traffic(), Topic("x")
    topic.apply(job(version=1))
    subscription = JobSubscription(1, topic, rate=1, traffic=traffic)
    frames(subscription, 0.0)
    topic.apply(job(version=2))
    frames(subscription, 0.0)
    assert traffic.conflated == 0
    for version in (3, 4, 5):
        topic.apply(job(version=version))
        frames(subscription, 0.5)
    frames(subscription, 1.0)
    assert traffic.conflated == 2
    assert traffic.snapshots == {"fresh": 1}


def test_a_feed_conflates_what_changed_again_before_it_was_told():
    traffic, window = Traffic(), Window(Match(), 10)
    window.load(1, [], {}, False)
    subscription = FeedSubscription(1, window, rate=1, traffic=traffic)
    frames(subscription, 0.0)
    for version in (1, 2, 3):
        window.apply(1 + version, job(id="a", version=version), None, False)
    window.apply(9, job(id="b"), None, False)
    frames(subscription, 1.0)
    assert traffic.conflated == 2


def test_gaps_and_replayed_entries_are_counted():
    traffic, topic = Traffic(), Topic("x")
    topic.apply(job(version=1, offset=3))
    topic.ring.extend(1, [Entry({"n": n}, 10) for n in (1, 2, 3)])
    subscription = JobSubscription(1, topic, after="s1-1.1.1", log="all", traffic=traffic)
    frames(subscription, 0.0)
    assert (traffic.replayed, traffic.snapshots) == (2, {"resumed": 1})
    topic.apply(job(version=2, offset=5))
    topic.ring.skip(5)
    frames(subscription, 1.0)
    subscription.take([])
    frames(subscription, 1.0)
    assert traffic.gaps == {"lost": 1}
