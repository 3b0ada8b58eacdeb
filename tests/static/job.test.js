import assert from "node:assert/strict";
import { test } from "node:test";

import { fraction, matches, replaces, setBar } from "../../static/job.js";

const job = (version, state = "running", more = {}) => ({ id: "A", state, task: "sleep", attempt: 1, tags: [], cursor: `e-1.${version}.0`, ...more });
const at = (done, total, more = {}) => job(1, "running", { progress: { done, total }, ...more });

test("versions never go back", () => {
  assert.equal(replaces(job(5), job(4)), false);
  assert.equal(replaces(job(5), job(5)), true);
  assert.equal(replaces(job(5), job(6)), true);
  assert.equal(replaces(null, job(1)), true);
});

test("a terminal summary wins over any", () => {
  assert.equal(replaces(job(5, "succeeded"), job(9)), false);
  assert.equal(replaces(job(9), job(5, "failed")), true);
});

test("a fraction stays between 0 and 1, and is unknown without a total", () => {
  assert.equal(fraction({ done: 5, total: 10 }), 0.5);
  assert.equal(fraction({ done: 15, total: 10 }), 1);
  assert.equal(fraction({ done: -1, total: 10 }), 0);
  assert.equal(fraction({ done: 1n, total: 2n }), 0.5);
  for (const progress of [null, { done: 5, total: null }, { done: 0, total: 0 }]) assert.equal(fraction(progress), null);
});

test("the fraction over all steps goes before that of the present one", () => {
  assert.equal(fraction({ done: 1, total: 10, fraction: 0.62 }), 0.62);
});

test("a bar never runs back within an attempt, and begins anew with the next", () => {
  let held = setBar(null, at(5, 10));
  held = setBar(held, at(5, 20));
  assert.equal(held.bar, 0.5);
  held = setBar(held, at(12, 20));
  assert.equal(held.bar, 0.6);
  assert.equal(setBar(held, job(2, "running", { progress: null })).bar, 0.6);
  assert.equal(setBar(held, at(1, 20, { attempt: 2 })).bar, 0.05);
});

test("a job that succeeded is full, one that failed stays where it was", () => {
  const held = setBar(null, at(5, 10));
  assert.equal(setBar(held, job(9, "succeeded", { progress: { done: 9, total: 10 } })).bar, 1);
  assert.equal(setBar(held, job(9, "failed", { progress: { done: 5, total: 10 } })).bar, 0.5);
  assert.equal(setBar(null, job(9, "succeeded", { progress: null })).bar, null);
});

test("a filter is any of its values, and all of its fields", () => {
  const one = job(1, "running", { tags: ["user:7"] });
  assert.equal(matches({}, one), true);
  assert.equal(matches({ state: ["queued", "running"], tag: ["user:7"] }, one), true);
  assert.equal(matches({ state: ["queued"] }, one), false);
  assert.equal(matches({ state: ["running"], tag: ["user:8"] }, one), false);
});
