import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffMs, verdictOf } from "../../static/backoff.js";

test("the wait is anywhere below a bound that doubles from 0.5 s to 20 s", () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 50].map((failures) => backoffMs(failures, () => 1));
  assert.deepEqual(bounds, [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
  assert.equal(backoffMs(4, () => 0), 0);
  assert.equal(backoffMs(0, () => 0.5), 250);
});

test("close codes say whether and when to come back", () => {
  assert.deepEqual([4000, 4001, 4003, 4004].map((code) => verdictOf(code)), ["never", "never", "never", "never"]);
  assert.deepEqual([4100, 4101, 4102, 4104].map((code) => verdictOf(code)), ["later", "later", "later", "later"]);
  assert.equal(verdictOf(4200), "soon");
  assert.deepEqual([1000, 1001, 1006, 1012, 3000, 4999].map((code) => verdictOf(code)), Array(6).fill("retry"));
});

test("a bye without retry is final whatever the code", () => {
  assert.equal(verdictOf(1000, { retry: false }), "never");
  assert.equal(verdictOf(1000, { retry: true }), "retry");
});
