"""The contestants: what their programs are called, and with which options."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fanout_peers import python
from processes import ROOT

PEERS = Path(__file__).with_name("queue_peers")
TASKS = str(PEERS / "windsock_tasks.py")
RUN = str(ROOT / "run.py")
Command = Callable[[str, int], list[str]]  # from the URL of Redis and a number: slots of a worker, port of a server


@dataclass(frozen=True)
class Contestant:
    """One queue."""

    name: str
    what: str
    client: list[str]  # the script that submits, and its arguments
    worker: Command
    server: Command | None = None  # takes jobs by HTTP
    posts: str = ""  # the script that submits by HTTP and waits for ends; the server is started for it
    slots: int = 100  # jobs at once, if nobody says otherwise
    coroutines: bool = True
    python: Callable[[], str] = lambda: sys.executable

    def client_command(self, by_http: bool) -> list[str]:
        """What submits."""
        return [self.python(), str(PEERS / self.posts)] if by_http else [self.python(), *self.client]


def usual() -> str:
    """The interpreter of most peers."""
    return python(PEERS / "requirements.txt", ROOT / ".venvs" / "bench-queue")


def arqs() -> str:
    """That of arq, which wants an older redis-py."""
    return python(PEERS / "arq.txt", ROOT / ".venvs" / "bench-queue-arq")


def script(name: str, *more: str) -> list[str]:
    """One of `queue_peers/`."""
    return [str(PEERS / name), *more]


def beside(interpreter: str, program: str) -> str:
    """A program that was installed with a peer."""
    return str(Path(interpreter).with_name(program))


def windsock(role: str, *more: str) -> Command:
    """`run.py serve` or `worker`, with the Redis of this run."""
    number = "--slots" if role == "worker" else "--port"
    return lambda url, value: [
        *(sys.executable, RUN, role, "--redis", url, "--tasks", TASKS, number, str(value), "--drain", "0"),
        *more,
    ]


def worker_of(name: str, interpreter: Callable[[], str]) -> Command:
    """A script that is the worker too."""
    return lambda url, slots: [interpreter(), *script(name, "worker")]


def taskiq_worker(url: str, slots: int) -> list[str]:
    """One worker process, and its manager."""
    program = [beside(usual(), "taskiq"), "worker", "taskiq_queue:broker", "--app-dir", str(PEERS)]
    return [*program, "--workers", "1", "--max-async-tasks", str(slots), "--log-level", "ERROR"]


def celery_worker(url: str, slots: int) -> list[str]:
    """One process of the pool, and its parent."""
    program = [beside(usual(), "celery"), "--workdir", str(PEERS), "-A", "celery_queue", "worker"]
    return [*program, "--pool", "prefork", "--concurrency", "1", "--loglevel", "ERROR"]


def fastapi_server(url: str, port: int) -> list[str]:
    """One process, with uvloop and httptools."""
    program = [beside(arqs(), "uvicorn"), "--app-dir", str(PEERS), "arq_queue:app", "--port", str(port)]
    return [*program, "--no-access-log", "--log-level", "error"]


OURS = "windsock"
CONTESTANTS = (
    Contestant(
        OURS,
        "one node for HTTP, one worker process",
        script("windsock_inside.py"),
        windsock("worker"),
        windsock("serve", "--no-worker"),
        "windsock_http.py",
    ),
    Contestant("saq", "SAQ", script("saq_queue.py", "ask"), worker_of("saq_queue.py", usual), slots=10, python=usual),
    Contestant("taskiq", "taskiq, Redis streams", script("taskiq_queue.py", "ask"), taskiq_worker, python=usual),
    Contestant(
        "streaq",
        "streaq",
        script("streaq_queue.py", "ask"),
        worker_of("streaq_queue.py", usual),
        slots=16,
        python=usual,
    ),
    Contestant(
        "arq",
        "arq; by HTTP behind FastAPI (uvicorn, one process)",
        script("arq_queue.py", "ask"),
        worker_of("arq_queue.py", arqs),
        fastapi_server,
        slots=10,
        python=arqs,
    ),
    Contestant(
        "celery",
        "Celery, one prefork process",
        script("celery_queue.py", "ask"),
        celery_worker,
        slots=1,
        coroutines=False,
        python=usual,
    ),
    Contestant(
        "rq",
        "RQ, `SimpleWorker`",
        script("rq_queue.py", "ask"),
        worker_of("rq_queue.py", usual),
        slots=1,
        coroutines=False,
        python=usual,
    ),
)


def versions() -> str:
    """What the lists pin."""
    pinned = [line for name in ("requirements.txt", "arq.txt") for line in (PEERS / name).read_text().split()]
    return ", ".join(line.replace("==", " ") for line in pinned) + " (arq has the redis-py it asks for)"
