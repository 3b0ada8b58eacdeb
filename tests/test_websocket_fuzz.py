"""Whatever is sent, to the socket or to POST /api/jobs: an answer or a known close code, and the server goes on.

A fault of ours would be logged as an error, and an unexpected log line fails the test.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rawsocket import BINARY, TEXT, RawSocket, frame
from web import eventually

from server.codec import JSON, MSGPACK
from server.protocol import CloseCode, FrameType

KNOWN = {1002, 1007, *(int(code) for code in CloseCode)}  # the first two are of RFC 6455
HELLO = [{"type": "hello"}]
examples = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["", "all", "none", "running", "add", "default", "01JDZZZZZZZZZZZZZZZZZZZZZZ", "x-1.1.1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
COMMANDS = ["id", "sub", "job", "feed", "stats", "after", "log", "limit", "rate", "hidden", "n", "subscribe"]
SUBMISSION = ["task", "args", "queue", "priority", "delay_s", "at", "max_attempts", "timeout_s", "tags"]
FIELDS = [*COMMANDS, *SUBMISSION, "state", "tag", "idempotency_key"]
sensible = {
    "id": st.integers(0, 9),
    "sub": st.integers(1, 5),
    "task": st.just("add"),
    "args": st.fixed_dictionaries({"a": st.integers()}, optional={"b": values}),
    "feed": st.dictionaries(st.sampled_from(["state", "task", "queue", "tag"]), values, max_size=3),
    "log": st.sampled_from(["all", "none", 0, 5]),
    "job": st.just("01JDZZZZZZZZZZZZZZZZZZZZZZ"),
}


@st.composite
def frames(draw):
    """Something like a frame a client may send."""
    names = draw(st.lists(st.sampled_from(FIELDS), max_size=5, unique=True))
    sent = {name: draw(sensible.get(name, values) | values) for name in names}
    kind = draw(st.sampled_from([str(kind) for kind in FrameType if kind != FrameType.HELLO]) | st.text(max_size=5))
    return {**sent, "type": kind}


def as_json(value):
    """As JSON with everything that JSON cannot say: NaN, surrogates, long integers."""
    return json.dumps(value).encode()


def as_msgpack(value):
    """As msgpack, where it can be said."""
    try:
        return MSGPACK.encode(value)
    except (OverflowError, ValueError, UnicodeEncodeError, TypeError):
        return b"\xc1"


messages = st.one_of(
    st.binary(max_size=60),
    values.map(as_json),
    st.lists(values, max_size=3).map(as_json),
    st.lists(frames(), max_size=4).map(as_json),
    st.lists(frames(), max_size=4).map(as_msgpack),
    values.map(as_msgpack),
)


@pytest.fixture
def healthy(io_loop, api, node):
    """Afterwards all is as before: nobody is left, and jobs are run."""
    yield

    async def check():
        await eventually(lambda: node.clients() == 0)
        assert (await api.submit("add", wait_s=5, args={"a": 1}))["result"] == 2
        await eventually(lambda: not (node.hub._topics or node.hub.feeds._held or node.hub._audience))

    io_loop.run_sync(check, timeout=10)


async def converse(port, protocol, greeted, sent):
    """Send these messages and a ping; answered by a pong, or closed with a code that is known."""
    codec, opcode = (MSGPACK, BINARY) if protocol.endswith("msgpack") else (JSON, TEXT)
    client = await RawSocket.open(port, protocol)
    try:
        if greeted:
            client.write(frame(codec.encode(HELLO), opcode))
        for data in sent:
            client.write(frame(data, opcode))
        client.write(frame(codec.encode([{"type": "ping", "n": "the last"}]), opcode))
        while True:
            opcode, data = await client.read()
            if opcode == 0x8:
                assert int.from_bytes(data[:2], "big") in KNOWN
                return
            told = codec.decode(data)
            if {"type": "pong", "n": "the last"} in told:
                return
    finally:
        client.close()


def test_no_message_is_too_strange(io_loop, port, healthy):
    @examples
    @given(st.sampled_from(["windsock.v1.json", "windsock.v1.msgpack"]), st.booleans(), st.lists(messages, max_size=4))
    def fuzz(protocol, greeted, sent):
        io_loop.run_sync(lambda: converse(port, protocol, greeted, sent), timeout=5)

    fuzz()


def test_no_bytes_behind_the_handshake_are_too_strange(io_loop, port, healthy):
    async def throw(data):
        client = await RawSocket.open(port)
        client.write(data)
        client.close()

    @examples
    @given(st.binary(max_size=200))
    def fuzz(data):
        io_loop.run_sync(lambda: throw(data), timeout=5)

    fuzz()


def test_no_body_is_too_strange(io_loop, api, healthy):
    bodies = st.one_of(
        messages,
        frames().map(as_json),
        st.fixed_dictionaries({"task": st.just("add"), "args": sensible["args"]}).map(as_json),
    )
    media_types = st.sampled_from(
        [JSON.media_type, MSGPACK.media_type, "application/json; charset=x", "text/plain", "application/x-ndjson"]
    )

    async def post(body, media_type):
        answer = await api.ask("POST", "/api/jobs", body, Content_Type=media_type)
        assert answer.status in (202, 400, 413, 415, 422), answer
        told = answer.value
        for one in told.get("jobs", [told]):
            assert one["task" if "id" in one else "code"]

    @examples
    @given(bodies, media_types)
    def fuzz(body, media_type):
        io_loop.run_sync(lambda: post(body, media_type), timeout=5)

    fuzz()


def test_no_query_is_too_strange(io_loop, api, healthy):
    names = st.sampled_from(["state", "task", "queue", "tag", "limit", "before", "after", "wait", "x"])
    pieces = st.text(st.sampled_from("abAB019-_.+%&=;/\\\"'\u00e9~!*[]{}"), max_size=12).map(
        lambda text: "".join(char if char.isascii() else "%c3%a9" for char in text)
    )
    paths = st.sampled_from(["/api/jobs", "/api/jobs/X", "/api/jobs/X/log", "/static/app.js", "/", "/api/tasks"])

    async def get(path, query):
        answer = await api.get(path + "?" + "&".join(f"{name}={value}" for name, value in query))
        assert answer.status in (200, 400, 404, 422), answer

    @examples
    @given(paths, st.lists(st.tuples(names, pieces), max_size=4))
    def fuzz(path, query):
        io_loop.run_sync(lambda: get(path, query), timeout=5)

    fuzz()
