"""Settings: read once from the environment and the command line, each value checked."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from server.errors import StartupError
from server.settings import Durability, Settings


def test_without_anything_there_are_the_defaults_of_the_protocol() -> None:
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8765, Path(".windsock"))
    assert (settings.slots, settings.threads, settings.subscriptions) == (100, 8, 256)
    assert (settings.redis, settings.durability) == (None, Durability.EVERYSEC)


def test_the_environment_is_read() -> None:
    settings = Settings.read({"WINDSOCK_PORT": "9000", "WINDSOCK_WORKER": "no", "WINDSOCK_DURABILITY": "always"})
    assert (settings.port, settings.worker, settings.durability) == (9000, False, Durability.ALWAYS)


def test_what_is_given_wins_over_the_environment() -> None:
    assert Settings.read({"WINDSOCK_PORT": "9000"}, port=9001).port == 9001


def test_none_means_not_given() -> None:
    assert Settings.read({"WINDSOCK_PORT": "9000"}, port=None).port == 9000


def test_false_and_zero_are_given() -> None:
    settings = Settings.read({"WINDSOCK_WORKER": "yes", "WINDSOCK_PORT": "9000"}, worker=False, port=0)
    assert (settings.worker, settings.port) == (False, 0)


def test_an_empty_variable_means_not_given() -> None:
    assert Settings.read({"WINDSOCK_PORT": ""}).port == 8765


def test_lists_are_separated_by_commas() -> None:
    assert Settings.read({"WINDSOCK_TASKS": "jobs.py, examples ,"}).tasks == ("jobs.py", "examples")


def test_variables_of_others_are_left_alone() -> None:
    assert Settings.read({"PORT": "1", "WINDSOCK_NOTHING": "1"}) == Settings.read({})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("SLOTS", "0"),
        ("LEASE_S", "0"),
        ("LEASE_S", "nan"),
        ("NAMESPACE", "a b"),
        ("NAME", "x" * 65),
        ("DURABILITY", "sometimes"),
        ("REDIS_MAXMEMORY_BYTES", "1"),
        ("WORKER", "perhaps"),
    ],
)
def test_a_wrong_value_is_a_refusal_that_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(StartupError, match=rf"^setting {variable.lower()} \(WINDSOCK_{variable}\): ") as caught:
        Settings.read({f"WINDSOCK_{variable}": value})
    assert "\n" not in caught.value.message


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(StartupError, match=r"setting port .*; setting slots "):
        Settings.read({"WINDSOCK_PORT": "x", "WINDSOCK_SLOTS": "x"})


def test_a_setting_nobody_knows_is_refused() -> None:
    with pytest.raises(StartupError, match="setting prot"):
        Settings.read({}, prot=1)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings.read({}).port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_name_of_a_node_is_a_word_whatever_the_host_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "büro pc/1" + "x" * 99)
    assert re.fullmatch(r"b-ro-pc-1x{55}", Settings.read({}).name)


def test_a_host_without_a_name_has_one_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", str)
    assert Settings.read({}).name == "node"
