"""What a process counts of itself, and its text for Prometheus.

All counting is on the loop, and so is reading: an increment is `+= 1` on a plain integer, without a lock. A label is
looked up once for each job, never for a frame. The names for Prometheus are given at a scrape.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MAX_PAIRS = 500  # of task and queue with series of their own: whoever submits chooses the name of the queue
OTHER = "(other)"  # the queue of all pairs beyond those; no queue can have this name
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
Labels = tuple[str, ...]  # values of the labels


class Traffic:
    """What goes to the clients of a node, counted since its start."""

    __slots__ = (
        "bytes_out",
        "conflated",
        "frames_out",
        "gaps",
        "replayed",
        "resyncs",
        "snapshots",
        "subscriptions",
    )

    def __init__(self) -> None:
        self.frames_out = 0
        self.bytes_out = 0  # of messages, without the WebSocket's own headers
        self.conflated = 0  # states that a client was never told, because a newer one came first
        self.replayed = 0  # log entries sent between a snapshot and its `live`
        self.resyncs = 0  # all that is watched was read anew
        self.snapshots: Counter[str] = Counter()  # by how: fresh, resumed, reset
        self.gaps: Counter[str] = Counter()  # by why
        # Open now, by kind. The beat's thread adds them up: no key may come or go.
        self.subscriptions: dict[str, int] = {"job": 0, "feed": 0, "stats": 0}


class Spread:
    """How many durations fell into which bucket."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus wants them: up to a bound, how many there were."""
        found, below = [], 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


class JobMeter:
    """What is counted of the jobs of one task and queue; the times are those of the task."""

    __slots__ = ("_pickup", "_run", "ended", "retried", "started")

    def __init__(self, pickup: Spread, run: Spread) -> None:
        self.started = 0
        self.retried = 0  # attempts that raised and are followed by another
        self.ended: Counter[str] = Counter()  # by state
        self._pickup = pickup
        self._run = run

    def start(self, waited_s: float | None) -> None:
        """An attempt begins. None: how long the job could have run already is not known."""
        self.started += 1
        if waited_s is not None:
            self._pickup.add(max(0.0, waited_s))

    def end(self, state: str, ran_s: float) -> None:
        """The store has the end of an attempt."""
        self.ended[state] += 1
        self._run.add(ran_s)

    def add_ends(self, state: str, count: int) -> None:
        """The store has ended jobs in no worker's name: cancelled before they ran, or lost with theirs."""
        self.ended[state] += count


Value = tuple[Labels, float | Spread]
Source = Callable[[], Iterable[Value]]


@dataclass(frozen=True, slots=True)
class Described:
    """One metric; `docs/operations.md` has a row for each."""

    name: str
    kind: str  # counter, gauge, histogram
    labels: Labels
    meaning: str

    def family(self, values: "Iterable[Value]") -> Metric:
        """Its samples."""
        if self.kind == "histogram":
            histogram = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
            for labels, spread in values:
                assert isinstance(spread, Spread)
                histogram.add_metric(labels, spread.buckets(), spread.total_s)
            return histogram
        plain = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = plain(self.name, self.meaning, labels=self.labels)
        for labels, value in values:
            assert not isinstance(value, Spread)
            family.add_metric(labels, value)
        return family


METRICS = (
    Described("windsock_connections", "gauge", (), "open WebSockets"),
    Described("windsock_turned_away_total", "counter", ("reason",), "clients that could not come in, by the reason"),
    Described("windsock_subscriptions", "gauge", ("kind",), "open subscriptions"),
    Described("windsock_closes_total", "counter", ("code",), "WebSockets closed, by the first close code"),
    Described("windsock_frames_out_total", "counter", (), "frames sent to clients"),
    Described("windsock_bytes_out_total", "counter", (), "bytes of the messages sent to clients"),
    Described("windsock_conflated_total", "counter", (), "states a client was not told, for a newer one came first"),
    Described("windsock_snapshots_total", "counter", ("how",), "snapshots sent"),
    Described("windsock_entries_replayed_total", "counter", (), "log entries sent before `live`"),
    Described("windsock_gaps_total", "counter", ("why",), "gaps in a log that clients were told of"),
    Described("windsock_resyncs_total", "counter", (), "times all that is watched was read anew"),
    Described("windsock_link_up", "gauge", (), "whether the Pub/Sub link stands"),
    Described("windsock_link_losses_total", "counter", (), "times the Pub/Sub link went down"),
    Described("windsock_loop_lag_seconds", "gauge", (), "lateness of the event loop at the last beat"),
    Described("windsock_loop_blocks_total", "counter", ("task",), "times that code of a task blocked the loop"),
    Described("windsock_loop_blocked_seconds_total", "counter", ("task",), "how long that was"),
    Described("windsock_redis_restarts_total", "counter", (), "times the private redis-server was started again"),
    Described("windsock_submits_total", "counter", ("code",), "submits, by what became of them"),
    Described("windsock_commands_refused_total", "counter", ("code",), "commands over WebSockets that were refused"),
    Described("windsock_http_requests_total", "counter", ("handler", "status"), "HTTP requests answered"),
    Described("windsock_worker_restarts_total", "counter", (), "worker processes that were lost and started again"),
    Described("windsock_worker_slots", "gauge", ("kind",), "slots of the worker"),
    Described("windsock_worker_busy", "gauge", ("kind",), "slots of the worker that are taken"),
    Described("windsock_jobs_started_total", "counter", ("task", "queue"), "attempts begun by this process"),
    Described("windsock_jobs_ended_total", "counter", ("task", "queue", "state"), "jobs ended here, or by no worker"),
    Described("windsock_jobs_retried_total", "counter", ("task", "queue"), "attempts that raised and are tried again"),
    Described("windsock_jobs_rescued_total", "counter", (), "jobs of lost processes that this one took back"),
    Described("windsock_pickup_seconds", "histogram", ("task",), "from when a job could run until it did"),
    Described("windsock_run_seconds", "histogram", ("task",), "from the start of an attempt to its end"),
)


class Metrics(Collector):
    """Owns all counters of a process. Who has a gauge tells by `read` where it is found."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.turned_away: Counter[str] = Counter()  # by reason, before they were clients
        self.closes: Counter[str] = Counter()
        self.submits: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.requests: Counter[Labels] = Counter()
        self.blocks: Counter[str] = Counter()  # by task
        self.blocked_s: dict[str, float] = {}
        self._jobs: dict[tuple[str, str], JobMeter] = {}
        self._times: dict[str, tuple[Spread, Spread]] = {}  # by task: pick-up, run
        self._sources: dict[str, Source] = {}
        self._read_own()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def job(self, task: str, queue: str) -> JobMeter:
        """Where the jobs of a task and a queue are counted."""
        return self._jobs.get((task, queue)) or self._new_meter(task, queue)

    def _new_meter(self, task: str, queue: str) -> JobMeter:
        pair = (task, queue if len(self._jobs) < MAX_PAIRS else OTHER)
        if pair not in self._jobs:
            times = self._times.setdefault(task, (Spread(), Spread()))
            self._jobs[pair] = JobMeter(*times)
        return self._jobs[pair]

    def block(self, task: str, seconds: float) -> None:
        """The loop was blocked by code of a task, or by that of no job."""
        self.blocks[task] += 1
        self.blocked_s[task] = self.blocked_s.get(task, 0.0) + seconds

    def read(self, name: str, source: Source) -> None:
        """At a scrape, `source` has the values of this metric with their labels."""
        self._sources[name] = source

    def read_one(self, name: str, source: Callable[[], float]) -> None:
        """The same for a metric without labels."""
        self._sources[name] = lambda: [((), source())]

    def _read_own(self) -> None:
        traffic = self.traffic
        self.read_one("windsock_frames_out_total", lambda: traffic.frames_out)
        self.read_one("windsock_bytes_out_total", lambda: traffic.bytes_out)
        self.read_one("windsock_conflated_total", lambda: traffic.conflated)
        self.read_one("windsock_entries_replayed_total", lambda: traffic.replayed)
        self.read_one("windsock_resyncs_total", lambda: traffic.resyncs)
        self.read("windsock_subscriptions", lambda: _by_one(traffic.subscriptions))
        self.read("windsock_snapshots_total", lambda: _by_one(traffic.snapshots))
        self.read("windsock_gaps_total", lambda: _by_one(traffic.gaps))
        self.read("windsock_turned_away_total", lambda: _by_one(self.turned_away))
        self.read("windsock_closes_total", lambda: _by_one(self.closes))
        self.read("windsock_submits_total", lambda: _by_one(self.submits))
        self.read("windsock_commands_refused_total", lambda: _by_one(self.refused))
        self.read("windsock_http_requests_total", self.requests.items)
        self.read("windsock_loop_blocks_total", lambda: _by_one(self.blocks))
        self.read("windsock_loop_blocked_seconds_total", lambda: [((task,), s) for task, s in self.blocked_s.items()])
        self.read("windsock_jobs_started_total", lambda: [(pair, one.started) for pair, one in self._jobs.items()])
        self.read("windsock_jobs_ended_total", self._ended)
        self.read("windsock_jobs_retried_total", lambda: [(pair, one.retried) for pair, one in self._jobs.items()])
        self.read("windsock_pickup_seconds", lambda: [((task,), times[0]) for task, times in self._times.items()])
        self.read("windsock_run_seconds", lambda: [((task,), times[1]) for task, times in self._times.items()])

    def _ended(self) -> Iterable[Value]:
        return [((*pair, state), count) for pair, one in self._jobs.items() for state, count in one.ended.items()]

    def collect(self) -> Iterator[Metric]:
        """All metrics; one that nobody here has is without samples."""
        for metric in METRICS:
            source = self._sources.get(metric.name)
            yield metric.family(source() if source is not None else ())

    def text(self) -> bytes:
        """The text format of Prometheus, of `MEDIA_TYPE`."""
        return generate_latest(self._registry)


def _by_one(counts: Mapping[str, int]) -> Iterable[Value]:
    return [((label,), count) for label, count in counts.items()]
