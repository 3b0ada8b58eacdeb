"""What both ways of asking have in common: a server's address, times, headers, and what failures mean. Pure."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from server.version import __version__
from windsock.address import Address, chosen_url
from windsock.attempts import Attempts
from windsock.backoff import retry_after_s
from windsock.calls import Call, Result
from windsock.errors import Unreachable
from windsock.http import Answer, Request

CONNECT_S = 5.0
IDLE_S = 8.0  # how long a connection is kept for the next request: servers close theirs after ten seconds or more
AGENT = f"windsock-python/{__version__}"
KEPT = 8  # idle connections kept
LATE_S = 5.0  # by how much a limit may be passed for an answer that is on its way


@dataclass(frozen=True, slots=True)
class Target:
    """One server as a client knows it."""

    address: Address
    timeout_s: float = 60.0  # for an answer, from the moment it was asked
    retry_s: float = 5.0  # for how long a request is tried again
    headers: Mapping[str, str] = field(default_factory=dict)  # sent with every request
    context: ssl.SSLContext | None = None  # for https

    @classmethod
    def of(
        cls,
        url: str | None = None,
        timeout_s: float = 60.0,
        retry_s: float = 5.0,
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> "Target":
        """The server at `url`, of that in WINDSOCK_URL, or of the one on this machine.

        Raises:
            ValueError: that is not the address of a server.
        """
        address = Address.of(chosen_url(url))
        if address.tls and context is None:
            context = ssl.create_default_context()
        return cls(address, timeout_s, retry_s, dict(headers or {}), context)

    def request(self, call: Call[Result]) -> Request:
        """The request of a call."""
        headers = {
            "Host": self.address.authority,
            "User-Agent": AGENT,
            "Accept": "application/json",
            **self.headers,
            **(call.headers or {}),
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return Request(call.method, self.address.path + call.path, headers, call.body)

    def attempts(self, call: Call[Result]) -> Attempts:
        """How often it may be tried."""
        retry_s = max(self.retry_s, call.patience_s) if self.retry_s else 0.0
        if call.left_s is not None:
            retry_s = min(retry_s, call.left_s)
        return Attempts(call.repeatable, time.monotonic() + retry_s)

    def answer_s(self, call: Call[Result]) -> float:
        """How long its answer may take."""
        longest_s = self.timeout_s + call.wait_s
        return longest_s if call.left_s is None else min(longest_s, call.left_s + LATE_S)

    def read(self, call: Call[Result], answer: Answer) -> Result:
        """What the answer says.

        Raises:
            Refused, Unreachable: see `Call.judge`.
        """
        after_s = retry_after_s(answer.headers.get("retry-after"), time.time())
        return call.judge(self.address.url, answer, after_s)

    def unreachable(self, error: BaseException, *, sent: bool) -> Unreachable:
        """What to say when no answer came."""
        url = self.address.url
        if isinstance(error, TimeoutError):
            return Unreachable(f"the server at {url} does not answer in time", reason="silent", sent=sent)
        if isinstance(error, ssl.SSLError):
            return Unreachable(f"no TLS with {url}: {error.reason or error}", reason="tls", sent=sent)
        if sent:
            return Unreachable(f"the connection to {url} was lost", sent=True)
        return Unreachable(f"no server answers at {url}", reason="absent")
