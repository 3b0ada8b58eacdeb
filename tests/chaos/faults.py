"""What goes wrong: each fault is a coroutine that does it, waits as long as it lasts, and mends it."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

from chaos.house import Child, House
from chaos.proxy import Proxy

Fault = Callable[[House, random.Random], Awaitable[str]]  # tells what it was done to


def _hold_s(rng: random.Random) -> float:
    return rng.uniform(0.2, 1.6)


# processes


async def _kill(child: Child, rng: random.Random) -> str:
    child.kill()
    await asyncio.sleep(rng.uniform(0, 0.3))
    child.start()
    await child.ready()
    return child.name


async def kill_node(house: House, rng: random.Random) -> str:
    """kill -9 of a serving node, and a new one on another port."""
    child = rng.choice(house.nodes)
    name = await _kill(child, rng)
    await house.all_ready()
    return name


async def kill_worker(house: House, rng: random.Random) -> str:
    """kill -9 of a worker, and a new one."""
    return await _kill(rng.choice(house.workers), rng)


async def kill_redis(house: House, rng: random.Random) -> str:
    """kill -9 of Redis, at once again on its data."""
    house.redis.kill()
    await asyncio.sleep(rng.choice([0, 0, 0.5, 1.2]) * rng.random())
    await house.start_redis()
    return "redis"


async def _stop(child: Child, rng: random.Random) -> str:
    child.send(signal.SIGSTOP)
    try:
        hold_s = rng.uniform(1.3, 2.2)
        await asyncio.sleep(hold_s)
    finally:
        child.send(signal.SIGCONT)
    return f"{child.name} for {hold_s:.2f} s"


async def freeze_worker(house: House, rng: random.Random) -> str:
    """SIGSTOP past the lease, then SIGCONT."""
    return await _stop(rng.choice(house.workers), rng)


async def freeze_node(house: House, rng: random.Random) -> str:
    """The same with a serving node."""
    return await _stop(rng.choice(house.nodes), rng)


async def drain_worker(house: House, rng: random.Random) -> str:
    """SIGTERM of a worker, and a new one when it has ended."""
    return await _drain(rng.choice(house.workers))


async def drain_node(house: House, rng: random.Random) -> str:
    """SIGTERM of a serving node."""
    name = await _drain(rng.choice(house.nodes))
    await house.all_ready()
    return name


async def _drain(child: Child) -> str:
    child.send(signal.SIGTERM)
    status = await child.ended(10)
    child.start()
    await child.ready()
    return f"{child.name} (status {status})"


async def kill_in_a_loop(house: House, rng: random.Random) -> str:
    """kill -9 of nodes, workers and Redis, one after the other, each started again at once; nobody waits for it."""
    killed = []
    for _ in range(rng.randint(3, 4)):  # fewer than the attempts that a job may lose
        child = rng.choice([*house.ours, house.redis])
        child.kill()
        await asyncio.sleep(rng.uniform(0, 0.1))
        if child is house.redis:
            await house.start_redis()
        else:
            child.start()
        await asyncio.sleep(rng.uniform(0, 0.6))
        killed.append(child.name)
    await house.all_ready()
    return ", ".join(killed)


async def restore_older(house: House, rng: random.Random) -> str:
    """kill -9 of Redis, and back with what it had some time ago."""
    house.keep_data()
    age_s = rng.uniform(0.05, 1.2)
    await asyncio.sleep(age_s)
    house.lose_data(back_to_copy=True)
    await house.start_redis()
    return f"{age_s:.2f} s older"


async def restore_none(house: House, rng: random.Random) -> str:
    """kill -9 of Redis, and back with nothing."""
    await asyncio.sleep(rng.uniform(0, 0.8))
    house.lose_data(back_to_copy=False)
    await asyncio.sleep(rng.choice([0, 0.5]) * rng.random())
    await house.start_redis()
    return "empty"


async def kill_pubsub(house: House, rng: random.Random) -> str:
    """CLIENT KILL TYPE pubsub: the links of all processes, and nothing else."""
    times = rng.randint(1, 3)
    for _ in range(times):
        await house.store.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(rng.uniform(0, 0.3))
    return f"{times} times"


async def kill_worker_unheard(house: House, rng: random.Random) -> str:
    """kill -9 of a worker while one node hears nothing of Redis: others know of attempts that it does not."""
    deaf = rng.choice(house.nodes)
    proxy = house.to_redis[deaf.name]
    proxy.down.swallows = True
    try:
        name = await kill_worker(house, rng)
        await asyncio.sleep(rng.uniform(0.8, 1.5))
    finally:
        proxy.clear()
    return f"{name}, unheard by {deaf.name}"


# the network


def _client_side(house: House, rng: random.Random) -> tuple[str, Proxy]:
    name = rng.choice(list(house.to_node))
    return name, house.to_node[name]


def _redis_side(house: House, rng: random.Random) -> tuple[str, Proxy]:
    name = rng.choice(list(house.to_redis))
    return name, house.to_redis[name]


def _cut(proxy: Proxy, rng: random.Random) -> str:
    proxy.cut()
    return "cut"


def _reset(proxy: Proxy, rng: random.Random) -> str:
    proxy.reset()
    return "reset"


def _cut_after(proxy: Proxy, rng: random.Random) -> str:
    weather, count = rng.choice([proxy.up, proxy.down]), rng.randint(1, 60_000)
    weather.cut_after = count
    return f"cut after {count} bytes {'up' if weather is proxy.up else 'down'}"


def _swallow_up(proxy: Proxy, rng: random.Random) -> str:
    proxy.up.swallows = True
    return "swallows up"


def _swallow_down(proxy: Proxy, rng: random.Random) -> str:
    proxy.down.swallows = True
    return "swallows down"


def _delay(proxy: Proxy, rng: random.Random) -> str:
    proxy.up.delay_s, proxy.down.delay_s = rng.uniform(0, 0.6), rng.uniform(0, 0.6)
    return f"delay {proxy.up.delay_s:.2f} s up {proxy.down.delay_s:.2f} s down"


def _throttle(proxy: Proxy, rng: random.Random) -> str:
    proxy.up.bytes_per_s = proxy.down.bytes_per_s = rng.uniform(5_000, 60_000)
    return f"{proxy.up.bytes_per_s:.0f} bytes/s"


def _network(
    side: Callable[[House, random.Random], tuple[str, Proxy]], spoil: Callable[[Proxy, random.Random], str]
) -> Fault:
    async def fault(house: House, rng: random.Random) -> str:
        name, proxy = side(house, rng)
        hold_s = _hold_s(rng)
        what = spoil(proxy, rng)
        try:
            await asyncio.sleep(hold_s)
        finally:
            proxy.clear()
        return f"{name}, {what}, {hold_s:.2f} s"

    return fault


_SPOILS = {
    "cut": _cut,
    "reset": _reset,
    "cut_after": _cut_after,
    "swallow_up": _swallow_up,
    "swallow_down": _swallow_down,
    "delay": _delay,
    "throttle": _throttle,
}
FORGETFUL = ("restore_older", "restore_none")  # what nobody holds is lost: waiting jobs, and their ends
FAULTS: dict[str, Fault] = {
    **{
        fault.__name__: fault
        for fault in (
            kill_node,
            kill_worker,
            kill_worker_unheard,
            kill_redis,
            kill_in_a_loop,
            kill_pubsub,
            restore_older,
            restore_none,
            freeze_worker,
            freeze_node,
            drain_worker,
            drain_node,
        )
    },
    **{f"client_{name}": _network(_client_side, spoil) for name, spoil in _SPOILS.items()},
    **{f"redis_{name}": _network(_redis_side, spoil) for name, spoil in _SPOILS.items()},
}
