"""The part of the OpenAPI document that is about stacks and profiles."""

from handlers.operation import STORE, answer, coded, operation, path, text
from handlers.schemas import COUNT, NUMBER, TEXT, TIME, Schema, array, one_of, record, ref
from server.errors import Conflict, Invalid, NotFound, Unavailable, UnsupportedMedia
from server.protocol import ProfileWish
from server.registry import Kind
from server.settings import Settings

NUMBERED: Schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999}


def insight_paths(settings: Settings) -> dict[str, Schema]:
    """By path."""
    one = path("id", {**TEXT, "pattern": "^[A-Za-z0-9]{1,64}$"})
    numbered = {"parameters": [one, path("number", NUMBERED)]}
    kept = "/api/jobs/{id}/profiles/{number}"
    binary: Schema = {"description": "For Python's pstats.", "content": {"application/octet-stream": {}}}
    scope: Schema = {"description": "For speedscope.", "content": {"application/json": {"schema": {"type": "object"}}}}
    page = {200: text("A flame graph, without scripts.", "text/html")}
    return {
        "/api/jobs/{id}/stack": {"parameters": [one], "get": _stack()},
        "/api/jobs/{id}/profile": {"parameters": [one], "post": _begin(settings)},
        "/api/jobs/{id}/profiles": {"parameters": [one], "get": _list()},
        f"{kept}.html": {**numbered, "get": operation("profilePage", "A profile as a page.", page, STORE)},
        f"{kept}.json": {**numbered, "get": operation("profileJson", "A profile as JSON.", {200: scope}, STORE)},
        f"{kept}.pstats": {**numbered, "get": operation("profileStats", "One of cProfile's.", {200: binary}, STORE)},
    }


def _stack() -> Schema:
    return operation(
        "stack",
        "Where a running job stands.",
        {200: answer("Its frames, the innermost last.", ref("Stack"))},
        [NotFound, Conflict, Unavailable],
    )


def _begin(settings: Settings) -> Schema:
    return operation(
        "profile",
        "Profile a running job for a while.",
        {202: answer("It has begun.", ref("ProfileBegun"), "Location")},
        [NotFound, Conflict, Invalid, UnsupportedMedia, Unavailable],
        requestBody={
            "description": f"At most {settings.profile_s:g} seconds.",
            "required": False,
            "content": coded(ref("ProfileWish")),
        },
    )


def _list() -> Schema:
    return operation("profiles", "The profiles kept with a job.", {200: answer("By number.", ref("Profiles"))}, STORE)


def insight_schemas() -> dict[str, Schema]:
    """The schemas of these, by name."""
    frame = record({"file": TEXT, "line": COUNT, "function": TEXT, "code": TEXT})
    stack = {
        "job": TEXT,
        "attempt": COUNT,
        "node": TEXT,
        "kind": one_of(Kind),
        "at": TIME,
        "idle_s": {**NUMBER, "description": "since it was last told how far the job is"},
        "frames": array(frame),
        "text": TEXT,
    }
    profile = {
        "number": NUMBERED,
        "kind": one_of(("sampled", "cprofile")),
        "attempt": COUNT,
        "at": TIME,
        "seconds": NUMBER,
        "samples": COUNT,
        "bytes": COUNT,
    }
    return {
        "Stack": record(stack, about="Where a job stands."),
        "ProfileWish": ProfileWish.model_json_schema(),
        "ProfileBegun": record({"profile": NUMBERED, "seconds": NUMBER}, about="The number it will have."),
        "Profiles": record({"profiles": array(record(profile))}, about="The profiles kept with a job."),
    }
