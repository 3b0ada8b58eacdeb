"""The JSON Schemas of what requests carry and answers say, made from the models, enums and bounds of the code.

Objects in answers are open: a later release may add fields, and clients ignore what they do not know.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from handlers.batch import MAX_JOBS
from server.errors import Code
from server.job import (
    MAX_NOTE,
    MAX_PATH,
    MAX_PRIORITY,
    MAX_STEP,
    MAX_TAGS,
    MAX_UNIT,
    MAX_WARNINGS,
    MIN_PRIORITY,
    NAME_PATTERN,
    ErrorCode,
    JobState,
)
from server.pace import Going
from server.progress import Level
from server.protocol import MAX_FIELD_ERRORS, FeedFilter, Submission
from server.registry import Kind, Task

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"
TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "integer", "minimum": 0, "description": "milliseconds since the Unix epoch"}
NAME: Schema = {"type": "string", "pattern": NAME_PATTERN}
PROFILED: Schema = {"enum": [True, "cprofile"], "description": "how its attempts are profiled"}
ANY: Schema = {"description": "any JSON value"}


def ref(name: str) -> Schema:
    """A schema of the document by its name."""
    return {"$ref": PREFIX + name}


def record(fields: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, about: str = "") -> Schema:
    """An object that has all of `fields`, and may have the `optional` ones."""
    shape: Schema = {"type": "object", "properties": {**fields, **(optional or {})}, "required": list(fields)}
    return {"description": about, **shape} if about else shape


def array(items: Schema, most: int | None = None) -> Schema:
    """An array, of at most so many."""
    return {"type": "array", "items": items} | ({} if most is None else {"maxItems": most})


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else {"anyOf": [schema, {"type": "null"}]}


def whole(least: int, most: int, default: int) -> Schema:
    """A whole number within bounds."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def one_of(values: Iterable[str]) -> Schema:
    """One of some words."""
    return {"type": "string", "enum": [str(value) for value in values]}


def schemas(tasks: Iterable[Task]) -> dict[str, Schema]:
    """Every schema of the document, by name."""
    return {
        **_submits(list(tasks)),
        **_jobs(),
        **_log(),
        **_house(),
        "Problem": _problem(),
        "JobState": {"description": JobState.__doc__, **one_of(JobState)},
    }


# what requests carry


def filters() -> dict[str, Schema]:
    """The filters of a list: arrays, as a query gives one several times."""
    fields = FeedFilter.model_json_schema(ref_template=PREFIX + "{model}")["properties"]
    return {name: next(one for one in field["anyOf"] if "items" in one) for name, field in fields.items()}


def _submits(tasks: list[Task]) -> dict[str, Schema]:
    """A submission for each task, told apart by `task`; without tasks any, which is then refused."""
    made: dict[str, Schema] = {}
    for task in tasks:
        made |= _arguments(task)
        made[f"submit.{task.name}"] = _submission(task)
    if tasks:
        names = {task.name: PREFIX + f"submit.{task.name}" for task in tasks}
        choice: Schema = {
            "oneOf": [{"$ref": name} for name in names.values()],
            "discriminator": {"propertyName": "task", "mapping": names},
        }
    else:
        choice = _submission(None)
    batch = {**array(ref("Submission"), MAX_JOBS), "minItems": 1}
    return {**made, "Submission": choice, "Batch": batch}


def _submission(task: Task | None) -> Schema:
    schema = Submission.model_json_schema()
    fields = {name: {k: v for k, v in field.items() if k != "title"} for name, field in schema["properties"].items()}
    both = {"delay_s": NUMBER, "at": {"type": "integer"}}
    schema = {**schema, "properties": fields, "not": {"properties": both, "required": list(both)}}
    if task is not None:
        schema |= {"title": f"Submission of {task.name}", "description": task.summary}
        fields |= {"task": {"const": task.name}, "args": ref(f"arguments.{task.name}")}
        if any(field.is_required() for field in task.arguments.model_fields.values()):
            schema["required"] = ["task", "args"]
    return schema


def _arguments(task: Task) -> dict[str, Schema]:
    """The arguments of a task, and what their schema refers to: references begin at the root of the document."""
    schema = task.arguments.model_json_schema(ref_template=PREFIX + "model.{model}." + task.name)
    models = {f"model.{name}.{task.name}": model for name, model in schema.pop("$defs", {}).items()}
    return {f"arguments.{task.name}": schema, **models}


# what answers say


def _summary() -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The fields of a summary: those that are always there, and the others."""
    progress = {
        "done": NUMBER,
        "total": nullable(NUMBER),
        "unit": nullable({**TEXT, "maxLength": MAX_UNIT}),
        "note": nullable({**TEXT, "maxLength": MAX_NOTE}),
    }
    left = {**NUMBER, "description": "seconds left at `updated_at`"}
    stepped = {
        "fraction": {"type": "number", "minimum": 0, "maximum": 1, "description": "over all steps, never back"},
        "rate": {**NUMBER, "description": "units a second"},
        "eta_s": left,
        "eta_low_s": left,
        "eta_high_s": left,
        "step": record(
            {"name": {**TEXT, "maxLength": MAX_STEP}, "path": array({**TEXT, "maxLength": MAX_STEP}, MAX_PATH)}
        ),
    }
    said = {"kind": TEXT, "at": TIME, "attempt": COUNT, "message": TEXT}
    warning = record(said, {"seconds": NUMBER, "where": TEXT, "stack": TEXT})
    always = {
        "id": TEXT,
        "task": NAME,
        "queue": NAME,
        "state": ref("JobState"),
        "attempt": {"type": "integer", "minimum": 1},
        "max_attempts": {"type": "integer", "minimum": 1},
        "priority": {"type": "integer", "minimum": MIN_PRIORITY, "maximum": MAX_PRIORITY},
        "tags": array(TEXT, MAX_TAGS),
        "progress": nullable(record(progress, stepped, about="null until the task has spoken")),
        "created_at": TIME,
        "scheduled_at": nullable(TIME),
        "started_at": nullable(TIME),
        "finished_at": nullable(TIME),
        "updated_at": TIME,
        "node": nullable(TEXT),
        "warnings": array(warning, MAX_WARNINGS),
        "cursor": {**TEXT, "description": "opaque: hand it back as `after`"},
    }
    pace = {**one_of(Going), "description": "of a job that does not go as usual"}
    optional = {
        "pace": pace,
        "rerun_of": {**TEXT, "description": "the job that it repeats"},
        "parent": {**TEXT, "description": "the job that spawned it, or its group"},
        "children": record(dict.fromkeys(("total", "ended", "failed", "cancelled", "running"), COUNT)),
    }
    return always, optional


def _jobs() -> dict[str, Schema]:
    always, rerun = _summary()
    error = nullable(record({"code": one_of(ErrorCode), "message": TEXT}, {"traceback": TEXT}))
    outcome = {"result": ANY, "result_bytes": nullable(COUNT), "error": error}
    counts = {"type": "object", "additionalProperties": COUNT, "propertyNames": ref("JobState")}
    page = {"jobs": array(ref("Summary")), "next": nullable(TEXT), "counts": nullable(counts)}
    either = {"anyOf": [ref("Summary"), ref("Problem")]}
    return {
        "Summary": record(always, rerun, "A job as lists show it."),
        "Ended": record(always, {**rerun, **outcome}, "A job, with its outcome where its end was waited for."),
        "Job": record(
            {**always, "args": {"type": "object"}},
            {
                **rerun,
                **outcome,
                "position": COUNT,
                "start_in_s": nullable(NUMBER),
                "checkpoint": ANY,
                "profile": PROFILED,
            },
            "A whole job.",
        ),
        "Page": record(page, about="A page of a list, newest first."),
        "BatchAnswer": record(
            {"jobs": array(either, MAX_JOBS)},
            {"group": ref("Summary")},
            "A summary or a problem for each submission; of a group, the group too.",
        ),
    }


def _log() -> dict[str, Schema]:
    offset = {"type": "integer", "minimum": 1}
    said = record({"offset": offset, "at": TIME, "level": one_of(Level), "text": TEXT})
    emitted = record({"offset": offset, "at": TIME, "value": ANY})
    piece = {"entries": array({"oneOf": [said, emitted]}), "first": COUNT, "last": COUNT, "next": nullable(COUNT)}
    return {"Log": record(piece, about="A piece of a log.")}


def _house() -> dict[str, Schema]:
    options = {
        "queue": NAME,
        "timeout_s": nullable(NUMBER),
        "max_attempts": COUNT,
        "priority": {"type": "integer"},
        "unique": {"anyOf": [BOOLEAN, array(TEXT)]},
        "cache_s": nullable(NUMBER),
        "retries": COUNT,
        "retry_on": array(TEXT),
        "limit": nullable(COUNT),
        "key": array(TEXT),
        "limit_trees": BOOLEAN,
        "cron": array(TEXT),
        "timezone": nullable(TEXT),
        "missed": nullable(TEXT),
        "next_at": nullable(TIME),
    }
    arguments = {"type": "object", "description": "a JSON Schema"}
    task = {"name": NAME, "summary": TEXT, "kind": one_of(Kind), "arguments": arguments, "options": record(options)}
    return {
        "Tasks": record({"tasks": array(record(task))}),
        "Nodes": record({"nodes": array(_node())}),
        "Alive": record({"status": {"const": "alive"}}),
        "Ready": record({"status": {"const": "ready"}}),
    }


def _node() -> Schema:
    lane = record({**dict.fromkeys(("slots", "running", "waiting"), COUNT), "tasks": array(NAME)})
    lanes = {"type": "object", "additionalProperties": lane, "propertyNames": one_of(Kind)}
    counts = dict.fromkeys(("running", "waiting", "abandoned"), COUNT)
    worker = record({**counts, "lanes": lanes, "queues": array(TEXT)})
    child = {
        "number": COUNT,
        "id": nullable(TEXT),
        "pid": nullable(COUNT),
        "state": one_of(("starting", "running", "waiting")),
        "restarts": COUNT,
        "next_try_s": nullable(NUMBER),
    }
    fields = {
        **dict.fromkeys(("id", "name", "host", "version", "redis_version"), TEXT),
        **dict.fromkeys(("pid", "clients", "subscriptions"), COUNT),
        **dict.fromkeys(("serves", "draining"), BOOLEAN),
        "started_at": TIME,
        "loop_lag_ms": NUMBER,
        "blocked": nullable(record({"seconds": NUMBER, "job": nullable(TEXT), "task": TEXT, "where": TEXT})),
        "worker": nullable(worker),
        "children": array(record(child)),
    }
    return record(fields, about="A process as it described itself at its last beat.")


def _problem() -> Schema:
    fault = record({"field": TEXT, "message": TEXT})
    fields = {"type": TEXT, "title": TEXT, "status": COUNT, "detail": TEXT, "code": one_of(Code)}
    errors = {**array(fault, MAX_FIELD_ERRORS), "description": "of `invalid`: each field that is wrong"}
    return record(fields, {"errors": errors}, "A refusal (RFC 9457). `code` is stable.")
