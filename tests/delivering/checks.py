"""What has to be true when no fault is left: of everybody who watches, and of the nodes."""

from typing import TYPE_CHECKING, Any

from delivering.reader import Account
from delivering.way import run_script
from server.broker.record import pack, unpack

QUIET_S = 15.0  # the promise: so long after the last fault everybody holds what the store has
GAP_S = 0.25  # of a short fault

if TYPE_CHECKING:
    from delivering.world import World


def check_rest(world: "World") -> None:
    """Everybody holds what the store has."""
    for client in world.clients:
        assert not client.stale, f"{client.name} was told stale, and not fresh"
        for account in client.accounts:
            _check_account(world, account)
    _check_agreement(world)


def _check_account(world: "World", account: Account) -> None:
    job = world.truth.jobs[account.job_id]
    held = f"{account.who} holds {account.job}, the store {job}"
    assert account.phase == ("ended" if job.ended else "live") or account.end is not None, held
    assert account.job is not None, held
    assert (account.job["state"], account.job["attempt"]) == (job.state.value, job.attempt), held
    if account.end is None or not world.truth.losses:  # an end that is told again to the store gets a new version
        summary = job.summary()
        assert account.version == job.version, held
        assert {name: account.job[name] for name in summary} == summary, held
    if account.log != "none":
        assert account.position == job.offset or (account.position > job.offset and world.truth.losses), held
        _check_log(world, account)


def _check_log(world: "World", account: Account) -> None:
    stored = world.truth.logs[account.job_id]
    for offset in range(account.start + 1, account.position + 1):
        assert (offset in account.entries) is not (offset in account.gaps), f"{account.who}: {offset}"
        if offset in account.entries and stored.get(offset) is not None:
            text = f"{account.who} has {account.entries[offset]} at {offset}, the store {stored[offset]}"
            assert account.entries[offset] == stored[offset], text
        if offset in account.entries and offset in stored and not world.truth.losses:
            assert stored[offset] is not None, f"{account.who} has {offset}, of which the store says it is lost"


def _check_agreement(world: "World") -> None:
    """Where two clients hold an entry it is the same."""
    seen: dict[tuple[str, int], tuple[str, Any]] = {}
    for client in world.clients:
        for account in client.accounts:
            for offset, value in account.entries.items():
                who, first = seen.setdefault((account.job_id or "", offset), (account.who, value))
                assert first == value, f"{who} and {account.who} differ at {offset}: {first!r} {value!r}"


def check_end(world: "World") -> None:
    """Every subscription was told its end once, as it is stored, and nothing is left on the nodes."""
    for client in world.clients:
        for account in client.accounts:
            assert account.end is not None, f"{account.who} was told no end"
            _check_outcome(world, account.end)
    for node in world.nodes:
        count = node.node.metrics.traffic.subscriptions["job"]
        assert count == 0, f"{count} subscriptions are left"


def _check_outcome(world: "World", frame: dict[str, Any]) -> None:
    _, (row,) = unpack(run_script(world.redis, world.tag, "fetch", pack([frame["job"]["id"]]), "detail"))
    result = None if row[2] in (None, False) else unpack(row[2])
    told = frame["job"].get("result")
    assert (result is None) is (told is None), (frame, row)
    assert result is None or result[b"said"] == told["said"]


def _check_repairs(world: "World") -> None:
    """What was missed is read within a second of the sign that it was, and not by the second look."""
    for client in world.clients[:2]:
        world.do(client.submit, "all")
    world.wait(1.0)
    first, second = world.stage.acts[-2:]
    for client in world.clients:
        world.do(client.watch, first.progress.job_id, "all")
    for node in world.nodes:
        node.ear.drop = 1
    world.do(world.stage.say, first, 1, 0)
    world.wait(GAP_S)
    assert not any(node.ear.drop for node in world.nodes)
    world.do(world.stage.say, second, 1, 0)  # a message of another job, with a number too high
    world.wait(1.0)
    check_rest(world)
    for node in world.nodes:
        world.do(node.ear.cut, GAP_S)
    world.do(first.progress.advance)
    world.wait(GAP_S + 1.0)
    check_rest(world)


def come_to_rest(world: "World") -> None:
    """No fault any more; then everybody holds what the store has, is told every end once, and late ones the same."""
    world.heal()
    world.wait(QUIET_S)
    check_rest(world)
    _check_repairs(world)
    world.end_jobs()
    world.wait(QUIET_S)
    check_rest(world)
    for client in world.clients:
        for job_id in world.truth.jobs:
            world.do(client.watch, job_id, "all")
    world.wait(1.0)
    check_rest(world)
    check_end(world)
