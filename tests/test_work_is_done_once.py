"""kill -9 of workers, again and again, while jobs write down what they do: a job runs again only because it was killed.

Three records of one run are held against each other: what the attempts wrote themselves, what the store announced, and
what clients were told. `WINDSOCK_KILL_JOBS` says how many jobs there are.
"""

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
from journal import NS, together_s
from killing import FEED, JOBS, PATIENCE_S, TAG, Run
from processes import ENDED, Processes
from storing import sets_as_they_should_be
from stream import Frame

TOLD_S = 1.0  # an attempt that has written its end may be killed before the store has it
SEEN_S = 0.8  # what lasts this long is shown to every client
pytestmark = pytest.mark.timeout(3 * PATIENCE_S)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run for all tests of this file."""
    made = Processes(tmp_path_factory.mktemp("killing"))
    run = None
    try:
        run = Run(made)
        run.submit()
        run.kill_on_and_on()
        run.settle()
        yield run
    finally:
        if run is not None:
            run.close()
        made.close()


def lost(run: Run, job_id: str) -> list[tuple[int, int, str]]:
    """The attempts of a job that the store took back or gave up: when, number, who had it."""
    holder, found = {}, []
    for at, change in run.announced.of(job_id):
        if change.job.state == "running":
            holder[change.job.attempt] = change.job.node or ""
        elif change.was == "running" and change.job.state == "queued":
            found.append((at, change.job.attempt - 1, holder[change.job.attempt - 1]))
        elif change.job.state == "failed":
            found.append((at, change.job.attempt, holder[change.job.attempt]))
    return found


def test_every_job_ends_and_nobody_holds_any(run: Run) -> None:
    assert {job["state"] for job in run.ends.values()} <= {"succeeded", "failed"}
    assert run.held == 0
    should, stored = sets_as_they_should_be(run.store, TAG)
    assert should == stored
    assert len(run.ends) == JOBS


def test_workers_were_killed_and_jobs_ran_again(run: Run) -> None:
    again = Counter(len(lost(run, job_id)) for job_id in run.most)
    print(
        f"\n{JOBS} jobs, {len(run.crew.deaths)} workers killed; attempts lost, by jobs: {dict(sorted(again.items()))}"
    )
    assert len(run.crew.deaths) >= 3
    assert sum(again.values()) - again[0] >= 3


def test_an_attempt_is_taken_back_only_when_its_worker_was_killed_while_it_ran(run: Run) -> None:
    for job_id in run.most:
        for at, attempt, holder in lost(run, job_id):
            death = run.crew.deaths.get(holder)
            assert death is not None, f"{job_id}: attempt {attempt} was taken from {holder}, which nobody killed"
            assert death.sent < at, f"{job_id}: attempt {attempt} was taken from {holder} before it was killed"


def test_a_job_fails_only_when_all_its_attempts_were_killed(run: Run) -> None:
    for job_id, end in run.ends.items():
        attempts = lost(run, job_id)
        if end["state"] == "failed":
            assert end["error"]["code"] == "worker_lost"
            assert len(attempts) == run.most[job_id] == end["attempt"]
        else:
            assert end["attempt"] == len(attempts) + 1 == end["result"]
            assert len(attempts) < run.most[job_id]


def test_each_attempt_ran_once_and_in_the_process_that_had_it(run: Run) -> None:
    pids = {name: death.pid for name, death in run.crew.deaths.items()}
    pids |= {name: worker.pid for name, worker in run.crew.workers.items()}
    for job_id, tries in run.tries.items():
        ran = {change.job.attempt: change.job.node for _, change in run.announced.of(job_id) if change.job.node}
        attempts = [one.attempt for one in tries]
        assert attempts == sorted(set(attempts)), f"{job_id} ran {attempts}"
        assert [one.pid for one in tries] == [pids[ran[one.attempt]] for one in tries]


def test_an_attempt_that_did_not_write_its_end_was_killed_and_one_that_did_stands(run: Run) -> None:
    deaths = {death.pid: death for death in run.crew.deaths.values()}
    for job_id, end in run.ends.items():
        tries = run.tries.get(job_id, [])
        for one in tries:
            stands = one.attempt == end["attempt"] and end["state"] == "succeeded"
            assert one.ended is not None or not stands
            if not stands:
                death = deaths[one.pid]  # or it was not killed, and yet not the last
                assert one.begun < death.gone
                assert one.ended is None or death.sent - one.ended < TOLD_S * NS
        assert end["state"] == "failed" or tries[-1].attempt == end["attempt"]


def test_no_two_attempts_of_a_job_ran_at_once(run: Run) -> None:
    deaths = {death.pid: death for death in run.crew.deaths.values()}
    assert {job_id: s for job_id, tries in run.tries.items() if (s := together_s(tries, deaths)) > 0} == {}


def rests(run: Run, job_id: str) -> list[int]:
    """The attempts for which a job waited again, long enough to be seen."""
    changes = run.announced.of(job_id)
    return [
        change.job.attempt
        for (at, change), (then, _) in itertools.pairwise(changes)
        if change.was == "running" and change.job.state == "queued" and then - at > SEEN_S * NS
    ]


def check_told(run: Run, job_id: str, told: list[Frame], whose: str) -> int:
    """Hold what a client was told of a job against what happened; how many returns to the queue it saw."""
    end = run.ends[job_id]
    versions = [int(job["cursor"].split(".")[1]) for job in told]
    assert versions == sorted(versions), f"{whose} {job_id}: {versions}"
    seen = [(job["attempt"], job["state"]) for job in told]
    assert {attempt for attempt, _ in seen} == set(range(1, end["attempt"] + 1)), f"{whose} {job_id}: {seen}"
    waited = rests(run, job_id)
    for attempt in waited:
        assert (attempt, "queued") in seen, f"{whose} {job_id} was not told that it waited again: {seen}"
    assert seen[-1] == (end["attempt"], end["state"])
    assert [state for _, state in seen if state in ENDED] == [end["state"]] * sum(s in ENDED for _, s in seen)
    return len(waited)


def test_who_watched_a_job_saw_it_go_back_to_the_queue_and_on(run: Run) -> None:
    waits = 0
    for witness, group in run.witnesses:
        told: dict[int, list[Frame]] = {sub: [] for sub in range(1, len(group) + 1)}
        for frame in witness.frames:
            if frame["type"] in ("snapshot", "update", "end") and frame["sub"] != FEED:
                told[frame["sub"]].append(frame["job"])
        waits += sum(check_told(run, job_id, told[sub], "the watcher of") for sub, job_id in enumerate(group, 1))
    assert waits >= 3  # or nothing was proved


def test_who_watched_a_list_saw_jobs_go_back_to_the_queue_and_on(run: Run) -> None:
    waits = 0
    for witness, group in run.witnesses:
        told: dict[str, list[Frame]] = {job_id: [] for job_id in group}
        for job in witness.told_of_all():
            told[job["id"]].append(job)
        waits += sum(check_told(run, job_id, told[job_id], "the feed with") for job_id in group)
    assert waits >= 3
