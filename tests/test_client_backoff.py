"""When a client comes back."""

import pytest

from windsock.backoff import LONGEST_S, Backoff, is_busy, is_final, retry_after_s


def latest(low: float, high: float) -> float:
    return high


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(dice=latest)
    assert [backoff.delay_s(0.0) for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_full_jitter_may_come_back_at_once() -> None:
    assert Backoff(dice=min).delay_s(0.0) == 0.0


def test_a_connection_that_lasted_begins_the_count_anew_and_a_short_one_does_not() -> None:
    backoff = Backoff(dice=latest, failures=6)
    assert backoff.delay_s(1.0) == 20.0
    assert backoff.delay_s(60.0) == 0.5


def test_a_busy_server_is_given_time_even_after_a_long_connection() -> None:
    assert Backoff(dice=latest).delay_s(60.0, busy=True) == 4.0


def test_a_server_that_names_a_time_gets_at_least_that() -> None:
    assert Backoff(dice=min).delay_s(0.0, at_least_s=7.0) == 7.0


def test_a_million_failures_are_no_overflow() -> None:
    assert Backoff(dice=latest, failures=1_000_000).delay_s(0.0) == 20.0


def test_a_drain_window_is_honoured() -> None:
    assert Backoff(dice=latest).moment_s([1, 5]) == 5.0
    assert Backoff(dice=latest).moment_s(None) == 0.0


def test_close_codes_fall_into_their_classes() -> None:
    assert [code for code in (None, 1000, 1006, 4000, 4003, 4100, 4200) if is_final(code)] == [4000, 4003]
    assert [code for code in (None, 1000, 4000, 4100, 4104, 4200) if is_busy(code)] == [4100, 4104]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("2", 2.0),
        ("0", 0.0),
        ("86400", LONGEST_S),
        ("Thu, 01 Jan 1970 00:01:30 GMT", 30.0),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after_s(text, now=60.0) == seconds
