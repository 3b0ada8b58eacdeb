"""The example that measures a folder, on real files."""

import os
from pathlib import Path

import pytest

from examples.disk_use import measure
from server.codec import MSGPACK
from server.progress import Progress
from server.registry import make_task


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the tasks may use."""
    monkeypatch.setenv("WINDSOCK_FILES", str(tmp_path))
    return tmp_path


@pytest.fixture
def progress() -> Progress:
    return Progress("job", 1, lambda: None)


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def test_a_folder_is_measured_by_kind_and_its_largest_files_are_named(files: Path, progress: Progress) -> None:
    for name, size in {"a.PNG": 300, "deep/b.png": 200, "deep/er/c.txt": 50, "README": 7}.items():
        write(files / "here" / name, size)
    write(files / "elsewhere.txt", 1000)
    assert measure(progress, "here", largest=2) == {
        "folder": "here",
        "files": 4,
        "bytes": 557,
        "kinds": {
            ".png": {"files": 2, "bytes": 500},
            ".txt": {"files": 1, "bytes": 50},
            "none": {"files": 1, "bytes": 7},
        },
        "largest": [{"path": "here/a.PNG", "bytes": 300}, {"path": "here/deep/b.png", "bytes": 200}],
    }
    assert progress.take() == {"done": 4, "total": 4, "unit": "files", "note": "557 bytes"}


def test_by_night_it_measures_all_there_is(files: Path, progress: Progress) -> None:
    write(files / "a", 1)
    assert measure(progress)["folder"] == "."
    assert make_task(measure).describe()["options"]["next_at"] is not None


def test_an_empty_folder_holds_nothing(files: Path, progress: Progress) -> None:
    assert measure(progress, largest=0) == {"folder": ".", "files": 0, "bytes": 0, "kinds": {}, "largest": []}


def test_links_are_not_followed_and_a_strange_name_is_readable(files: Path, progress: Progress) -> None:
    write(files / "in/a", 10)
    os.symlink("/etc", files / "in/out")
    os.symlink(files / "in", files / "in/round")
    Path(os.fsdecode(os.fsencode(files / "in") + b"/\xff")).write_bytes(b"xx")
    found = measure(progress, "in")
    assert {one["path"]: one["bytes"] for one in found["largest"]}["in/\\xff"] == 2
    assert found["files"] == 2


def test_a_folder_outside_is_refused(progress: Progress) -> None:
    with pytest.raises(ValueError, match="outside"):
        measure(progress, "..")


def test_what_cannot_be_read_is_told(files: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    write(files / "a", 1)

    def gone(path: str) -> os.stat_result:
        raise FileNotFoundError(2, "gone", path)

    monkeypatch.setattr("examples.disk_use.os.lstat", gone)
    assert measure(progress)["files"] == 0
    (entry,) = [MSGPACK.decode(packed) for packed in progress.unsent(2**20)[1]]
    assert entry["level"] == "warning"
    assert "gone" in entry["text"]
