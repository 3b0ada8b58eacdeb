"""What the commands share: help, environment, durations and times, and what is said when nobody answers."""

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import click
import pytest
from click.testing import CliRunner

from cli.main import COMMANDS
from cli.options import Duration, LogWish, Moment

BY_NAME = {command.name: command for command in COMMANDS}


@pytest.mark.parametrize("name", list(BY_NAME))
def test_help_has_examples_exit_codes_and_environment(name: str) -> None:
    result = CliRunner().invoke(BY_NAME[name], ["--help"])
    assert result.exit_code == 0
    for told in ("Example", f"windsock {name}", "Exit codes:", "130  detached", "WINDSOCK_URL"):
        assert told in result.output


@pytest.mark.parametrize("name", list(BY_NAME))
def test_every_flag_has_an_environment_variable(name: str) -> None:
    options = [one for one in BY_NAME[name].params if one.param_type_name == "option"]
    assert all(str(one.envvar).startswith("WINDSOCK_") for one in options)


@pytest.mark.parametrize("arguments", [("jobs",), ("watch", "J1"), ("tasks",), ("submit", "sleep"), ("show", "J1")])
def test_no_server_exits_4_and_says_what_to_do(arguments: tuple[str, ...]) -> None:
    with socket.socket() as deaf, ThreadPoolExecutor(1) as thread:
        deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        name, *rest = arguments
        result = thread.submit(CliRunner().invoke, BY_NAME[name], [*rest, "--url", url]).result()
    assert result.exit_code == 4
    hint = "start one with `windsock serve` or give --url"
    assert result.stderr == f"windsock: no server answers at {url}: {hint}\n"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5", 1.5), ("30s", 30), ("5 m", 300), ("2h", 7200)])
def test_durations_may_have_a_unit(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "soon", "9" * 400])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_a_moment_is_local_unless_it_has_a_zone() -> None:
    local = datetime(2030, 1, 31, 18, 30)
    assert Moment().convert("2030-01-31T18:30", None, None) == int(local.timestamp() * 1000)
    assert Moment().convert("2030-01-31T18:30+00:00", None, None) == 1_896_114_600_000
    assert Moment().convert("1896114600000", None, None) == 1_896_114_600_000


def test_a_log_wish_is_a_word_or_a_number() -> None:
    assert [LogWish().convert(text, None, None) for text in ("none", "all", "0", "20")] == ["none", "all", 0, 20]
    for text in ("-1", "1e3", "", "9" * 10):
        with pytest.raises(click.BadParameter):
            LogWish().convert(text, None, None)
