"""What both clients know from the beginning: their server, and how patient to be with it."""

import ssl
from collections.abc import Mapping

from windsock.target import Target


class Addressed:
    """A client of one server; nothing is connected yet."""

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout_s: float = 60.0,
        retry_s: float = 5.0,
        headers: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Know the server.

        Args:
            url: of the server; without it that in WINDSOCK_URL, else http://127.0.0.1:8765.
            timeout_s: the longest an answer may take.
            retry_s: for how long a request is tried again while nobody answers or the server says "not now".
            headers: sent with every request.
            ssl_context: for https, instead of the system's.

        Raises:
            ValueError: that is not the address of a server.
        """
        self.target = Target.of(url, timeout_s, retry_s, headers, ssl_context)
        self._begin()

    def _begin(self) -> None:
        """Make what asks that server."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Of the server."""
        return self.target.address.url
