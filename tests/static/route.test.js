import assert from "node:assert/strict";
import { test } from "node:test";

import { feedFilter, readRoute, writeRoute } from "../../static/route.js";

test("a route survives the hash", () => {
  for (const route of [
    { state: null, task: null, job: null, submit: false },
    { state: "running", task: "a.b-c", job: "01JD", submit: false },
    { state: null, task: null, job: null, submit: true },
  ]) assert.deepEqual(readRoute(writeRoute(route)), route);
});

test("a state that is none, or none at all, shows all", () => {
  assert.equal(readRoute("#state=exploded").state, null);
  assert.equal(readRoute("").state, null);
});

test("only what is set goes into the filter", () => {
  assert.deepEqual(feedFilter(readRoute("#")), {});
  assert.deepEqual(feedFilter(readRoute("#state=failed&task=sleep")), { state: "failed", task: "sleep" });
});
