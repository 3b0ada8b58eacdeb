import assert from "node:assert/strict";
import { test } from "node:test";

import { Http, Problem } from "../../static/http.js";

function answering(...answers) {
  const asked = [];
  const http = new Http("https://jobs.example", async (url, request) => {
    asked.push({ url, ...request });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  });
  return { http, asked };
}

test("a request goes to the server that was named, with its body as JSON", async () => {
  const { http, asked } = answering(new Response('{"id": "J"}'));
  assert.deepEqual(await http.request("POST", "/api/jobs", { body: { task: "sleep" }, headers: { Prefer: "wait=1" } }), { id: "J" });
  const [{ url, method, body, headers }] = asked;
  assert.deepEqual([url, method, body], ["https://jobs.example/api/jobs", "POST", '{"task":"sleep"}']);
  assert.deepEqual(headers, { "Content-Type": "application/json", Prefer: "wait=1" });
});

test("a request without a body names no type", async () => {
  const { http, asked } = answering(new Response("{}"));
  await http.request("GET", "/api/tasks");
  assert.deepEqual(asked[0].headers, {});
  assert.equal(asked[0].body, undefined);
  assert.equal(asked[0].cache, "no-store");
});

test("a refusal is thrown with its code and its fields", async () => {
  const errors = [{ field: "args.size", message: "too large" }];
  const { http } = answering(Response.json({ status: 422, code: "invalid", title: "Invalid", detail: "no", errors }, { status: 422 }));
  await assert.rejects(http.request("POST", "/api/jobs", { body: {} }), (problem) => {
    assert.ok(problem instanceof Problem);
    assert.deepEqual([problem.status, problem.code, problem.message, problem.errors], [422, "invalid", "no", errors]);
    return true;
  });
});

test("a refusal that is no problem+json is thrown with its status", async () => {
  const { http } = answering(new Response("<h1>Bad Gateway</h1>", { status: 502, statusText: "Bad Gateway" }));
  await assert.rejects(http.request("GET", "/"), { status: 502, code: null, message: "Bad Gateway" });
});

test("a server that cannot be reached has status 0, one that breaks off as well", async () => {
  const broken = new Response(new ReadableStream({ start: (stream) => stream.error(new Error("cut")) }));
  for (const answer of [new TypeError("Failed to fetch"), broken]) {
    const { http } = answering(answer);
    await assert.rejects(http.request("GET", "/"), { status: 0, code: "unreachable" });
  }
});
