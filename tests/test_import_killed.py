"""The example that imports a CSV file, through kill -9 of its server and of its worker: no row is missing or twice."""

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT, Processes, Server, processes, wait_for

from examples import _paths
from examples._staging import Place, Rejected, Staging, connect
from examples.import_csv import import_csv
from windsock import JobCancelled, Progress

__all__ = ["processes"]
ROWS = 1_000_000
LONG_S = 120.0


def write(path: Path, rows: int) -> None:
    """A file whose rows can be told apart; one in 100,000 does not fit."""
    with path.open("w") as file:
        file.write("id,name,amount\n")
        file.writelines(f"{n},name {n},{n % 97}\n" if n % 100_000 else f"{n},bad\n" for n in range(rows))


def check(database: Path, rows: int) -> None:
    """Every row is there once, and nothing else."""
    bad = len(range(0, rows, 100_000))
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT count(*), count(DISTINCT id), sum(id) FROM rows"
        assert connection.execute(query).fetchall() == [
            (rows - bad, rows - bad, sum(range(rows)) - sum(range(0, rows, 100_000)))
        ]
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("rows",)]
    with (database.parent / "rows-rejected.csv").open() as file:
        assert [line.split(",")[2] for line in file][1:] == [str(n) for n in range(0, rows, 100_000)]


def far(server: Server, job_id: str, attempt: int, rows: int) -> dict[str, Any]:
    """The job, when this attempt has left a checkpoint of so many rows or more."""

    def there() -> dict[str, Any] | None:
        job = server.job(job_id)
        assert job["state"] in ("queued", "running"), job
        ready = job["attempt"] == attempt and job.get("checkpoint", {}).get("rows", 0) >= rows
        return job if ready else None

    return wait_for(there, f"{rows} rows", LONG_S)  # type: ignore[no-any-return]


ARGS = {"path": "rows.csv", "database": "rows.db"}


@pytest.mark.timeout(400)
def test_a_million_rows_survive_kills_in_the_middle_of_it(processes: Processes, tmp_path: Path) -> None:
    files = tmp_path
    write(files / "rows.csv", ROWS)
    chance = random.Random(os.getpid())
    words = {"tasks": str(ROOT / "examples"), "files": str(files)}
    server = processes.serve(**words)
    job_id = server.submit("import_csv", ARGS, max_attempts=9)
    done = far(server, job_id, 1, chance.randrange(50_000, 250_000))["checkpoint"]["rows"]
    server.kill()  # with the worker in it, in the middle of a batch
    server = processes.serve(**words)
    done = far(server, job_id, 2, done + chance.randrange(10_000, 200_000))["checkpoint"]["rows"]
    server.kill()
    server = processes.serve(**words)
    job = server.end(job_id, LONG_S)
    assert (job["state"], job["attempt"], job["result"]["rows"]) == ("succeeded", 3, ROWS - 10)
    went_on = [line for line in server.log(job_id) if line.startswith("goes on after")]
    assert len(went_on) == 2
    assert int(went_on[1].split()[3]) >= done  # the database is never behind the checkpoint
    check(files / "rows.db", ROWS)


@pytest.mark.timeout(400)
def test_a_million_rows_survive_kills_of_the_worker_alone(processes: Processes, tmp_path: Path) -> None:
    files = tmp_path
    write(files / "rows.csv", ROWS)
    chance = random.Random(os.getpid())
    words = {"tasks": str(ROOT / "examples"), "files": str(files), "redis": processes.redis()}
    server = processes.serve("--no-worker", **words)
    worker = processes.work(**words)
    job_id = server.submit("import_csv", ARGS, max_attempts=9)
    points = [(1, 20_000), (100_000, 300_000), (400_000, 600_000), (700_000, 850_000)]
    done = 0
    for attempt, (first, last) in enumerate(points, 1):
        far(server, job_id, attempt, max(chance.randrange(first, last), done + 1))  # a checkpoint of its own
        worker.kill()  # in the middle of whatever it does
        done = server.job(job_id)["checkpoint"]["rows"]
        worker = processes.work(**words)
    job = server.end(job_id, LONG_S)
    assert (job["state"], job["attempt"], job["result"]["rows"]) == ("succeeded", len(points) + 1, ROWS - 10)
    went_on = [int(line.split()[3]) for line in server.log(job_id) if line.startswith("goes on after")]
    assert len(went_on) == len(points)
    assert went_on[-1] >= done
    check(files / "rows.db", ROWS)


@pytest.mark.timeout(300)
def test_a_drained_import_goes_on_in_another_worker(processes: Processes, tmp_path: Path) -> None:
    files, rows = tmp_path, 300_000
    write(files / "rows.csv", rows)
    words = {"tasks": str(ROOT / "examples"), "files": str(files), "drain_s": 0}
    url = processes.redis()
    server = processes.serve("--no-worker", redis=url, **words)
    first = processes.work(redis=url, **words)
    job_id = server.submit("import_csv", ARGS)
    far(server, job_id, 1, 50_000)
    first.press_ctrl_c()
    first.wait()
    processes.work(redis=url, **words)
    job = server.end(job_id, LONG_S)
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    assert any(line.startswith("goes on after") for line in server.log(job_id))
    check(files / "rows.db", rows)


# The table beside the table


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(_paths.VARIABLE, str(tmp_path))
    monkeypatch.setattr("examples.import_csv.BATCH", 2)
    (tmp_path / "a.csv").write_text("x\n" + "".join(f"{n}\n" for n in range(10)))
    return tmp_path


class Killed(BaseException):
    """In place of a kill: the process does nothing more."""


class DiesAfter(Progress):
    """The progress of an attempt that is killed at its n-th checkpoint."""

    def __init__(self, checkpoints: int, attempt: int = 1) -> None:
        super().__init__("job", attempt, lambda: None)
        self.left = checkpoints
        self.goes_on = True  # a killed process drops nothing

    def checkpoint(self, value: Any) -> None:
        self.left -= 1
        if not self.left:
            raise Killed


def numbers(database: Path) -> list[int]:
    with closing(sqlite3.connect(database)) as connection:
        return [int(one) for (one,) in connection.execute("SELECT x FROM a ORDER BY rowid")]


def test_an_attempt_goes_on_after_the_last_batch_that_was_stored(small: Path) -> None:
    for attempt in (1, 2, 3):
        with pytest.raises(Killed):
            import_csv(DiesAfter(1, attempt), "a.csv", "a.db")
    progress = Progress("job", 4, lambda: None)
    assert import_csv(progress, "a.csv", "a.db")["rows"] == 10
    assert numbers(small / "a.db") == list(range(10))


def test_a_file_that_has_changed_since_is_read_from_its_beginning(small: Path) -> None:
    with pytest.raises(Killed):
        import_csv(DiesAfter(2), "a.csv", "a.db")
    (small / "a.csv").write_text("x\n5\n6\n7\n")
    import_csv(Progress("job", 2, lambda: None), "a.csv", "a.db")
    assert numbers(small / "a.db") == [5, 6, 7]


def test_a_checkpoint_of_rows_that_the_database_lacks_is_not_believed(small: Path) -> None:
    progress = Progress("job", 2, lambda: None, checkpoint=b"\x81\xa4rows\x06")
    assert progress.checkpointed == {"rows": 6}
    import_csv(progress, "a.csv", "a.db")
    assert numbers(small / "a.db") == list(range(10))


class Stops(Progress):
    """The progress of a job that is asked to end at its first checkpoint."""

    def checkpoint(self, value: Any) -> None:
        self.stop()


@pytest.mark.parametrize("drained", [False, True])
def test_a_cancelled_import_leaves_nothing_and_a_drained_one_what_it_has(small: Path, drained: bool) -> None:
    progress = Stops("job", 1, lambda: None)
    progress.goes_on = drained
    with pytest.raises(JobCancelled):
        import_csv(progress, "a.csv", "a.db")
    with closing(sqlite3.connect(small / "a.db")) as connection:
        left = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    assert left == (3 if drained else 0,)


def test_an_attempt_that_still_writes_when_the_next_has_begun_fails(small: Path) -> None:
    with closing(connect(small / "b.db")) as one, closing(connect(small / "b.db")) as other:
        first, second = Staging(one, "a", "job", 1), Staging(other, "a", "job", 2)
        first.begin(["x"], "file")
        first.add([["1"]], [Rejected(2, "no", ["?"])], Place(2, 1, 1))
        assert second.begin(["x"], "file") == Place(2, 1, 1)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            first.add([["2"]], [], Place(3, 2, 1))
        second.add([["2"]], [], Place(3, 2, 1))
        assert list(second.rejected()) == [Rejected(2, "no", ["?"])]
        second.publish()
    assert numbers(small / "b.db") == [1, 2]
