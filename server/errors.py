"""One tree of refusals.

WindsockError
├── BadRequest          bad_request        400
├── Unauthenticated     unauthenticated    401
├── Forbidden           forbidden          403
├── NotFound            not_found          404
├── MethodNotAllowed    method_not_allowed 405
├── Conflict            conflict           409
├── TooLarge            too_large          413
├── UnsupportedMedia    unsupported_media  415
├── Invalid             invalid            422   (names each field)
├── TooMany             too_many           429   retryable
├── QueueFull           queue_full         503   retryable
├── Unavailable         unavailable        503   retryable
├── InternalError       internal           500   a fault of ours; the log says more
└── StartupError        the process cannot start; the message says what to do

`handlers.problem` turns a refusal into problem+json, `handlers.session` into an `error` frame; nobody else does.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, NamedTuple


class Code(StrEnum):
    """The stable, public name of a refusal."""

    BAD_REQUEST = "bad_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA = "unsupported_media"
    INVALID = "invalid"
    TOO_MANY = "too_many"
    QUEUE_FULL = "queue_full"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"
    STARTUP = "startup"


class FieldError(NamedTuple):
    """What is wrong with one field of a request."""

    field: str  # dotted path as the sender wrote it: "args.size"
    message: str


class WindsockError(Exception):
    """A refusal with a stable code. `retryable` says whether the same request may succeed later."""

    code: ClassVar[Code]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after_s = after_s  # seconds to wait before trying again; None where trying again is no use


class BadRequest(WindsockError):
    """The bytes do not decode, or the request has the wrong shape."""

    code, status = Code.BAD_REQUEST, 400


class Unauthenticated(WindsockError):
    """Nobody has said who asks."""

    code, status = Code.UNAUTHENTICATED, 401


class Forbidden(WindsockError):
    """Asked from a place that may not ask: a foreign origin, a host name that is not ours."""

    code, status = Code.FORBIDDEN, 403


class NotFound(WindsockError):
    """No such job, task or page; a job may also have expired."""

    code, status = Code.NOT_FOUND, 404


class MethodNotAllowed(WindsockError):
    """The resource exists and does not know this method."""

    code, status = Code.METHOD_NOT_ALLOWED, 405


class Conflict(WindsockError):
    """The state of the job forbids it, or the name is in use."""

    code, status = Code.CONFLICT, 409


class Late(Conflict):
    """The parent of a new child does not run any more, as far as the store knows."""


class TooLarge(WindsockError):
    """A body, message or value over its limit."""

    code, status = Code.TOO_LARGE, 413


class UnsupportedMedia(WindsockError):
    """A content type nobody here reads."""

    code, status = Code.UNSUPPORTED_MEDIA, 415


class Invalid(WindsockError):
    """Decoded well, but fields are wrong; `errors` names each of them."""

    code, status = Code.INVALID, 422

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors[:5]))
        self.errors = tuple(errors)

    @classmethod
    def field(cls, field: str, message: str) -> "Invalid":
        """The refusal of a single field."""
        return cls([FieldError(field, message)])


class TooMany(WindsockError):
    """Over a rate or a count; `after_s` says when to come again."""

    code, status, retryable = Code.TOO_MANY, 429, True


class QueueFull(WindsockError):
    """The queue holds as much as it may."""

    code, status, retryable = Code.QUEUE_FULL, 503, True


class Unavailable(WindsockError):
    """The store is away, full or read-only, or this node is draining. Nothing was accepted."""

    code, status, retryable = Code.UNAVAILABLE, 503, True

    def __init__(self, message: str, *, after_s: float | None = 1.0) -> None:
        super().__init__(message, after_s=after_s)


class InternalError(WindsockError):
    """A fault of ours; the log has the traceback."""

    code, status = Code.INTERNAL, 500


class StartupError(WindsockError):
    """This process cannot start as asked; shown as one line, exit code 1."""

    code, status = Code.STARTUP, 500
