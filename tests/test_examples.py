"""The example tasks on real input: real files, a real SQLite database, a real HTTP server."""

import asyncio
import csv
import hashlib
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tornado.netutil import DefaultLoopResolver
from tornado.web import Application, RequestHandler

from examples import _paths
from examples import checksums as checksums_module
from examples import fetch as fetch_module
from examples import import_csv as import_module
from examples import thumbnails as thumbnails_module
from examples.chatter import chatter
from examples.checksums import checksums
from examples.count_primes import count_primes
from examples.fetch import fetch
from examples.import_csv import import_csv
from examples.sleep import sleep
from examples.thumbnails import thumbnails
from server.codec import MSGPACK
from server.progress import JobCancelled, Progress
from server.registry import make_task

TASKS = [chatter, checksums, count_primes, fetch, import_csv, sleep, thumbnails]
PEOPLE = Path(__file__).parent.parent / "examples/data/people.csv"


@pytest.fixture
def progress() -> Progress:
    return Progress("job", 1, lambda: None)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the tasks may use."""
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("WINDSOCK_FILES", str(folder))
    monkeypatch.delenv("WINDSOCK_FETCH_PRIVATE", raising=False)
    return folder


def entries(progress: Progress) -> list[dict[str, Any]]:
    return [MSGPACK.decode(packed) for packed in progress.unsent(2**30)[1]]


def texts(progress: Progress, level: str | None = None) -> list[str]:
    return [e["text"] for e in entries(progress) if "text" in e and level in (None, e["level"])]


def emitted(progress: Progress) -> list[Any]:
    return [entry["value"] for entry in entries(progress) if "value" in entry]


def bar(progress: Progress) -> dict[str, Any]:
    taken = progress.take()
    assert taken is not None
    return taken


class StopsAfter(Progress):
    """A progress whose job is cancelled at the n-th `update`."""

    def __init__(self, updates: int) -> None:
        super().__init__("job", 1, lambda: None)
        self.left = updates

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.left -= 1
        if self.left < 0:
            self.stop()
        super().update(*args, **kwargs)


# All of them.


@pytest.mark.parametrize("function", TASKS, ids=lambda function: function.__name__)
def test_each_is_a_task_with_a_summary_for_the_page(function: Callable[..., Any]) -> None:
    made = make_task(function)

    assert made.progress_parameter == "progress"
    assert 20 < len(made.summary) < 100
    assert made.summary.endswith(".")


@pytest.mark.parametrize("path", ["..", "/etc", "a/../../b", "../files-of-others"])
def test_a_path_outside_the_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"is outside .*--files"):
        _paths.below(path)


def test_a_link_that_leads_outside_is_refused(files: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (files / "door").symlink_to(tmp_path / "secret")

    with pytest.raises(ValueError, match="is outside"):
        _paths.below("door/key")


def test_a_link_to_itself_is_refused(files: Path) -> None:
    (files / "loop").symlink_to("loop")

    with pytest.raises(ValueError, match="leads to itself"):
        _paths.below("loop")


def test_an_absolute_path_inside_is_accepted(files: Path) -> None:
    assert _paths.below(files / "a") == files / "a"


def test_a_broken_write_leaves_the_old_file_and_no_other(files: Path) -> None:
    target = files / "a"
    target.write_text("old")

    with pytest.raises(JobCancelled), _paths.replacing(target) as partial:  # noqa: PT012
        partial.write_text("half")
        raise JobCancelled
    assert [(path.name, path.read_text()) for path in files.iterdir()] == [("a", "old")]


# checksums


def fill(folder: Path) -> dict[str, bytes]:
    content = {
        "empty": b"",
        "a.txt": b"windsock\n",
        "deep/er/b.bin": bytes(range(256)) * 100,
        "deep/large": b"x" * (checksums_module.CHUNK * 2),
        "with space": b"1",
        "back\\slash": b"2",
        "line\nbreak": b"3",
        "grüße": b"4",
    }
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return content


def sha256sum(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["sha256sum", *arguments], cwd=folder, capture_output=True, check=True)
    return os.fsdecode(done.stdout)


def test_checksums_are_those_of_hashlib(files: Path, progress: Progress) -> None:
    content = fill(files / "data")

    result = asyncio.run(checksums(progress, "data"))

    assert result["sums"] == {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    assert result["files"] == len(content)
    assert result["bytes"] == bar(progress)["done"] == sum(map(len, content.values()))


def test_checksums_logs_the_lines_that_sha256sum_prints(files: Path, progress: Progress) -> None:
    names = sorted(fill(files / "data"))

    asyncio.run(checksums(progress, "data"))

    assert texts(progress) == sha256sum(files / "data", *names).splitlines()


def test_sums_of_a_large_folder_go_into_a_file_that_sha256sum_checks(
    files: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums_module, "MAX_SUMS_BYTES", 100)
    content = fill(files / "data/set")

    result = asyncio.run(checksums(progress, "data/set"))

    written = files / result["sums_file"]
    assert written == files / "data-set.SHA256SUMS"
    assert "sums" not in result
    assert result["digest"] == hashlib.sha256(written.read_bytes()).hexdigest()
    assert sha256sum(files / "data/set", "--strict", "-c", str(written)).count(": OK\n") == len(content)


def test_checksums_leaves_its_own_file_out_the_second_time(
    files: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums_module, "MAX_SUMS_BYTES", 100)
    fill(files)

    first = asyncio.run(checksums(progress, "."))
    second = asyncio.run(checksums(progress, "."))

    assert first == second
    assert (files / "files.SHA256SUMS").exists()


def test_a_file_name_that_is_not_utf8_is_readable_in_the_result(files: Path, progress: Progress) -> None:
    (files / os.fsdecode(b"caf\xe9")).write_bytes(b"")

    assert list(asyncio.run(checksums(progress, "."))["sums"]) == ["caf\\xe9"]


def test_checksums_counts_what_it_cannot_read_and_goes_on(files: Path, progress: Progress) -> None:
    (files / "dangling").symlink_to("nowhere")
    (files / "good").write_bytes(b"")

    result = asyncio.run(checksums(progress, "."))

    assert (result["files"], result["unreadable"]) == (1, 1)
    assert texts(progress, "warning") == ["cannot be read, No such file or directory: dangling"]


def test_a_file_that_vanishes_is_counted_as_unreadable(
    files: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "a").write_bytes(b"")
    found = checksums_module.Tally.find

    def find_and_remove(tally: Any, progress: Progress) -> Any:
        everything = found(tally, progress)
        (files / "a").unlink()
        return everything

    monkeypatch.setattr(checksums_module.Tally, "find", find_and_remove)

    assert asyncio.run(checksums(progress, "."))["unreadable"] == 1


def test_checksums_follows_no_link_out_and_opens_no_pipe(files: Path, tmp_path: Path, progress: Progress) -> None:
    (tmp_path / "secret").write_text("secret")
    (files / "door").symlink_to(tmp_path / "secret")
    (files / "stairs").symlink_to(tmp_path)
    os.mkfifo(files / "pipe")
    (files / "good").write_bytes(b"")
    (files / "link").symlink_to("good")

    result = asyncio.run(checksums(progress, "."))

    assert list(result["sums"]) == ["good", "link"]
    assert len(texts(progress, "warning")) == 2


def test_checksums_of_no_folder_is_refused(progress: Progress) -> None:
    with pytest.raises(ValueError, match="'nowhere' is not a folder"):
        asyncio.run(checksums(progress, "nowhere"))


def test_a_cancelled_checksums_closes_its_file(
    files: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (files / "large").open("wb") as file:
        file.truncate(2**36)  # takes no space, and minutes to hash

    async def cancel() -> None:
        job = asyncio.create_task(checksums(progress, "."))
        hashed = asyncio.Event()
        steps = iter(range(3))
        loop = asyncio.get_running_loop()
        step = checksums_module.Hashing.step

        def counted(hashing: Any) -> int:
            if next(steps, None) is None:
                loop.call_soon_threadsafe(hashed.set)
            return step(hashing)

        monkeypatch.setattr(checksums_module.Hashing, "step", counted)
        await asyncio.wait_for(hashed.wait(), 10)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(cancel())  # an open file would be a ResourceWarning, which is an error here


# thumbnails


def test_thumbnails_draws_samples_at_first_and_makes_them_small(files: Path, progress: Progress) -> None:
    result = thumbnails(progress)

    assert result == {"made": 12, "failed": 0, "folder": "examples/images/thumbnails"}
    assert len(list((files / "examples/images").glob("*.png"))) == 12
    for one in emitted(progress):
        with Image.open(files / one["path"]) as small:
            assert small.size == (one["width"], one["height"]) == (256, 160)
    assert bar(progress)["done"] == bar(progress)["total"] == 12


def test_thumbnails_draws_only_once(files: Path, progress: Progress) -> None:
    thumbnails(progress)
    first = (files / "examples/images/hills-01.png").stat().st_mtime_ns
    thumbnails(progress, size=64)

    assert (files / "examples/images/hills-01.png").stat().st_mtime_ns == first


def test_a_folder_of_ones_own_is_not_drawn_into(files: Path, progress: Progress) -> None:
    (files / "mine").mkdir()

    assert thumbnails(progress, folder="mine")["made"] == 0
    assert list((files / "mine").glob("*.png")) == []


@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "RGB"), ("a.gif", "P"), ("a.webp", "RGBA"), ("a.png", "P")])
def test_thumbnails_keeps_the_format(files: Path, progress: Progress, name: str, mode: str) -> None:
    Image.new(mode, (600, 300)).save(files / name)
    with Image.open(files / name) as large:
        kind = large.format

    thumbnails(progress, folder=".", size=100)

    with Image.open(files / "thumbnails" / name) as small:
        assert (small.format, small.size) == (kind, (100, 50))


def test_what_is_no_image_is_counted_and_the_others_are_made(files: Path, progress: Progress) -> None:
    Image.new("RGB", (300, 300)).save(files / "good.png")
    (files / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (files / "notes.txt").write_text("no image at all")

    result = thumbnails(progress, folder=".")

    assert (result["made"], result["failed"]) == (1, 1)
    assert "left out: bad.png" in texts(progress, "warning")[0]
    assert [path.name for path in (files / "thumbnails").iterdir()] == ["good.png"]


def test_without_pillow_thumbnails_says_how_to_get_it(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails_module, "Image", None)

    with pytest.raises(RuntimeError, match=r"pip install 'windsock\[examples\]'"):
        thumbnails(progress)


# import_csv


def table(database: Path, name: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(f'SELECT * FROM "{name}"').fetchall()


def tables(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]


def test_the_people_are_imported_and_the_bad_rows_reported(files: Path, progress: Progress) -> None:
    (files / "people.csv").write_bytes(PEOPLE.read_bytes())

    result = import_csv(progress, "people.csv", "out/people.db")

    assert result == {"rows": 236, "rejected": 4, "report": "out/people-rejected.csv", "table": "people"}
    rows = table(files / "out/people.db", "people")
    assert len(rows) == 236
    assert (
        "150",
        "Niklaus\nWirth",
        "Zurich",
        "1934",
        "08001",
    ) in rows  # two lines of the file, leading zero kept
    with (files / "out/people-rejected.csv").open(newline="") as file:
        report = list(csv.reader(file))
    assert report[0][:2] == ["line", "reason"]
    assert [row[:2] for row in report[1:]] == [
        ["19", "2 values for 5 columns"],
        ["90", "7 values for 5 columns"],
        ["122", "not UTF-8"],
        ["202", "1 values for 5 columns"],
    ]
    assert bar(progress)["done"] == PEOPLE.stat().st_size
    assert tables(files / "out/people.db") == ["people"]


def test_a_second_import_replaces_the_table_and_the_report(files: Path, progress: Progress) -> None:
    (files / "a.csv").write_text("x,y\n1,2\n3\n")
    import_csv(progress, "a.csv", "a.db")
    (files / "a.csv").write_text("x\n7\n")

    result = import_csv(progress, "a.csv", "a.db")

    assert result == {"rows": 1, "rejected": 0, "report": None, "table": "a"}
    assert table(files / "a.db", "a") == [("7",)]
    assert sorted(path.name for path in files.iterdir()) == ["a.csv", "a.db"]


def test_a_view_of_the_replaced_table_goes_on_working(files: Path, progress: Progress) -> None:
    (files / "a.csv").write_text("x\n1\n")
    import_csv(progress, "a.csv", "a.db")
    with closing(sqlite3.connect(files / "a.db")) as connection, connection:
        connection.execute("CREATE VIEW seen AS SELECT x FROM a")
    (files / "a.csv").write_text("x\n2\n")

    import_csv(progress, "a.csv", "a.db")

    assert table(files / "a.db", "seen") == [("2",)]


def test_a_cancelled_import_leaves_the_old_table_and_nothing_else(
    files: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module, "BATCH", 2)
    (files / "a.csv").write_text("x\nold\n")
    import_csv(progress, "a.csv", "a.db")
    (files / "a.csv").write_text("x\n" + "new\n" * 10)

    with pytest.raises(JobCancelled):
        import_csv(StopsAfter(3), "a.csv", "a.db")

    assert table(files / "a.db", "a") == [("old",)]
    assert tables(files / "a.db") == ["a"]
    assert sorted(path.name for path in files.iterdir()) == ["a.csv", "a.db"]


def test_what_a_lost_attempt_has_left_is_removed(files: Path) -> None:
    (files / "a.csv").write_text("x\n1\n")
    with closing(sqlite3.connect(files / "a.db")) as connection, connection:
        connection.execute('CREATE TABLE "a import job 1" (x)')
        connection.execute('CREATE TABLE "a import other 1" (x)')

    import_csv(Progress("job", 2, lambda: None), "a.csv", "a.db")

    assert tables(files / "a.db") == ["a", "a import other 1"]


def test_names_of_columns_and_tables_are_made_to_fit(files: Path, progress: Progress) -> None:
    (files / 'Odd "name";.csv').write_text('a,A,,"q""x"\n1,2,3,4\n')

    assert import_csv(progress, 'Odd "name";.csv', "a.db")["table"] == "odd_name"
    with closing(sqlite3.connect(files / "a.db")) as connection:
        described = connection.execute("SELECT * FROM odd_name").description
    assert [column[0] for column in described] == ["a", "A_2", "column_3", 'q"x']


def test_a_field_too_long_for_csv_costs_its_row_only(files: Path, progress: Progress) -> None:
    (files / "a.csv").write_text(f"x\n1\n{'y' * 200_000}\n2\n")

    result = import_csv(progress, "a.csv", "a.db")

    assert (result["rows"], result["rejected"]) == (2, 1)


@pytest.mark.parametrize("content", ["", "\n", ",,\n"])
def test_a_file_without_a_header_is_refused(files: Path, progress: Progress, content: str) -> None:
    (files / "a.csv").write_text(content)

    with pytest.raises(ValueError, match="no header line"):
        import_csv(progress, "a.csv", "a.db")


# count_primes


@pytest.mark.parametrize(
    ("limit", "primes", "largest"),
    [
        (0, 0, None),
        (1, 0, None),
        (2, 1, 2),
        (3, 2, 3),
        (4, 2, 3),
        (9, 4, 7),
        (10**6, 78498, 999983),
        (3 * 10**6, 216816, 2999999),
    ],
)
def test_primes_are_counted(progress: Progress, limit: int, primes: int, largest: int | None) -> None:
    assert count_primes(progress, limit) == {"limit": limit, "primes": primes, "largest": largest}
    assert bar(progress)["done"] == limit


def test_segments_agree_with_trial_division(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.count_primes.SEGMENT", 8)
    primes = [n for n in range(2, 500) if all(n % d for d in range(2, n))]

    for limit in range(2, 500):
        known = [prime for prime in primes if prime <= limit]
        expected = {"limit": limit, "primes": len(known), "largest": known[-1]}
        assert count_primes(progress, limit) == expected


def test_counting_stops_when_cancelled() -> None:
    with pytest.raises(JobCancelled):
        count_primes(StopsAfter(3), 10**9)


# fetch


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello")


class Missing(RequestHandler):
    def get(self) -> None:
        self.send_error(404)

    def log_exception(self, *_: Any) -> None:
        pass


class Away(RequestHandler):
    def get(self) -> None:
        self.redirect(self.get_argument("to"))


class Endless(RequestHandler):
    async def get(self) -> None:
        while not self.request.connection.stream.closed():  # type: ignore[attr-defined]
            self.write(b"x" * 1000)
            await self.flush()


class Late(RequestHandler):
    """Answers when `done` is set; notes how many wait at once."""

    waiting = most = 0
    done: asyncio.Event

    async def get(self) -> None:
        cls = type(self)
        cls.waiting += 1
        cls.most = max(cls.most, cls.waiting)
        if cls.waiting >= fetch_module.AT_ONCE:
            cls.done.set()
        await cls.done.wait()
        cls.waiting -= 1


@pytest.fixture
def app() -> Application:
    routes = [
        ("/hello", Hello),
        ("/missing", Missing),
        ("/away", Away),
        ("/endless", Endless),
        ("/late", Late),
    ]
    return Application(routes, log_function=lambda _: None)


@pytest.fixture
def site(http_server: object, http_port: int) -> str:
    """The address of the server, which is started by asking for `http_server`."""
    return f"http://127.0.0.1:{http_port}"


@pytest.fixture
def private_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDSOCK_FETCH_PRIVATE", "1")


@pytest.mark.gen_test
async def test_pages_are_fetched(site: str, progress: Progress, private_allowed: None) -> None:
    result = await fetch(progress, [f"{site}/hello", f"{site}/missing", f"{site}/away?to=/hello"])

    assert [(one["status"], one["bytes"] > 0) for one in result["results"]] == [
        (200, True),
        (404, True),
        (200, True),
    ]
    assert result["results"][0]["bytes"] == 5
    assert (result["fetched"], result["failed"]) == (3, 0)
    assert len(emitted(progress)) == len(texts(progress)) == bar(progress)["done"] == 3


@pytest.mark.gen_test
async def test_only_eight_pages_are_fetched_at_once(site: str, progress: Progress, private_allowed: None) -> None:
    Late.waiting, Late.most, Late.done = 0, 0, asyncio.Event()

    result = await fetch(progress, [f"{site}/late"] * 20)

    assert (result["fetched"], Late.most) == (20, 8)


@pytest.mark.gen_test
async def test_a_private_address_is_refused(site: str, http_port: int, progress: Progress) -> None:
    urls = [
        f"{site}/hello",
        f"http://127.0.0.1:{http_port}/hello",
        "http://[::1]/",
        "http://169.254.169.254/",
    ]

    result = await fetch(progress, urls)

    assert result["failed"] == 4
    assert all("not a public address (WINDSOCK_FETCH_PRIVATE=1 allows it)" in one["error"] for one in result["results"])
    assert len(texts(progress, "warning")) == 4


@pytest.mark.gen_test
async def test_a_redirect_to_a_private_address_is_refused(
    site: str, http_port: int, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "is_public", lambda address: address != "127.0.0.2")
    url = f"{site}/away?to=http://127.0.0.2:{http_port}/hello"

    result = await fetch(progress, [f"{site}/hello", url])

    assert result["results"][0]["status"] == 200
    assert "127.0.0.2, not a public address" in result["results"][1]["error"]


@pytest.mark.gen_test
async def test_one_private_address_among_public_ones_is_enough_to_refuse(
    progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(self: Any, host: str, port: int, family: int = 0) -> list[tuple[int, Any]]:
        return [(2, ("93.184.216.34", port)), (2, ("10.0.0.1", port))]

    monkeypatch.setattr(DefaultLoopResolver, "resolve", resolve)

    result = await fetch(progress, ["http://rebind.example/"])

    assert "rebind.example is 10.0.0.1" in result["results"][0]["error"]


@pytest.mark.gen_test
async def test_the_name_is_resolved_once_for_check_and_connection(
    site: str, http_port: int, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def resolve(self: Any, host: str, port: int, family: int = 0) -> list[tuple[int, Any]]:
        asked.append(host)
        return [(2, ("127.0.0.1", port))]

    monkeypatch.setattr(DefaultLoopResolver, "resolve", resolve)
    monkeypatch.setattr(fetch_module, "is_public", lambda address: True)

    result = await fetch(progress, [f"http://name.example:{http_port}/hello"])

    assert (result["fetched"], asked) == (1, ["name.example"])


@pytest.mark.parametrize("url", ["ftp://example.org/", "file:///etc/passwd", "example.org", "http://[", "http://:x/"])
@pytest.mark.gen_test
async def test_what_is_no_web_address_fails_alone(
    site: str, progress: Progress, private_allowed: None, url: str
) -> None:
    result = await fetch(progress, [url, f"{site}/hello"])

    assert (result["fetched"], result["failed"]) == (1, 1)


@pytest.mark.gen_test
async def test_a_redirect_to_another_scheme_fails(site: str, progress: Progress, private_allowed: None) -> None:
    result = await fetch(progress, [f"{site}/away?to=file:///etc/passwd"])

    assert result["failed"] == 1


@pytest.mark.gen_test
async def test_a_page_that_is_too_large_is_stopped_and_says_so(
    site: str, progress: Progress, private_allowed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "MAX_BODY_BYTES", 100_000)

    result = await fetch(progress, [f"{site}/endless"])

    assert result["results"][0]["error"] == "stopped: larger than 100,000 bytes, the limit for one page"


PRIVATE = """
    127.0.0.1 10.1.2.3 192.168.0.1 172.16.0.1 169.254.1.1 100.64.0.1 0.0.0.0 224.0.0.1 240.0.0.1
    ::1 :: fe80::1 fe80::1%eth0 fc00::1 ff02::1 ::ffff:127.0.0.1 2002:7f00:1:: 64:ff9b::7f00:1 ::127.0.0.1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_addresses_that_are_not_public(address: str) -> None:
    assert not fetch_module.is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(address: str) -> None:
    assert fetch_module.is_public(address)


# sleep, chatter


def test_sleep_moves_its_bar_and_tells_how_long_it_slept(progress: Progress) -> None:
    result = asyncio.run(sleep(progress, 0.15))

    assert result["slept_s"] >= 0.14
    assert bar(progress) == {"done": 0.15, "total": 0.15, "unit": "s", "note": None}
    assert texts(progress) == ["sleeping 0.15 s", "awake"]


def test_sleep_fails_on_request(progress: Progress) -> None:
    with pytest.raises(RuntimeError, match="as the argument fail asked for"):
        asyncio.run(sleep(progress, 0, fail=True))


def test_chatter_numbers_its_lines_and_emits_every_tenth(progress: Progress) -> None:
    result = asyncio.run(chatter(progress, 35, 0))

    assert texts(progress) == [f"line {number} of 35" for number in range(1, 36)]
    assert emitted(progress) == [10, 20, 30]
    assert result == {"lines": 35, "emitted": 3}


def test_chatter_keeps_its_pace(progress: Progress) -> None:
    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await chatter(progress, 11, 100)
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(timed()) >= 0.099


def test_chatter_at_full_speed_lets_the_loop_go_on(progress: Progress) -> None:
    async def beside() -> int:
        job = asyncio.create_task(chatter(progress, 50_000, 0))
        turns = 0
        while not job.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(beside()) > 3
