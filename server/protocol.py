"""The words of the wire: frame types, close codes, and the frames a client may send. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from server.errors import FieldError, Invalid
from server.job import MAX_PRIORITY, MAX_TAG, MAX_TAGS, MIN_PRIORITY, NAME_PATTERN, JobState

Model = TypeVar("Model", bound=BaseModel)
Choice = TypeVar("Choice")

VERSION = 1
SUBPROTOCOL_MSGPACK = "windsock.v1.msgpack"
SUBPROTOCOL_JSON = "windsock.v1.json"
MAX_RATE = 20  # updates per second of one subscription
DEFAULT_RATE = 10
MAX_AT = 4_102_444_800_000 * 10  # ms; some thousand years: a bound, so that scores stay exact
MAX_FIELD = 200  # characters of a field's path in a refusal
MAX_FIELD_ERRORS = 100  # fields named in a refusal
MAX_CHOICES = 20  # values in one field of a filter
MAX_DELAY_S = 10 * 366 * 86_400.0
KEY_PATTERN = r"^[ -~]{1,255}$"  # of an idempotency key: visible ASCII and blanks


class FrameType(StrEnum):
    """Every `type` a frame may have."""

    # from the client
    HELLO = "hello"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    SUBMIT = "submit"
    CANCEL = "cancel"
    RERUN = "rerun"
    VISIBILITY = "visibility"
    PING = "ping"
    # from the server
    WELCOME = "welcome"
    OK = "ok"
    ERROR = "error"
    SNAPSHOT = "snapshot"
    UPDATE = "update"
    LOG = "log"
    GAP = "gap"
    LIVE = "live"
    END = "end"
    STATS = "stats"
    STALE = "stale"
    FRESH = "fresh"
    HEARTBEAT = "heartbeat"
    DRAIN = "drain"
    BYE = "bye"
    PONG = "pong"


class CloseCode(IntEnum):
    """40xx: do not come back unchanged. 41xx: back off. 42xx: come back soon."""

    PROTOCOL_VIOLATION = 4000
    UNAUTHENTICATED = 4001
    FORBIDDEN = 4003
    FRAME_TOO_LARGE = 4004
    TOO_SLOW = 4100
    RATE_LIMITED = 4101
    OVERLOADED = 4102
    NO_HELLO = 4104
    DRAINING = 4200


class GapReason(StrEnum):
    """Why offsets will not come."""

    TRIMMED = "trimmed"
    SLOW = "slow"
    RESET = "reset"
    LOST = "lost"


Name = Annotated[StrictStr, Field(pattern=NAME_PATTERN)]
Tag = Annotated[StrictStr, Field(min_length=1, max_length=MAX_TAG, pattern=r"^[^\x00-\x1f\x7f]*$")]
KnownId = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9]{1,64}$")]
JobId = Annotated[StrictStr, Field(min_length=1, max_length=64)]
CommandId = Annotated[StrictInt, Field(ge=0)] | Annotated[StrictStr, Field(max_length=64)]
Sub = Annotated[StrictInt, Field(ge=1, lt=2**53)]
Choices = Annotated[list[Choice], Field(max_length=MAX_CHOICES)]  # each node holds the filters of all its feeds
LogWish = Literal["none", "all"] | Annotated[StrictInt, Field(ge=0)]


class Submission(BaseModel):
    """What `POST /api/jobs` and a `submit` frame carry. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Name
    args: dict[str, Any] = Field(default_factory=dict)
    queue: Name | None = None  # the task's own where not given
    priority: Annotated[StrictInt, Field(ge=MIN_PRIORITY, le=MAX_PRIORITY)] | None = None
    delay_s: Annotated[float, Field(strict=True, ge=0, le=MAX_DELAY_S)] | None = None
    at: Annotated[StrictInt, Field(ge=0, le=MAX_AT)] | None = None  # ms since the epoch
    max_attempts: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    timeout_s: Annotated[float, Field(strict=True, gt=0, le=MAX_DELAY_S)] | None = None
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS)] = Field(default_factory=list)
    profile: StrictBool | Literal["cprofile"] = False  # make a profile of each attempt

    @model_validator(mode="after")
    def _one_time(self) -> "Submission":
        if self.delay_s is not None and self.at is not None:
            raise ValueError("give delay_s or at, not both")
        return self


class ProfileWish(BaseModel):
    """What `POST /api/jobs/{id}/profile` carries. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: Annotated[float, Field(strict=True, gt=0, le=3600)] = 5.0
    interval_ms: Annotated[float, Field(strict=True, ge=0.5, le=1000)] | None = None  # between two samples


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a submit is known by when it comes again."""

    text: str
    field: str  # how its sender calls it

    @classmethod
    def of(cls, text: str, field: str) -> "IdempotencyKey":
        """A key from outside.

        Raises:
            Invalid: it is none.
        """
        if not re.fullmatch(KEY_PATTERN, text):
            raise Invalid.field(field, "1 to 255 characters of ASCII, no control characters")
        return cls(text, field)


class _Frame(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class FeedFilter(_Frame):
    """OR within a field, AND between fields; a field left out lets everything through."""

    state: Choices[JobState] | JobState | None = None
    task: Choices[Name] | Name | None = None
    queue: Choices[Name] | Name | None = None
    tag: Choices[Tag] | Tag | None = None
    parent: Choices[KnownId] | KnownId | None = None


class Subscribe(_Frame):
    """A wish to be told of a job, of a feed, or how it goes."""

    sub: Sub
    job: JobId | None = None
    feed: FeedFilter | None = None
    after: Annotated[StrictStr, Field(max_length=128)] | None = None
    log: LogWish = "none"
    limit: Annotated[StrictInt, Field(ge=1)] = 100
    rate: Annotated[float, Field(gt=0, le=MAX_RATE)] = DEFAULT_RATE
    stats: StrictBool = False

    @model_validator(mode="after")
    def _one_target(self) -> "Subscribe":
        if (self.job is not None) + (self.feed is not None) + self.stats != 1:
            raise ValueError("give job, feed or stats, one of them")
        return self


class Hello(_Frame):
    """The first frame; each of its subscribes is judged for itself."""

    token: Annotated[StrictStr, Field(max_length=8192)] | None = None
    subscribe: list[Any] = Field(default_factory=list)


class Unsubscribe(_Frame):
    """Nothing of `sub` follows its ok."""

    id: CommandId
    sub: Sub


class Submit(_Frame):
    """A submission flat in the frame; `submission` is what remains of it without the frame's own fields."""

    id: CommandId
    sub: Sub | None = None
    log: LogWish = "none"
    idempotency_key: Annotated[StrictStr, Field(pattern=KEY_PATTERN)] | None = None

    @property
    def key(self) -> IdempotencyKey | None:
        """What the submit is known by when it comes again."""
        return None if self.idempotency_key is None else IdempotencyKey(self.idempotency_key, "idempotency_key")


class JobCommand(_Frame):
    """cancel or rerun."""

    id: CommandId
    job: JobId


class Visibility(_Frame):
    """Whether anybody looks at the page."""

    hidden: StrictBool


class Ping(_Frame):
    """Answered by a pong with the same n."""

    n: StrictInt | StrictStr | None = None


def parse(model: type[Model], value: Any, prefix: str = "") -> Model:
    """`value` as `model`.

    Raises:
        Invalid: naming every field that is wrong, each with `prefix` before its path.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Invalid(field_errors(error, value, prefix)) from None


PLAIN_WORDS = {"extra_forbidden": "unknown field", "model_type": "Input should be a map"}  # by Pydantic's own name


def field_errors(error: ValidationError, value: Any, prefix: str = "") -> list[FieldError]:
    """Pydantic's findings about `value` as fields with messages: one for each field, and not endlessly many."""
    found: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        path = _path(one["loc"], value, missing=one["type"] == "missing")
        field = f"{prefix}{'.'.join(path)}".removesuffix(".")[:MAX_FIELD]
        message = one["msg"].removeprefix("Value error, ")
        found.setdefault(field or "body", PLAIN_WORDS.get(one["type"], message))
        if len(found) == MAX_FIELD_ERRORS:
            break
    return [FieldError(field, message) for field, message in found.items()]


def _path(location: tuple[int | str, ...], value: Any, *, missing: bool) -> list[str]:
    """The path to a finding without the names of union branches, which pydantic puts among it."""
    path: list[str] = []
    for part in location:
        if _holds(value, part):
            value = value[part]
        elif not (missing and part == location[-1]):
            continue
        path.append(str(part))
    return path


def _holds(value: Any, part: int | str) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
