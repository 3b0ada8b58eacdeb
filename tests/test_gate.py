"""Who may come in, without sockets: how many are held, and how long the others may have waited."""

import random
import resource
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from processes import processes

from handlers.gate import LEAST_SPARE, Gate, Reason, raise_descriptors, room
from server.errors import Unavailable
from server.settings import Settings

__all__ = ["processes"]
LIMIT_S = 2.0


class House:
    """How many there are, for a gate."""

    def __init__(self, **settings: float) -> None:
        self.held = self.greeting = 0
        self.refused: Counter[str] = Counter()
        self.gate = Gate(Settings(accept_s=LIMIT_S, **settings), self.refused, lambda: self.held, lambda: self.greeting)


@pytest.fixture
def descriptors() -> Iterator[int]:
    """The hard limit; the soft one is put back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_node_that_holds_as_many_as_it_may_takes_no_more():
    house = House(connections=2)
    house.held = 1
    house.gate.check(0.0)
    house.held = 2
    with pytest.raises(Unavailable, match="holds as many"):
        house.gate.check(0.0)
    assert house.refused == {"full": 1}
    house.held = 1
    house.gate.check(0.0)


def test_a_node_with_too_many_that_have_not_said_hello_takes_no_more():
    house = House(greeting=3)
    house.greeting = 3
    with pytest.raises(Unavailable, match="connecting at once"):
        house.gate.check(0.0)
    assert house.refused == {"greeting": 1}


@pytest.mark.parametrize(("soft", "clients"), [(1024, 1024 - LEAST_SPARE), (10_000, 9000), (100, 1)])
def test_without_a_setting_the_descriptors_say_how_many(descriptors, soft, clients):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, descriptors))
    assert room() == clients
    house = House()
    house.held = clients - 1
    assert house.gate.shut() is None
    house.held = clients
    assert house.gate.shut() is Reason.FULL


def test_a_setting_does_not_go_beyond_the_descriptors(descriptors):
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, descriptors))
    house = House(connections=5000)
    house.held = 1024
    assert house.gate.shut() is Reason.FULL


def test_a_process_takes_all_the_descriptors_it_may_have(descriptors):
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, descriptors))
    raise_descriptors()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(descriptors, 1 << 20), descriptors)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_takes_all_the_descriptors_it_may_have(descriptors, processes):
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, descriptors))
    server = processes.serve("--no-worker")
    with open(f"/proc/{server.pid}/limits") as limits:
        soft, hard = next(line.split()[3:5] for line in limits if line.startswith("Max open files"))
    assert soft == hard == str(descriptors)


def judged(gate: Gate, *moments: tuple[float, float]) -> list[Reason | None]:
    """Connections accepted at these times, after such waits."""
    return [gate.judge(waited_s, now) for now, waited_s in moments]


def test_who_waited_too_long_in_a_queue_that_does_not_get_empty_is_sent_away():
    gate = House().gate
    assert judged(gate, (10.0, 0.1), (11.9, 2.5)) == [None, None]
    assert judged(gate, (12.1, 2.5), (12.2, 1.9), (12.3, 2.1)) == [Reason.LATE, None, Reason.LATE]


def test_those_that_waited_while_the_loop_was_blocked_come_in():
    gate = House().gate
    judged(gate, (1.0, 0.0))
    gate.emptied()
    assert judged(gate, (9.0, 8.0), (9.5, 8.0), (10.9, 8.0)) == [None, None, None]


def test_a_queue_that_was_empty_in_between_has_its_time_again():
    gate = House().gate
    judged(gate, (10.0, 0.0))
    gate.emptied()
    assert judged(gate, (12.5, 3.0)) == [None]


def test_those_sent_away_are_spread_over_the_time_it_takes_to_serve_them():
    random.seed(1)
    gate = House().gate
    judged(gate, *[(10.0 + number / 1000, 0.5) for number in range(1000)])  # 1,000 a second
    waits = []
    for _ in range(8000):
        assert gate.judge(2.5, 12.5) is Reason.LATE
        waits.append(gate.refusal(Reason.LATE, 12.5).after_s)
    assert max(waits[:100]) < 1.5
    assert 15 < max(waits[-1000:]) <= 20.5
    assert min(waits[-1000:]) < 1


def test_nobody_is_told_to_stay_away_for_long():
    gate = House().gate
    judged(gate, (10.0, 0.0))
    assert max(gate.refusal(Reason.LATE, 15.0).after_s for _ in range(1000)) <= 30


@pytest.mark.parametrize("reason", [Reason.FULL, Reason.GREETING])
def test_those_sent_away_for_want_of_room_do_not_come_back_together(reason):
    gate = House().gate
    waits = {round(gate.refusal(reason, 0.0).after_s) for _ in range(200)}
    assert min(waits) >= 1
    assert len(waits) >= 4


def test_a_storm_is_told_in_one_line(caplog):
    caplog.set_level("INFO", "windsock.gate")
    gate = House().gate
    for number in range(1000):
        gate.refusal(Reason.FULL, number / 200)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    gate.refusal(Reason.FULL, 11.0)
    assert len(caplog.records) == 2
