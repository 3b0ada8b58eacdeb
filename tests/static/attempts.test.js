import assert from "node:assert/strict";
import { test } from "node:test";

import { Attempts } from "../../static/attempts.js";

const job = (attempt, state, more = {}) => ({ attempt, state, started_at: null, finished_at: null, node: null, warnings: [], ...more });

test("a job that runs through is one line with start and end", () => {
  const attempts = new Attempts();
  attempts.note(job(1, "queued"));
  attempts.note(job(1, "running", { started_at: 10, node: "web-1" }));
  const last = job(1, "failed", { started_at: 10, finished_at: 30, node: "web-1", error: { message: "no" } });
  attempts.note(last);
  assert.deepEqual(attempts.lines(last), [{ attempt: 1, started_at: 10, ended_at: 30, node: "web-1", outcome: "failed", message: "no" }]);
});

test("what was retried is told by its warning, also to somebody who comes late", () => {
  const attempts = new Attempts();
  const present = job(2, "running", { started_at: 50, node: "b", warnings: [{ kind: "retry", attempt: 1, at: 30, message: "oops" }] });
  attempts.note(present);
  assert.deepEqual(attempts.lines(present).map((line) => [line.attempt, line.started_at, line.ended_at, line.outcome, line.message]), [
    [1, null, 30, "failed", "oops"], [2, 50, null, "running", null],
  ]);
});

test("an attempt of which nobody told an end was lost or given back", () => {
  const attempts = new Attempts();
  attempts.note(job(1, "running", { started_at: 5, node: "a" }));
  const present = job(3, "queued");
  attempts.note(present);
  assert.deepEqual(attempts.lines(present).map((line) => [line.attempt, line.node, line.outcome]), [[1, "a", "lost"], [2, null, "lost"], [3, null, "queued"]]);
});
