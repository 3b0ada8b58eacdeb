"""The door to the stream, and the first words: handshake, subprotocols, hello, welcome."""

import asyncio

import pytest
from rawsocket import RawSocket, frame
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect
from web import Api, eventually, having

from server.codec import JSON


@pytest.fixture
def url(base_url, http_server):
    return base_url.replace("http", "ws") + "/api/stream"


async def refusal(url, subprotocols=None, **headers):
    """The HTTP answer to a handshake that is refused."""
    request = HTTPRequest(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with pytest.raises(HTTPClientError) as caught:
        await websocket_connect(request, subprotocols=subprotocols)
    return caught.value.response


@pytest.mark.gen_test
async def test_hello_is_answered_by_welcome(stream, settings):
    for codec in ("json", "msgpack"):
        client = await stream(codec=codec)
        welcome = await client.until("welcome")
        assert client.frames[0] is welcome
        assert (welcome["version"], welcome["node"], welcome["heartbeat_s"]) == (1, "test-node", settings.heartbeat_s)
        assert welcome["limits"]["subscriptions"] == 256
        assert welcome["now"] > 1_700_000_000_000


@pytest.mark.gen_test
async def test_a_client_that_offers_no_subprotocol_gets_json(url):
    connection = await websocket_connect(url)
    assert connection.selected_subprotocol is None
    await connection.write_message('[{"type": "hello"}]')
    assert JSON.decode((await connection.read_message()).encode())[0]["type"] == "welcome"
    connection.close()


@pytest.mark.gen_test
async def test_the_first_subprotocol_known_is_taken(url):
    connection = await websocket_connect(url, subprotocols=["chat", "windsock.v1.msgpack", "windsock.v1.json"])
    assert connection.selected_subprotocol == "windsock.v1.msgpack"
    connection.close()


@pytest.mark.gen_test
async def test_unknown_subprotocols_only_are_refused(url):
    answer = await refusal(url, ["chat", "windsock.v2.json"])
    assert answer.code == 400
    assert JSON.decode(answer.body)["code"] == "bad_request"


@pytest.mark.gen_test
async def test_no_compression_is_agreed_upon(url):
    connection = await websocket_connect(url, compression_options={})
    assert "Sec-WebSocket-Extensions" not in connection.headers
    connection.close()


@pytest.mark.gen_test
async def test_strangers_are_refused_before_the_upgrade(url, base_url):
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Origin": base_url},
        {"Host": "evil.example"},
    ):
        answer = await refusal(url, **headers)
        assert (answer.code, JSON.decode(answer.body)["code"]) == (403, "forbidden"), headers
    connection = await websocket_connect(HTTPRequest(url, headers={"Origin": base_url}))
    connection.close()


@pytest.mark.gen_test
async def test_a_plain_request_is_told_what_this_is(http_client, base_url):
    api = Api(http_client, base_url)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": "x"}
    for headers in ({}, {"Upgrade": "h2c"}, upgrade, {**upgrade, "Sec_WebSocket_Version": "99"}):
        answer = await api.get("/api/stream", **headers)
        assert (answer.status, answer.value["code"]) == (400, "bad_request"), headers


@having(connections_per_address=2)
@pytest.mark.gen_test
async def test_connections_of_one_address_are_limited(stream, url, node):
    clients = [await stream(), await stream()]
    answer = await refusal(url)
    assert (answer.code, JSON.decode(answer.body)["code"]) == (429, "too_many")
    assert int(answer.headers["Retry-After"]) >= 1
    await clients[0].close()
    await eventually(lambda: node.clients() == 1)
    await (await stream()).until("welcome")


@having(hello_s=0.05)
@pytest.mark.gen_test
async def test_no_hello_in_time_is_4104(stream):
    client = await stream(hello=False)
    assert await client.closed() == 4104
    assert client.frames == [{"type": "bye", "code": 4104, "reason": "no hello in time", "retry": True}]


@pytest.mark.gen_test
async def test_a_first_frame_other_than_hello_is_4000(stream):
    client = await stream(hello=False)
    await client.send({"type": "ping", "n": 1})
    assert await client.closed() == 4000
    assert client.frames[-1]["type"] == "bye"
    assert client.frames[-1]["retry"] is False


@pytest.mark.gen_test
async def test_a_second_hello_is_4000(stream):
    client = await stream()
    await client.send({"type": "hello"})
    assert await client.closed() == 4000


@pytest.mark.gen_test
async def test_a_hello_that_is_no_hello_is_4000(stream):
    for wrong in ({"subscribe": {"sub": 1}}, {"subscribe": "all"}, {"subscribe": 7}):
        client = await stream(hello=False)
        await client.send({"type": "hello", **wrong})
        assert await client.closed() == 4000, wrong


@pytest.mark.gen_test
async def test_a_token_is_refused_while_nobody_checks_it(stream):
    client = await stream(hello=False)
    await client.send({"type": "hello", "token": "secret"})
    assert await client.closed() == 4001
    assert "secret" not in str(client.frames)


@pytest.mark.gen_test
async def test_unknown_fields_of_hello_are_ignored(stream):
    client = await stream(hello=False)
    await client.send({"type": "hello", "colour": "red"})
    await client.until("welcome")


@pytest.mark.gen_test
async def test_each_subscribe_of_a_hello_is_judged_for_itself(stream):
    wishes = [
        7,
        {"sub": 0, "feed": {}},
        {"sub": 1, "feed": {"state": "gone"}},
        {"sub": 2, "feed": {}},
        {"sub": 2, "feed": {}},
    ]
    client = await stream(hello=wishes)
    await client.until("live", sub=2)
    errors = [(frame["code"], frame.get("sub")) for frame in client.frames if frame["type"] == "error"]
    assert errors == [("invalid", None), ("invalid", 0), ("invalid", 1), ("conflict", 2)]


@having(subscriptions=3)
@pytest.mark.gen_test
async def test_every_subscribe_over_the_limit_is_answered(stream):
    client = await stream(hello=[{"sub": number, "feed": {}} for number in range(1, 8)])
    for number in (1, 2, 3):
        await client.until("live", sub=number)
    refused = [frame["sub"] for frame in client.frames if frame["type"] == "error" and frame["code"] == "too_many"]
    assert refused == [4, 5, 6, 7]


@pytest.mark.gen_test
async def test_subscribes_of_a_hello_are_no_commands(stream):
    client = await stream(hello=[{"sub": number, "feed": {}} for number in range(1, 201)])
    await client.until("live", sub=200)
    assert not [frame for frame in client.frames if frame["type"] == "error"]


@pytest.mark.gen_test
async def test_ten_thousand_subscribes_do_not_fit_into_a_hello(port, node):
    client = await RawSocket.open(port)
    client.write(
        frame(JSON.encode([{"type": "hello", "subscribe": [{"sub": n + 1, "job": "x"} for n in range(10_000)]}]))
    )
    assert await client.close_code() == 4004
    client.close()
    await eventually(lambda: node.clients() == 0)


@pytest.mark.gen_test
async def test_the_clients_of_a_node_are_counted(stream, node, http_client, base_url):
    clients = [await stream() for _ in range(3)]
    await eventually(lambda: node.clients() == 3)
    for client in clients:
        await client.close()
    await eventually(lambda: node.clients() == 0)


@pytest.mark.gen_test
async def test_a_connection_takes_everything_with_it(stream, node):
    """Thousands come and go: nothing of them may stay."""
    job = "01JDZZZZZZZZZZZZZZZZZZZZZZ"
    before = len(asyncio.all_tasks())
    for _ in range(5):
        clients = [await stream(hello=[{"sub": 1, "feed": {}}, {"sub": 2, "job": job}]) for _ in range(20)]
        for client in clients:
            await client.until("live", sub=1)
        for client in clients:
            await client.close()
        await eventually(lambda: node.clients() == 0)
    hub = node.hub
    await eventually(lambda: not (hub._topics or hub.feeds._held or hub._audience or hub._reads or hub._reads.outdated))
    await eventually(lambda: len(asyncio.all_tasks()) <= before + 2)
