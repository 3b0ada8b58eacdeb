"""nchan, a module of nginx: this process writes the configuration, starts nginx and publishes to it by HTTP.

Arguments and output as in `publishing.py`; the process to be measured is nginx's worker.
"""

import asyncio
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import publishing

MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"
CONFIGURATION = """
load_module {module};
daemon off; pid {folder}/pid; error_log stderr crit;
worker_processes 1; worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000; keepalive_timeout 1h;
    nchan_message_buffer_length 10; nchan_shared_memory_size 256m;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/in/(\\d+)$ {{ nchan_publisher; nchan_channel_id $1; }}
        location ~ ^/out/([0-9,]+)$ {{
            nchan_subscriber websocket; nchan_channel_id $1; nchan_channel_id_split_delimiter ",";
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def start(folder: str, port: int) -> subprocess.Popen[bytes]:
    """nginx, with all its files in `folder`."""
    path = Path(folder, "nginx.conf")
    path.write_text(CONFIGURATION.format(module=MODULE, folder=folder, port=port))
    return subprocess.Popen(["nginx", "-p", folder, "-c", str(path)], stdout=subprocess.DEVNULL)


def worker_of(master: int) -> int:
    """The process id of nginx's worker."""
    children = Path(f"/proc/{master}/task/{master}/children")
    for _ in range(200):
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.05)
    raise RuntimeError("nginx has no worker")


class Posts:
    """One connection that posts and does not look at the answers."""

    async def open(self, port: int) -> None:
        """Connect."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._answers = asyncio.create_task(self._drop(reader))

    async def _drop(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass

    async def send(self, room: int, update: dict[str, Any]) -> None:
        """To everyone in the room."""
        body = publishing.text(update)
        self._writer.write(
            f"POST /in/{room} HTTP/1.1\r\nHost: nchan\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )


async def main() -> None:
    """Until ended."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="windsock-bench-nchan-") as folder:
        nginx = start(folder, port)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            worker = worker_of(nginx.pid)
            posts = Posts()
            await posts.open(port)
            publishing.announce(port, worker)
            await publishing.publish(posts.send)
        finally:
            nginx.terminate()
            nginx.wait()


asyncio.run(main())
