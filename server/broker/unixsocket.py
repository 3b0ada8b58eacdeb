"""A word with a redis-server on a Unix socket, before and after there is a proper connection to it."""

import asyncio
from urllib.parse import quote

ASK_S = 2.0


def socket_url(path: str) -> str:
    """The URL of a Unix socket, quoted as redis-py unquotes it."""
    return f"unix://{quote(path)}"


async def ask(socket: str, command: bytes) -> str | None:
    """First line of the answer to a command; "" when none comes, None when nobody listens."""
    try:
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return None
    try:
        async with asyncio.timeout(ASK_S):
            writer.write(command + b"\r\n")
            return (await reader.readline()).decode(errors="replace").strip()
    except (OSError, ValueError):
        return ""
    finally:
        writer.transport.abort()
