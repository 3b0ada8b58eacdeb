"""The file that keeps where watches stand."""

from pathlib import Path

import pytest

from cli.cursors import MAX_FILE_BYTES, CursorFile
from cli.exits import BadUsage
from windsock.watch import Watch


def shown(**cursors: str) -> Watch:
    """A watch that stands there."""
    return Watch.of(cursors, "all", cursors)


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    CursorFile(tmp_path / "f").save(shown(A="k-1.5.3", B="k-2.9.0"))
    assert CursorFile(tmp_path / "f").read() == {"A": "k-1.5.3", "B": "k-2.9.0"}
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_no_file_and_an_empty_one_have_no_cursors(tmp_path: Path) -> None:
    assert CursorFile(tmp_path / "f").read() == {}
    CursorFile(tmp_path / "f").save(Watch.of(["A"], "all"))
    assert CursorFile(tmp_path / "f").read() == {}


def test_lines_of_jobs_that_are_not_watched_now_are_kept(tmp_path: Path) -> None:
    CursorFile(tmp_path / "f").save(shown(A="k-1.1.1", B="k-1.1.1"))
    again = CursorFile(tmp_path / "f")
    again.read()
    again.save(shown(B="k-1.2.2"))
    assert again.read() == {"A": "k-1.1.1", "B": "k-1.2.2"}


def test_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    file = CursorFile(tmp_path / "f")
    file.save(shown(A="k-1.1.1"))
    file.path.unlink()
    file.save(shown(A="k-1.1.1"))
    assert not file.path.exists()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "f")
    CursorFile(tmp_path / "link").save(shown(A="k-1.1.1"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "f").read_text() == "A k-1.1.1\n"


@pytest.mark.parametrize(
    "content", [b"root:x:0:0:root:/root:/bin/bash\n", b"A k-1.1.1 more\n", b"A \xff\n", b"A k\n" * MAX_FILE_BYTES]
)
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(BadUsage, match="not a file of cursors"):
        CursorFile(path).read()
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="Is a directory"):
        CursorFile(tmp_path).read()
    with pytest.raises(BadUsage, match="No such file or directory"):
        CursorFile(tmp_path / "nowhere" / "f").save(shown(A="k-1.1.1"))


def test_a_file_that_cannot_be_replaced_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(BadUsage):
        CursorFile(tmp_path / "f").save(shown(A="k-1.1.1"))
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
