"""The Python client, sync and async alike, against a real server."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clients import client, served
from processes import Server, lasting

import windsock
from windsock import (
    Busy,
    Conflict,
    Invalid,
    Job,
    JobFailed,
    JobWasCancelled,
    NotFound,
    Options,
    Refused,
    Submission,
)

__all__ = ["client", "lasting", "served"]


def test_a_submit_gives_a_handle_whose_result_is_what_the_task_returned(client: Any) -> None:
    handle = client.submit("count", to=3)
    assert len(handle.id) == 26
    assert handle.result(10) == 3
    job = handle.get()
    assert isinstance(job, Job)
    assert (job.state, job.task, job.result, job.ended, job.has_result) == ("succeeded", "count", 3, True, True)
    assert job.progress is not None
    assert (job.progress.done, job.progress.total, job.progress.fraction) == (3, 3, 1.0)
    assert job.raw["args"] == {"to": 3}


def test_a_task_may_have_arguments_of_any_name(client: Any) -> None:
    with pytest.raises(Invalid) as refusal:
        client.submit("count", task=1, options=2, self=3)
    assert {"args.task", "args.options", "args.self"} <= {one.field for one in refusal.value.fields}


def test_options_reach_the_job(client: Any) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    handle = client.submit("count", Options(at=at, tags=["user:7"], priority=5, max_attempts=7), to=1)
    job = handle.get()
    assert job.state == "scheduled"
    assert job.scheduled_at == int(at.timestamp() * 1000)
    assert (job.tags, job.priority, job.max_attempts) == (("user:7",), 5, 7)
    assert handle.cancel().state == "cancelled"


def test_a_refused_submit_names_each_field(client: Any) -> None:
    with pytest.raises(Invalid, match=r"args\.to: .*\(invalid\)") as refusal:
        client.submit("count", to="many")
    assert [one.field for one in refusal.value.fields] == ["args.to"]
    assert (refusal.value.status, refusal.value.code) == (422, "invalid")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_does_not_have_are_told_at_once(client: Any, value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        client.submit("echo", value=value)


def test_what_is_no_json_value_is_told_at_once(client: Any) -> None:
    with pytest.raises(TypeError):
        client.submit("echo", value=datetime.now(UTC))


def test_a_failed_job_raises_with_code_and_traceback(client: Any) -> None:
    with pytest.raises(JobFailed, match="exception: ValueError: no luck") as failure:
        client.submit("fail", message="no luck").result(10)
    assert failure.value.code == "exception"
    assert "raise ValueError(message)" in (failure.value.traceback or "")
    assert failure.value.job.state == "failed"


def test_a_cancelled_job_raises_that_it_was(client: Any) -> None:
    handle = client.submit("count", to=10_000)
    assert handle.cancel().state in ("cancelling", "cancelled")
    with pytest.raises(JobWasCancelled) as end:
        handle.result(10)
    assert (end.value.code, end.value.traceback) == (None, None)


@pytest.mark.parametrize("timeout_s", [0, 0.3, 1.2])
def test_a_wait_that_is_too_short_is_a_timeout_and_the_job_goes_on(client: Any, timeout_s: float) -> None:
    handle = client.submit("count", to=10_000)
    with pytest.raises(TimeoutError, match="it goes on"):
        handle.wait(timeout_s)
    assert not handle.get().ended
    handle.cancel()


def test_a_wait_of_a_part_of_a_second_sees_an_end_in_it(client: Any) -> None:
    assert client.submit("echo", value="x").wait(0.9).result == "x"


def test_an_unknown_job_is_not_found(client: Any) -> None:
    for ask in (client.get, client.wait, client.cancel, client.rerun, client.delete, client.log):
        with pytest.raises(NotFound, match="01NOSUCH"):
            ask("01NOSUCH")


def test_a_filter_that_is_no_text_of_unicode_matches_nothing(client: Any) -> None:
    assert client.list(tag="\udcff").jobs == ()


def test_what_cannot_be_an_id_is_not_asked_for(client: Any) -> None:
    for text in ("", "..", "x" * 65):
        with pytest.raises(ValueError, match="not the id of a job"):
            client.get(text)


def test_ended_jobs_run_anew_and_are_deleted(client: Any) -> None:
    handle = client.submit("count", to=1)
    with pytest.raises(Conflict):
        client.submit("count", to=1000).rerun()
    handle.wait(10)
    again = handle.rerun()
    assert again.id != handle.id
    assert again.wait(10).rerun_of == handle.id
    handle.delete()
    with pytest.raises(NotFound):
        handle.get()


def test_many_jobs_go_in_at_once_and_each_is_answered(client: Any) -> None:
    wanted = [Submission("echo", {"value": number}) for number in range(1500)]
    wanted[700] = Submission("nosuch")
    found = client.submit_many(wanted)
    assert len(found) == 1500
    assert isinstance(found[700], Invalid)
    assert found[1499].result(20) == 1499
    assert [one for one in found if isinstance(one, Refused)] == [found[700]]


def test_no_jobs_at_all_are_no_request(client: Any) -> None:
    assert client.submit_many([]) == ()


def test_lists_are_filtered_and_paged(client: Any) -> None:
    handles = [client.submit("echo", Options(tags=[f"list-{id(client)}"]), value=number) for number in range(3)]
    for handle in handles:
        handle.wait(10)
    page = client.list(tag=f"list-{id(client)}", state=["succeeded", "failed"], limit=2)
    assert [job.id for job in page.jobs] == [handles[2].id, handles[1].id]
    rest = client.list(tag=f"list-{id(client)}", limit=2, before=page.next)
    assert [job.id for job in rest.jobs] == [handles[0].id]
    assert client.list(tag=f"list-{id(client)}").counts["succeeded"] == 3


def test_a_filter_that_there_is_not_is_refused_here(client: Any) -> None:
    with pytest.raises(TypeError, match="not chosen by colour"):
        client.list(colour="red")
    with pytest.raises(TypeError, match="not chosen by colour"):
        next(client.feed(colour="red"))


def test_a_log_is_read_piece_by_piece(client: Any) -> None:
    handle = client.submit("speak", values=["a", {"b": 1}])
    handle.wait(10)
    page = client.log(handle.id, limit=3)
    assert [entry.get("text", entry.get("value")) for entry in page.entries] == ["word 1", "a", "word 2"]
    assert (page.first, page.last, page.next) == (1, 4, 3)
    rest = client.log(handle.id, after=page.next)
    assert [entry["value"] for entry in rest.entries] == [{"b": 1}]
    assert rest.next is None


def test_tasks_and_nodes_are_told(client: Any) -> None:
    assert "count" in [one["name"] for one in client.tasks()]
    (node,) = client.nodes()
    assert node["worker"]["running"] >= 0


def test_a_key_of_ones_own_gives_the_first_job_again(client: Any) -> None:
    key = f"order-{id(client)}"
    first = client.submit("echo", Options(idempotency_key=key), value=1)
    assert client.submit("echo", Options(idempotency_key=key), value=1).id == first.id
    with pytest.raises(Invalid):
        client.submit("echo", Options(idempotency_key=key), value=2)


def test_errors_say_whether_trying_again_may_help() -> None:
    assert issubclass(Busy, Refused)
    assert not issubclass(Invalid, Busy)


def test_the_client_of_the_process_is_made_once(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDSOCK_URL", served.url)
    first, second = windsock.submit("echo", value=1), windsock.submit("echo", Options(priority=3), value=2)
    assert [first.result(10), second.result(10)] == [1, 2]
    assert first.client is second.client
    first.client.close()
