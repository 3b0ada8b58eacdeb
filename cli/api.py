"""The HTTP side: ask, get the decoded answer, or an error that says what to do."""

import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError

from cli.exits import BadUsage, CliError, Refused, Unreachable
from cli.safe import wire_json
from server.version import __version__

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 60.0
USER_AGENT = f"windsock-cli/{__version__}"
MAX_ANSWER_BYTES = 64 * 1024 * 1024


def server_url(text: str) -> str:
    """The base URL in what was typed: `localhost:8765` will do, a slash at the end goes.

    Raises:
        BadUsage: it is not an http or https URL with a host.
    """
    url = (text if "://" in text else f"http://{text}").rstrip("/")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise BadUsage(f"--url {text}: not a server's address; give one like http://127.0.0.1:8765")
    return url


class Api:
    """One server, spoken to over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = server_url(url)
        self._client = AsyncHTTPClient(force_instance=True, max_body_size=MAX_ANSWER_BYTES)

    async def __aenter__(self) -> "Api":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()

    async def get(self, path: str, **query: str | int | None) -> Any:
        """The decoded answer to a GET; what is None is left out of the query.

        Raises:
            Refused, Unreachable: as the server's answer, or its absence, says.
        """
        chosen = {name: value for name, value in query.items() if value is not None}
        return await self._ask("GET", path + ("?" + urlencode(chosen) if chosen else ""), None)

    async def post(self, path: str, body: Any = None) -> Any:
        """The decoded answer to a POST.

        Raises:
            Refused, Unreachable: as `get`.
        """
        return await self._ask("POST", path, wire_json({} if body is None else body).encode())

    async def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        request = HTTPRequest(
            self.url + path,
            method=method,
            body=body,
            headers={"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {}),
            user_agent=USER_AGENT,
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=REQUEST_TIMEOUT_S,
            follow_redirects=False,
        )
        try:
            response = await self._client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:
            raise no_answer(self.url, error) from None
        return self._judge(response)

    def _judge(self, response: HTTPResponse) -> Any:
        try:
            answer = json.loads(response.body)
        except ValueError:
            answer = None
        if 200 <= response.code < 300 and answer is not None:
            return answer
        raise refusal(self.url, response.code, answer)


def job_path(job_id: str, *parts: str) -> str:
    """The path of a job; an id that was mistyped as a path or a query stays one segment.

    Raises:
        BadUsage: it cannot be an id at all.
    """
    if not job_id.strip(".") or len(job_id) > 64:
        raise BadUsage(f"{job_id!r} is not the id of a job; `windsock jobs` lists them")
    return "/".join(["/api/jobs", quote(job_id, safe="", errors="replace"), *parts])


def no_answer(url: str, error: BaseException | None) -> Unreachable:
    """What to say when nobody answers."""
    if isinstance(error, HTTPTimeoutError | TimeoutError):
        return Unreachable(f"the server at {url} does not answer in time: is it overloaded, or is --url wrong?")
    return Unreachable(f"no server answers at {url}: start one with `windsock serve` or give --url")


def refusal(url: str, status: int, problem: Any) -> CliError:
    """The error for an answer that is not the one asked for."""
    if not isinstance(problem, dict) or "code" not in problem:
        return Unreachable(f"{url} answers, but not as a Windsock server (HTTP {status}): check --url")
    said = _said(problem)
    if status == 429 or status >= 500:
        return Unreachable(f"{said} ({problem['code']}): try again later")
    return Refused(f"{said} ({problem['code']})")


def _said(problem: dict[str, Any]) -> str:
    errors = problem.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(f"{one.get('field')}: {one.get('message')}" for one in errors if isinstance(one, dict))
    return str(problem.get("detail") or problem.get("title") or "refused")
