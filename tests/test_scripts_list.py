"""The script that lists jobs, against a plain search through all of them."""

import random

import pytest
from storing import TASKS, Store, new_job, opened

from server.broker import ListWish
from server.job import Job, JobState

QUEUES, TAGS = ("default", "big", "small"), ("a", "b", "a:1")
STATES = tuple(state.value for state in JobState)
DRAW = random.Random(7)


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


async def populate(store: Store, count: int) -> list[Job]:
    """Jobs in all states, newest first."""
    new = [
        new_job(
            DRAW.choice(TASKS),
            queue=DRAW.choice(QUEUES),
            tags=tuple(DRAW.sample(TAGS, DRAW.randrange(3))),
            delay_s=DRAW.choice([None] * 6 + [60]),
        )
        for _ in range(count)
    ]
    await store.broker.submit(new)
    leases = await store.claim(count=count * 2 // 3)
    for lease in leases:
        fate = DRAW.choice(["stay", "cancel", "succeeded", "failed", "cancelled", "queued"])
        if fate == "cancel":
            await store.broker.cancel(lease.id)
        elif fate != "stay":
            await store.finish(lease, fate, None)
    _, jobs = await store.broker.fetch([job.id for job in reversed(new)])
    return [job for job in jobs if job is not None]


def value_of(job: Job, field: str) -> set[str]:
    """What a job has in a field of a filter."""
    return set(job.tags) if field == "tag" else {getattr(job, field)}


def found(jobs: list[Job], wish: ListWish, *, any_state: bool = False) -> list[Job]:
    """The jobs a wish is for, the plain way."""
    fields = [] if wish.index == "all" else [(wish.index, wish.values)]
    return [
        job
        for job in jobs
        if (any_state or job.state in wish.states)
        and all(value_of(job, field) & set(values) for field, values in (*fields, *wish.others))
    ]


def a_wish() -> ListWish:
    """Some wish."""
    choices = {"task": TASKS, "queue": QUEUES, "tag": TAGS}
    given = [
        (name, DRAW.sample(values, DRAW.randint(1, 2)))
        for name, values in DRAW.sample(sorted(choices.items()), DRAW.randrange(4))
    ]
    states = STATES if DRAW.random() < 0.3 else DRAW.sample(STATES, DRAW.randint(1, 3))
    return ListWish(states, *given[0], given[1:]) if given else ListWish(states)


@pytest.mark.gen_test
async def test_pages_of_every_wish_put_together_are_what_a_plain_search_finds(store):
    jobs = await populate(store, 150)
    for _ in range(60):
        wish, limit = a_wish(), DRAW.choice([1, 3, 10, 50, 500])
        seen: list[Job] = []
        before = None
        while True:
            page = await store.broker.page(wish, limit, before)
            assert len(page.jobs) <= limit
            seen += page.jobs
            before = page.next
            if before is None:
                break
            assert len(page.jobs) == limit  # so few jobs never reach the bound of looked-at entries
        assert seen == found(jobs, wish), wish


@pytest.mark.gen_test
async def test_counts_are_exact_for_none_or_one_filter_of_one_value(store):
    jobs = await populate(store, 80)
    wishes = [ListWish(["queued"])]
    for field, values in (("task", TASKS), ("queue", QUEUES), ("tag", (*TAGS, "nobody"))):
        wishes += [ListWish(["queued"], field, [value]) for value in values]
    for wish in wishes:
        page = await store.broker.page(wish, 1, counts=True)
        everything = found(jobs, wish, any_state=True)
        assert page.counts == {state: sum(job.state == state for job in everything) for state in STATES}, wish


@pytest.mark.gen_test
async def test_a_page_says_at_which_message_it_was_read(store):
    await store.submit()
    page = await store.broker.page(ListWish(STATES), 10)
    assert page.seq == store.tick().seq
    assert page.counts is None


@pytest.mark.gen_test
async def test_a_page_of_several_filters_looks_at_a_bounded_number_and_goes_on(store, monkeypatch):
    monkeypatch.setattr("server.broker.broker.MAX_LOOK", 20)
    first = await store.submit(tags=("rare",))
    await store.broker.submit([new_job() for _ in range(50)])
    wish = ListWish(STATES, "task", ["add"], [("tag", ["rare"])])
    pages, before, jobs = 0, None, []
    while True:
        page = await store.broker.page(wish, 10, before)
        pages, before = pages + 1, page.next
        jobs += page.jobs
        if before is None:
            break
    assert (pages, jobs) == (3, [first])


@pytest.mark.gen_test
async def test_an_empty_store_has_an_empty_page(store):
    page = await store.broker.page(ListWish(STATES), 10, counts=True)
    assert (page.jobs, page.next, page.seq) == ([], None, 0)
    assert page.counts == dict.fromkeys(STATES, 0)
