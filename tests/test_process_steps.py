"""Steps and checkpoints of a function in another process: they cross the line as said."""

import pytest
from pool import begin, no_collector, registry, run, settings, texts
from web import eventually

__all__ = ["begin", "no_collector", "registry", "run", "settings"]


async def shown(node, job_id):
    """The progress and the checkpoint, as GET shows them."""
    whole = (await node.queue.get(job_id)).whole()
    return whole["progress"], whole.get("checkpoint")


@pytest.mark.expects_log("its end came too late")
@pytest.mark.gen_test(timeout=30)
async def test_steps_and_checkpoints_cross_the_line(node, begin, tmp_path):
    job = await begin("in_steps", file=str(tmp_path / "go"))

    async def there() -> bool:
        progress, checkpoint = await shown(node, job.id)
        return progress["unit"] == "files" and checkpoint == {"written": 1}

    await eventually(there, 10)
    progress, _ = await shown(node, job.id)
    assert progress["step"] == {"name": "write", "path": ["write"]}
    assert progress["fraction"] == 0.625
    assert await texts(node, job.id) == [f"read {number}" for number in range(4)]
    await node.broker.release(node.id, job.id)  # as if its worker were lost: another attempt begins, and finds it
    (tmp_path / "go").touch()

    async def over() -> bool:
        return (await node.queue.get(job.id)).job.ended

    await eventually(over, 15)
    detail = await node.queue.get(job.id)
    assert (detail.result, detail.job.attempt, detail.job.progress["fraction"]) == ({"written": 1}, 2, 1)
