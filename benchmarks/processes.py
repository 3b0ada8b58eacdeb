"""Real processes for benchmarks: servers and workers on loopback, with a data directory that goes away."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TASKS = str(ROOT / "benchmarks" / "bench_tasks.py")


class Process:
    """`python run.py …` as a child, from its ready line to its end."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environ},
        )
        assert self.popen.stdout is not None
        self.line = self.popen.stdout.readline().strip()
        if not self.line:
            raise RuntimeError(f"{arguments} did not start")

    @property
    def url(self) -> str:
        """Of a server."""
        return self.line.rsplit(" ", 1)[1]

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Resident memory."""
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def kill(self) -> None:
        """kill -9."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        """SIGTERM, then wait."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class Folder:
    """A data directory for one benchmark."""

    def __enter__(self) -> str:
        self.path = tempfile.mkdtemp(prefix="windsock-bench-")
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def serve(folder: str, *more: str) -> Process:
    """A server with its private Redis in `folder`."""
    return Process("serve", "--tasks", TASKS, "--data-dir", folder, "--port", "0", "--drain", "0", *more)


class Http:
    """One keep-alive connection that POSTs as fast as it gets answers; lean, so that the server is what is measured."""

    def __init__(self, url: str) -> None:
        self.host, port = url.removeprefix("http://").split(":")
        self.port = int(port)

    async def open(self) -> "Http":
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """The body of the answer; `headers` are further lines."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n{headers}"
        self.writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        data = await self.reader.readexactly(length)
        if not answer.startswith((b"HTTP/1.1 202", b"HTTP/1.1 200")):
            raise RuntimeError(f"refused: {data[:300]!r}")
        return data

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
