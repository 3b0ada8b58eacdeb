"""Watching over connections that break: a scripted server plays what a real one does only by chance."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, WebSocketHandler

from windsock.backoff import Backoff
from windsock.errors import Refused, Unreachable
from windsock.stream import Stream
from windsock.target import Target
from windsock.watch import Subscription, Watch
from windsock.watched import Frame

Script = Callable[["Scripted", Frame], None]
BUSY = {"code": "unavailable", "detail": "too many connections at once", "status": 503}
WELCOME = {"type": "welcome", "version": "0", "node": "n", "heartbeat_s": 15, "now": 0, "limits": {}}


def job(version: int, state: str = "running") -> Frame:
    return {"id": "J", "task": "t", "state": state, "attempt": 1, "cursor": f"k-1.{version}.0"}


def snapshot(version: int, how: str = "fresh") -> Frame:
    return {"type": "snapshot", "sub": 1, "how": how, "job": job(version), "cursor": f"k-1.{version}.0"}


def end(state: str = "succeeded") -> Frame:
    return {"type": "end", "sub": 1, "job": job(99, state), "last": 0, "cursor": "k-1.99.0"}


class Scripted(WebSocketHandler):
    """Plays one script for each connection; a status or a Retry-After in its place refuses the upgrade."""

    def initialize(self, scripts: Iterator[Script | int | str], hellos: list[Frame]) -> None:
        self.scripts, self.hellos = scripts, hellos

    async def get(self, *args: Any, **kwargs: Any) -> None:
        self.script = next(self.scripts)
        if isinstance(self.script, int):
            self.set_status(self.script)
            self.finish({"code": "forbidden", "detail": "not you"} if self.script == 403 else {})
            return
        if isinstance(self.script, str):  # busy, with this Retry-After
            self.set_status(503)
            self.set_header("Retry-After", self.script)
            self.finish(BUSY)
            return
        await super().get(*args, **kwargs)

    def select_subprotocol(self, subprotocols: list[str]) -> str:
        assert subprotocols == ["windsock.v1.json"]
        return subprotocols[0]

    def on_message(self, message: str | bytes) -> None:
        (hello,) = json.loads(message)
        self.hellos.append(hello)
        assert callable(self.script)
        self.script(self, hello)

    def say(self, *frames: Frame) -> None:
        self.write_message(json.dumps(frames))


class Recorder:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.losses: list[str] = []
        self.delays: list[float] = []
        self.returns = 0

    def show(self, one: Subscription | None, frame: Frame) -> None:
        self.frames.append(frame)

    def lost(self, why: str, delay_s: float) -> None:
        self.losses.append(why)
        self.delays.append(delay_s)

    def back(self) -> None:
        self.returns += 1

    async def room(self) -> None:
        """Always."""

    @property
    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


@pytest.fixture
def scripts() -> list[Script | int | str]:
    return []


@pytest.fixture
def hellos() -> list[Frame]:
    return []


@pytest.fixture
def app(scripts: list[Script | int | str], hellos: list[Frame]) -> Application:
    def in_order() -> Iterator[Script | int | str]:
        while scripts:
            yield scripts.pop(0)

    return Application(
        [("/api/stream", Scripted, {"scripts": in_order(), "hellos": hellos})], log_function=lambda _: None
    )


class Follower:
    """One watch of the job J at the scripted server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.watch = Watch.of(["J"], "all")
        self.screen = Recorder()

    @property
    def outcome(self) -> str | None:
        return self.watch.jobs[1].outcome

    async def follow(self, *, known: bool = False) -> None:
        backoff = Backoff(dice=lambda low, high: 0.0)
        await Stream(Target.of(self.url), self.watch, self.screen, known=known, backoff=backoff).follow()


@pytest.fixture
def follower(base_url: str, http_server: object) -> Follower:
    return Follower(base_url)


@pytest.mark.gen_test
async def test_a_watch_ends_with_the_end(follower: Follower, scripts: list[Script]) -> None:
    scripts.append(lambda ws, _: ws.say(WELCOME, snapshot(5), {"type": "live", "sub": 1}, end("failed")))
    await follower.follow()
    assert follower.screen.kinds == ["snapshot", "live", "end"]
    assert follower.outcome == "failed"


@pytest.mark.gen_test
@pytest.mark.parametrize("code", [1000, 1001, 4100, 4200])
async def test_a_lost_connection_is_resumed_by_cursor(
    follower: Follower, scripts: list[Script], hellos: list[Frame], code: int
) -> None:
    def break_off(ws: Scripted, hello: Frame) -> None:
        ws.say(WELCOME, snapshot(5))
        ws.close(code)

    scripts += [break_off, lambda ws, _: ws.say(WELCOME, snapshot(4, "resumed"), end())]
    await follower.follow()
    assert [hello["subscribe"][0].get("after") for hello in hellos] == [None, "k-1.5.0"]
    assert follower.screen.kinds == ["snapshot", "end"]  # the lower version was not shown
    assert len(follower.screen.losses) == follower.screen.returns == 1


@pytest.mark.gen_test
async def test_who_leaves_while_a_message_comes_in_has_left(
    follower: Follower, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts.append(lambda ws, _: ws.say(WELCOME, snapshot(5)))
    read_message = WebSocketClientConnection.read_message
    following = asyncio.create_task(follower.follow())

    def read(connection: WebSocketClientConnection) -> Any:
        message = read_message(connection)
        message.add_done_callback(lambda _: following.cancel())  # in the same turn of the loop, before the reader's
        return message

    monkeypatch.setattr(WebSocketClientConnection, "read_message", read)
    await asyncio.wait([following], timeout=3)
    assert following.cancelled()


@pytest.mark.gen_test
async def test_a_cut_connection_is_resumed(follower: Follower, scripts: list[Script]) -> None:
    def cut(ws: Scripted, hello: Frame) -> None:
        ws.say(WELCOME, snapshot(5))
        assert ws.ws_connection is not None
        ws.ws_connection._abort()

    scripts += [cut, lambda ws, _: ws.say(WELCOME, end())]
    await follower.follow()
    assert follower.outcome == "succeeded"


@pytest.mark.gen_test
async def test_a_close_of_40xx_is_final(follower: Follower, scripts: list[Script]) -> None:
    scripts.append(lambda ws, _: ws.close(4003, "not your job"))
    with pytest.raises(Refused, match="not your job"):
        await follower.follow()


@pytest.mark.gen_test
async def test_silence_of_two_heartbeats_is_a_lost_connection(follower: Follower, scripts: list[Script]) -> None:
    scripts += [lambda ws, _: ws.say({**WELCOME, "heartbeat_s": 0.05}), lambda ws, _: ws.say(WELCOME, end())]
    await follower.follow()
    assert follower.screen.losses == ["the server is silent"]


@pytest.mark.gen_test
async def test_a_drain_is_left_in_its_window(follower: Follower, scripts: list[Script], hellos: list[Frame]) -> None:
    scripts += [
        lambda ws, _: ws.say(WELCOME, snapshot(5), {"type": "drain", "within_s": [0, 1]}),
        lambda ws, _: ws.say(WELCOME, end()),
    ]
    await follower.follow()
    assert len(hellos) == 2
    assert follower.outcome == "succeeded"


@pytest.mark.gen_test
async def test_after_a_drain_a_good_connection_is_made_anew_without_a_word(
    follower: Follower, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windsock.stream.STEADY_S", 0.0)
    scripts += [
        lambda ws, _: ws.say(WELCOME, snapshot(5), {"type": "drain", "within_s": [0, 1]}),
        lambda ws, _: ws.say(WELCOME, end()),
    ]
    await follower.follow()
    assert follower.outcome == "succeeded"
    assert follower.screen.losses == []


@pytest.mark.gen_test
async def test_a_retryable_error_is_tried_again_and_a_final_one_ends(follower: Follower, scripts: list[Script]) -> None:
    error = {"type": "error", "sub": 1, "code": "unavailable", "message": "no Redis", "retryable": True}
    gone = {"type": "error", "sub": 1, "code": "not_found", "message": "no such job", "retryable": False}
    scripts += [lambda ws, _: ws.say(WELCOME, error), lambda ws, _: ws.say(WELCOME, gone)]
    await follower.follow()
    assert follower.screen.losses == ["no Redis"]
    assert follower.outcome == "refused"


@pytest.mark.gen_test
async def test_an_error_of_the_connection_is_a_refusal(follower: Follower, scripts: list[Script]) -> None:
    scripts.append(lambda ws, _: ws.say(WELCOME, {"type": "error", "code": "bad_request", "message": "no hello"}))
    with pytest.raises(Refused, match="no hello"):
        await follower.follow()


@pytest.mark.gen_test
async def test_a_store_that_is_away_is_told_and_so_is_its_return(follower: Follower, scripts: list[Script]) -> None:
    scripts.append(lambda ws, _: ws.say(WELCOME, {"type": "stale", "why": "no Redis"}, {"type": "fresh"}, end()))
    await follower.follow()
    assert follower.screen.kinds == ["stale", "fresh", "end"]


@pytest.mark.gen_test
@pytest.mark.parametrize("message", ["not json", '[{"type": "log", "sub": 1}]', '[{"type": "update", "sub": 1}]'])
async def test_what_cannot_be_read_is_one_clear_error(follower: Follower, scripts: list[Script], message: str) -> None:
    scripts.append(lambda ws, _: ws.write_message(message) and None)
    with pytest.raises(Unreachable):
        await follower.follow()


@pytest.mark.gen_test
async def test_things_that_are_no_frames_are_passed_over(follower: Follower, scripts: list[Script]) -> None:
    def babble(ws: Scripted, hello: Frame) -> None:
        ws.write_message('[1, {}, {"type": 3}, {"type": "confetti"}]')
        ws.write_message('{"type": "end"}')
        ws.say(WELCOME, {"type": "heartbeat", "now": 1}, end())

    scripts.append(babble)
    await follower.follow()
    assert follower.screen.kinds == ["end"]


@pytest.mark.gen_test
async def test_a_refused_upgrade_is_final_and_a_busy_one_is_tried_again(
    follower: Follower, scripts: list[Script | int]
) -> None:
    scripts.append(403)
    with pytest.raises(Refused, match="not you"):
        await follower.follow()
    scripts += [503, lambda ws, _: ws.say(WELCOME, end())]
    await follower.follow(known=True)
    assert follower.screen.losses == ["the server answers 503"]


@pytest.mark.gen_test
@pytest.mark.parametrize("known", [False, True])
async def test_a_server_that_is_full_is_waited_for_as_long_as_it_asks(
    follower: Follower, scripts: list[Script | str], known: bool
) -> None:
    scripts += ["1", "0", lambda ws, _: ws.say(WELCOME, end())]
    await follower.follow(known=known)
    assert follower.screen.losses == [BUSY["detail"]] * 2
    assert follower.screen.delays == [1.0, 0.0]  # the dice of this test add nothing
    assert follower.screen.returns == 1


@pytest.mark.gen_test
async def test_a_busy_answer_of_something_else_is_not_waited_for_at_first(
    follower: Follower, scripts: list[Script | int]
) -> None:
    scripts.append(503)
    with pytest.raises(Unreachable, match=r"no server answers behind .* \(HTTP 503\)"):
        await follower.follow()


@pytest.mark.gen_test
async def test_a_bye_whose_close_is_lost_says_whether_to_come_back(
    follower: Follower, scripts: list[Script | int], hellos: list[Frame]
) -> None:
    bye = {"type": "bye", "code": 4102, "reason": "overloaded", "retry": True}
    final = {"type": "bye", "code": 4003, "reason": "not your job", "retry": False}
    scripts += [lambda ws, _: ws.say(WELCOME, snapshot(5), bye), lambda ws, _: ws.say(WELCOME, final)]
    with pytest.raises(Refused, match="not your job"):
        await follower.follow()
    assert follower.screen.losses == ["overloaded"]
    assert hellos[1]["subscribe"][0]["after"] == "k-1.5.0"


@pytest.mark.gen_test
async def test_a_server_that_never_answered_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(Unreachable, match="no server answers at"):
            await Follower(url).follow()


@pytest.mark.gen_test
async def test_something_that_is_not_windsock_is_told_apart(follower: Follower, scripts: list[Script | int]) -> None:
    scripts.append(404)
    with pytest.raises(Unreachable, match="not as a Windsock server"):
        await follower.follow()
