"""Where a server is. Pure but for the environment, which is given."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

DEFAULT_URL = "http://127.0.0.1:8765"
VARIABLE = "WINDSOCK_URL"
_PORTS = {"http": 80, "https": 443}
_IN_A_PATH = "/%~!$&'()*+,;=:@"  # beside letters and digits


@dataclass(frozen=True, slots=True)
class Address:
    """The base of a server's URLs."""

    url: str  # without a slash at the end
    host: str
    port: int
    tls: bool
    path: str  # before /api; "" for most

    @classmethod
    def of(cls, text: str) -> "Address":
        """The address in what was typed: `localhost:8765` will do.

        Raises:
            ValueError: it is not an http or https URL with a host.
        """
        url = (text if "://" in text else f"http://{text}").rstrip("/")
        try:
            parts = _plain(urlsplit(url))
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _bad(text) from None
        if parts.scheme not in _PORTS or not host or port == 0 or parts.query or parts.fragment or parts.username:
            raise _bad(text)
        return cls(parts.geturl(), host, port or _PORTS[parts.scheme], parts.scheme == "https", parts.path)

    @property
    def authority(self) -> str:
        """As the header `Host` has it."""
        return urlsplit(self.url).netloc


def chosen_url(url: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The URL that was given, else that of WINDSOCK_URL, else the default one."""
    return url or environ.get(VARIABLE) or DEFAULT_URL


def _plain(parts: SplitResult) -> SplitResult:
    """As requests have it: a host with letters of the world in IDNA (RFC 3490), a path with escapes.

    Raises:
        UnicodeError: that can be no host.
    """
    host = parts.netloc.encode("idna").decode("ascii")
    return parts._replace(netloc=host, path=quote(parts.path, safe=_IN_A_PATH))


def _bad(text: str) -> ValueError:
    return ValueError(f"{text}: not a server's address; give one like {DEFAULT_URL}")
