"""Our connection against other people's clients: all of them talk to `python benchmarks/echo.py PORT`."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websocket
import websockets
import websockets.sync.client
from conftest import CHROMIUM
from playwright.async_api import async_playwright
from tornado.testing import bind_unused_port
from tornado.websocket import websocket_connect

ECHO = Path(__file__).parents[1] / "benchmarks" / "echo.py"
TEXTS = ["", "hello", "grüße 🌬", "x" * 125, "x" * 126, "é" * 40_000]
BINARIES = [b"", b"\x00\xff", bytes(range(256)) * 300, bytes(2_000_000)]


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The echo, as a process of its own; its URL."""
    sock, port = bind_unused_port()
    sock.close()
    with subprocess.Popen([sys.executable, str(ECHO), str(port)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"echo on ws://127.0.0.1:{port}/ws\n"
        yield f"ws://127.0.0.1:{port}/ws"
        process.terminate()


@pytest.mark.gen_test
async def test_tornado(echo: str) -> None:
    client = await websocket_connect(echo, subprotocols=["one", "two"])
    assert client.selected_subprotocol == "one"
    for text in TEXTS:
        await client.write_message(text)
        assert await client.read_message() == text
    for data in BINARIES:
        await client.write_message(data, binary=True)
        assert await client.read_message() == data
    client.close(4321, "enough")
    assert await client.read_message() is None
    assert client.close_code == 4321


@pytest.mark.gen_test
async def test_websockets_with_fragments_pings_and_deflate_offered(echo: str) -> None:
    async with websockets.connect(echo, max_size=None, subprotocols=[websockets.Subprotocol("a")]) as client:
        assert client.subprotocol == "a"
        for message in [*TEXTS, *BINARIES]:
            await client.send(message)
            assert await client.recv() == message
        await client.send(["gr", "üß", "e"])
        await asyncio.wait_for(await client.ping(b"?"), 4)
        assert await client.recv() == "grüße"
    assert client.close_code == 1000


def test_websockets_in_threads(echo: str) -> None:
    with websockets.sync.client.connect(echo, max_size=None) as client:
        for message in [*TEXTS, *BINARIES]:
            client.send(message)
            assert client.recv(4) == message


def test_websocket_client(echo: str) -> None:
    client = websocket.create_connection(echo, timeout=4)
    for text in TEXTS:
        client.send(text)
        assert client.recv() == text
    for data in BINARIES:
        client.send_binary(data)
        assert client.recv() == data
    client.ping("?")
    assert client.recv_data_frame(control_frame=True)[1].data == b"?"
    client.close(4000)


@pytest.mark.gen_test
async def test_aiohttp(echo: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(echo, max_msg_size=0) as client:
        for text in TEXTS:
            await client.send_str(text)
            assert await client.receive_str() == text
        for data in BINARIES:
            await client.send_bytes(data)
            assert await client.receive_bytes() == data
        await client.ping(b"?")
        await client.close(code=4000)
        assert client.close_code == 4000


NODE = shutil.which("node")
NODE_CLIENT = """
import { WebSocket } from "ws";
import { strict as assert } from "node:assert";
const messages = ["", "grüße 🌬", "x".repeat(126), Buffer.alloc(0), Buffer.alloc(2_000_000, 7)];
const client = new WebSocket(process.argv[2], ["one", "two"]);
let at = 0;
const next = () => at < messages.length ? client.send(messages[at]) : client.ping("?");
client.on("open", () => { assert.equal(client.protocol, "one"); next(); });
client.on("message", (data, binary) => {
  const sent = messages[at++];
  assert.equal(binary, typeof sent !== "string");
  assert(Buffer.from(sent).equals(data));
  next();
});
client.on("pong", data => { assert.equal(String(data), "?"); client.close(4321, "enough"); });
client.on("close", code => { console.log(`closed ${code}`); });
"""


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with npm's ws in it."""
    if NODE is None:
        pytest.skip("node not found")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--fetch-retries=0", "ws@8"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=40)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"npm's registry cannot be reached: {error}")
    (folder / "client.mjs").write_text(NODE_CLIENT)
    return folder


def test_ws_of_npm(echo: str, node_folder: Path) -> None:
    done = subprocess.run(
        [str(NODE), str(node_folder / "client.mjs"), echo], check=False, capture_output=True, text=True, timeout=10
    )
    assert (done.stdout, done.stderr) == ("closed 4321\n", "")


PAGE_CLIENT = """
url => new Promise((resolve, reject) => {
  const messages = ["", "grüße 🌬", "x".repeat(70000), new Uint8Array([0, 255]), new Uint8Array(1000000)];
  const came = [];
  const client = new WebSocket(url, ["one", "two"]);
  client.binaryType = "arraybuffer";
  client.onopen = () => messages.forEach(message => client.send(message));
  client.onerror = () => reject(new Error("the connection failed"));
  client.onmessage = ({ data }) => {
    came.push(typeof data === "string" ? data.length : -data.byteLength);
    if (came.length === messages.length) client.close(4321, "enough");
  };
  client.onclose = ({ code, wasClean }) => resolve({ came, code, wasClean, protocol: client.protocol });
})
"""


@pytest.mark.browser
@pytest.mark.gen_test(timeout=30)
async def test_chromium(echo: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(re.sub(r"^ws(.*)/ws$", r"http\1/", echo))  # a page of the same server, though it is a 404
        result: Any = await page.evaluate(PAGE_CLIENT, echo)
        await browser.close()
    assert result == {
        "came": [0, 8, 70000, -2, -1000000],
        "code": 4321,
        "wasClean": True,
        "protocol": "one",
    }
