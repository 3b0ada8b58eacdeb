"""Answers held against the OpenAPI document, for tests."""

from jsonschema import Draft202012Validator


def closed(schema):
    """A schema whose objects have no other fields than those it names: what is not documented does not pass."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(one) for name, one in schema.items()}
    return {**made, "additionalProperties": False} if "required" in made and "type" in made else made


def check(document, answer, method, path):
    """Make sure that an answer is one that the document tells of."""
    responses = document["paths"][path][method.lower()]["responses"]
    assert str(answer.status) in responses, (method, path, answer.status, answer.body)
    content = responses[str(answer.status)].get("content")
    if content is None:
        assert answer.body == b""
        return answer
    media_type = answer.headers["Content-Type"].partition(";")[0]
    assert media_type in content or "*/*" in content, (method, path, media_type)
    schema = content.get(media_type, {}).get("schema")
    if schema is not None and not media_type.startswith("text/"):
        components = {"components": {"schemas": closed(document["components"]["schemas"])}}
        Draft202012Validator({**schema, **components}).validate(answer.value)
    return answer


class Asking:
    """Asks, and checks each answer against the document."""

    def __init__(self, api, document):
        self.api, self.document = api, document

    async def get(self, path, query="", job="", **headers):
        answer = await self.api.get(path.replace("{id}", job) + query, **headers)
        return check(self.document, answer, "GET", path)

    async def post(self, path, value=None, job="", **headers):
        answer = await self.api.post(path.replace("{id}", job), value, **headers)
        return check(self.document, answer, "POST", path)

    async def delete(self, path, job):
        answer = await self.api.ask("DELETE", path.replace("{id}", job))
        return check(self.document, answer, "DELETE", path)

    async def submit(self, name, wait_s=0, **args):
        prefer = {"Prefer": f"wait={wait_s}"} if wait_s else {}
        return (await self.post("/api/jobs", {"task": name, "args": args}, **prefer)).value
