"""The peers: what each needs, how it is had, and how it is started.

Python peers live in `.venvs/bench`, the Node peer in `.venvs/bench-node`; both are made here from the pinned lists in
`peers/`. C programs are compiled into a folder that goes away.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fanout_running import Running
from fanout_scenarios import Scenario
from processes import ROOT

PEERS = ROOT / "benchmarks" / "peers"
VENV = ROOT / ".venvs" / "bench"
MODULES = ROOT / ".venvs" / "bench-node"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
Command = Callable[[str], list[str]]


class Missing(Exception):
    """Something is not on this machine; the message says how to get it."""


def compiled(source: Path, folder: str) -> str:
    """A program made from one C file.

    Raises:
        Missing: there is no compiler.
    """
    if not shutil.which("gcc"):
        raise Missing("gcc not found: apt-get install gcc libc6-dev")
    program = str(Path(folder, source.stem))
    if not os.path.exists(program):
        subprocess.run(["gcc", "-O2", "-o", program, str(source)], check=True)
    return program


@cache
def python(listed: Path = PEERS / "requirements.txt", venv: Path = VENV) -> str:
    """The interpreter of the peers' own environment, made anew when the list of requirements has changed."""
    stamp, program = venv / "requirements.txt", str(venv / "bin" / "python")
    if not stamp.exists() or stamp.read_text() != listed.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        quiet = ["-qq", "--disable-pip-version-check", "--no-input"]
        subprocess.run([program, "-m", "pip", "install", *quiet, "-r", str(listed)], check=True)
        shutil.copy(listed, stamp)
    return program


@cache
def modules() -> str:
    """The folder of the Node peer's modules, made anew when package.json has changed.

    Raises:
        Missing: there is no Node or no npm.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise Missing("node or npm not found: apt-get install nodejs npm")
    listed, stamp = PEERS / "package.json", MODULES / "stamp.json"
    if not stamp.exists() or stamp.read_text() != listed.read_text():
        MODULES.mkdir(parents=True, exist_ok=True)
        shutil.copy(listed, MODULES / "package.json")
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(["npm", "install", "--prefix", str(MODULES), *quiet], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(listed, stamp)
    return str(MODULES / "node_modules")


def in_python(name: str) -> Command:
    """A peer written in Python."""
    return lambda folder: [python(), str(PEERS / f"{name}.py")]


def in_node(folder: str) -> list[str]:
    """The peer that runs on Node."""
    return ["env", f"NODE_PATH={modules()}", "node", str(PEERS / "socketio_node.cjs")]


def in_nginx(folder: str) -> list[str]:
    """nchan, with its publisher.

    Raises:
        Missing: nginx or the module is not installed.
    """
    if not (shutil.which("nginx") and NCHAN.exists()):
        raise Missing("nchan not found: apt-get install nginx-light libnginx-mod-nchan")
    return [python(), str(PEERS / "nchan_posts.py")]


def versions() -> str:
    """What the peers' lists pin."""
    npm = json.loads((PEERS / "package.json").read_text())["dependencies"]
    pinned = (PEERS / "requirements.txt").read_text().split() + [f"{name}=={version}" for name, version in npm.items()]
    return ", ".join(line.replace("==", " ") for line in pinned)


@dataclass(frozen=True)
class Peer:
    """A contestant that is one program; `peers/publishing.py` says what it takes and prints."""

    name: str
    what: str
    command: Command
    path: str = "/?rooms="
    ready: str = ""  # what the message holds that makes a connection one that gets updates
    collects: bool = False  # whether it can time a collection

    def start(self, scenario: Scenario, folder: str) -> Running:
        """Start it.

        Raises:
            Missing: what it needs is not here.
            RuntimeError: it does not start.
        """
        arguments = [str(scenario.rooms), str(scenario.rate), str(int(scenario.together))]
        popen = subprocess.Popen(
            [*self.command(folder), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert popen.stdout is not None
        words = popen.stdout.readline().split()
        if len(words) != 2:
            popen.kill()
            raise RuntimeError(f"{self.name} did not start")
        plan = [(self.path + ",".join(map(str, block)), "-") for block in scenario.blocks()]
        return Running(int(words[0]), int(words[1]), popen, plan, self.ready, collects=self.collects)


SOCKETIO = "/socket.io/?EIO=4&transport=websocket&rooms="
PEERS_KNOWN = (
    Peer("send()", "a C loop, the limit", lambda folder: [compiled(PEERS / "send_loop.c", folder)]),
    Peer("tornado", "`write_message` to each", in_python("tornado_each"), collects=True),
    Peer("websockets", "`broadcast`", in_python("websockets_broadcast"), collects=True),
    Peer("picows", "Cython, `send` to each", in_python("picows_each"), collects=True),
    Peer("socketio-python", "`emit`, aiohttp", in_python("socketio_python"), SOCKETIO, "40{", collects=True),
    Peer("socketio-node", "`emit`, npm", in_node, SOCKETIO, "40{"),
    Peer("nchan", "nginx, published by HTTP", in_nginx, "/out/"),
)
