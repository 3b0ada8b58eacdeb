"""The configuration of a private redis-server."""

import os
import re
from pathlib import Path

from server.settings import Settings


def configuration(settings: Settings, directory: Path, socket: str) -> bytes:
    """The redis.conf of a private server. Options have their 6.2 names, which later servers know."""
    options = {
        "port": b"0",
        "unixsocket": _quoted(socket),
        "unixsocketperm": b"700",
        "daemonize": b"no",
        "dir": _quoted(str(directory)),
        "logfile": b'""',  # standard output, which is redis.log: refusals of this file get there too
        "save": b'""',
        "appendonly": b"yes",
        "appendfsync": settings.durability.value.encode(),
        "aof-load-truncated": b"yes",
        "maxmemory": b"%d" % settings.redis_maxmemory_bytes,
        "maxmemory-policy": b"noeviction",
        "hash-max-ziplist-value": b"1024",
        "hash-max-ziplist-entries": b"64",
    }
    return b"".join(name.encode() + b" " + value + b"\n" for name, value in options.items())


def _quoted(text: str) -> bytes:
    return b'"' + re.sub(rb'[\x00-\x1f\x7f"\\]', lambda one: b"\\x%02x" % ord(one[0]), os.fsencode(text)) + b'"'
