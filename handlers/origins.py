"""Pages of other origins that may use the API: which, for what, and how browsers are told (CORS, Fetch standard).

Never with credentials: no answer says `Access-Control-Allow-Credentials`, so that a browser shows such a page no answer
that was asked for with cookies.
"""

from collections.abc import Iterable, Mapping

SHARED_METHODS = frozenset({"GET", "HEAD", "POST"})  # of the API; what a page of ours does beyond that is not shared
READABLE = "ETag, Location, Preference-Applied, Retry-After"
PREFLIGHT = {
    "Access-Control-Allow-Methods": ", ".join(sorted(SHARED_METHODS)),
    "Access-Control-Allow-Headers": "Accept, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer",
    "Access-Control-Max-Age": "600",
}


class Origins:
    """Owns the list of origins whose pages are let in. Pure."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def admits(self, origin: str | None) -> bool:
        """Whether a page of this origin may use the API: letter for letter as it was set."""
        return origin in self._allowed

    def headers(self, asked: Mapping[str, str]) -> dict[str, str]:
        """What an answer says to the browser of a page: nothing, where no other origin is let in.

        Args:
            asked: the headers of the request.
        """
        if not self._allowed:
            return {}
        said = {"Vary": "Origin"}  # or a cache would hand one page what was said to another
        if self.admits(origin := asked.get("Origin")):
            said["Access-Control-Allow-Origin"] = origin or ""
            said["Access-Control-Expose-Headers"] = READABLE
            said["Cross-Origin-Resource-Policy"] = "cross-origin"
        return said

    def preflight(self, asked: Mapping[str, str]) -> dict[str, str] | None:
        """What is said to a browser that asks before it sends; None where this is no such question."""
        if "Access-Control-Request-Method" not in asked or not self.admits(asked.get("Origin")):
            return None
        return PREFLIGHT
