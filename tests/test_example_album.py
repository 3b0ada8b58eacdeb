"""The example with children, on a node that runs them in processes."""

from pathlib import Path

import pytest
from web import eventually

from examples.album import album, small_copy
from server.loader import load
from server.protocol import Submission
from server.registry import make_task

TASKS = str(Path(__file__).parent.parent / "examples")


@pytest.fixture
def registry():
    loaded = load([TASKS])
    assert loaded.problems == []
    return loaded.registry


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The folder that the tasks may use."""
    monkeypatch.setenv("WINDSOCK_FILES", str(tmp_path))
    return tmp_path


@pytest.fixture
def settings(settings, files):
    return settings.model_copy(update={"tasks": (TASKS,), "processes": 2})


@pytest.mark.parametrize("function", [album, small_copy])
def test_each_is_a_task_with_a_summary_for_the_page(function):
    assert 20 < len(make_task(function).summary) < 100


@pytest.mark.gen_test(timeout=50)
async def test_an_album_has_a_small_copy_of_each_image_by_a_job_of_its_own(node, files):
    _, end = await node.queue.submit_and_wait(Submission(task="album", args={"size": 64}), 40)
    assert end.result == {"made": 12, "failed": 0, "page": "examples/images/album.html"}
    assert end.job.children.counts() == {"total": 12, "ended": 12, "failed": 0, "cancelled": 0, "running": 0}
    page = (files / "examples/images/album.html").read_text()
    copies = sorted(path.name for path in (files / "examples/images/thumbnails").iterdir())
    assert len(copies) == 12
    assert all(f'src="thumbnails/{name}"' in page for name in copies)


@pytest.mark.gen_test(timeout=50)
async def test_what_is_no_image_fails_by_itself(node, files):
    mine = files / "mine"
    mine.mkdir()
    (mine / "bad.png").write_bytes(b"no image")
    job = await node.queue.submit(Submission(task="album", args={"folder": "mine"}))

    async def ended():
        detail = await node.queue.get(job.id)
        return detail if detail.job.ended else None

    end = await eventually(ended, 40)
    assert end.result == {"made": 0, "failed": 1, "page": "mine/album.html"}
    page = await node.queue.log(job.id, 0, 10)
    assert "mine/bad.png is no image" in page["entries"][-1]["text"]
