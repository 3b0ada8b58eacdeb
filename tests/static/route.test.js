import assert from "node:assert/strict";
import { test } from "node:test";

import { jobHref, jobsHref, readRoute, submitHref, toggled, withValues } from "../../static/route.js";

test("what is asked for survives the hash", () => {
  assert.deepEqual(readRoute(jobsHref({ state: ["running", "queued"], task: ["a.b-c"], tag: ["user:7 & ü"] })), {
    view: "jobs", filter: { state: ["running", "queued"], task: ["a.b-c"], tag: ["user:7 & ü"] }, job: null, task: null, from: null,
  });
  assert.equal(readRoute(jobHref("01JD")).job, "01JD");
  assert.equal(readRoute(jobHref("01JD")).view, "job");
  assert.equal(readRoute(submitHref({ from: "01JD" })).from, "01JD");
  assert.equal(readRoute(submitHref({ task: "sleep" })).task, "sleep");
  assert.equal(readRoute("#/nodes").view, "nodes");
});

test("nothing, and anything unknown, is the overview", () => {
  for (const hash of ["", "#", "#/", "#/confetti", "#/%"]) assert.equal(readRoute(hash).view, "overview");
});

test("a state that is none, and an empty value, are no filter", () => {
  assert.deepEqual(readRoute("#/jobs?state=exploded&task=&state=failed&state=failed").filter, { state: ["failed"] });
});

test("a value goes in and out of a filter, and an empty field leaves it", () => {
  const filter = { task: ["sleep"] };
  assert.deepEqual(toggled(filter, "state", "failed"), { task: ["sleep"], state: ["failed"] });
  assert.deepEqual(toggled({ state: ["failed"] }, "state", "failed"), {});
  assert.deepEqual(withValues(filter, "task", []), {});
  assert.equal(jobsHref({}), "#/jobs");
});
