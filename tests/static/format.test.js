import assert from "node:assert/strict";
import { test } from "node:test";

import {
  ago, bytes, connectionText, duration, elapsed, endsText, gapText, leftText, ms, paceText, plural, progressText, rateText, roughly, scaleText, short, stepText, timing,
} from "../../static/format.js";

test("progress is written as far as it is known", () => {
  assert.equal(progressText({ done: 37, total: 120, unit: "images", note: "cat.png" }), "37 / 120 images · cat.png");
  assert.equal(progressText({ done: 1234, total: null, unit: "rows", note: "" }), "1,234 rows");
  assert.equal(progressText({ done: 0, total: 0, unit: "" }), "0 / 0");
  assert.equal(progressText({ done: 31_234_567, total: 73_400_320, unit: "bytes" }), "31.2 MB / 73.4 MB");
  assert.equal(progressText(null), "");
});

test("durations read well at every size", () => {
  assert.deepEqual([120, 4230, 12_900, 80_000, 7_500_000, 273_600_000].map(duration),
    ["120 ms", "4.2 s", "12 s", "1 min 20 s", "2 h 5 min", "3 d 4 h"]);
  assert.equal(elapsed(4230), "4 s");
  assert.equal(elapsed(-50), "0 s");
});

test("how long ago", () => {
  assert.deepEqual([0, 12_000, 200_000, 7_200_000, 86_400_000, 200_000_000].map(ago),
    ["just now", "12 s ago", "3 min ago", "2 h ago", "1 day ago", "2 days ago"]);
});

test("bytes have three digits", () => {
  assert.deepEqual([0, 999, 1000, 1_536_000, 999_600].map(bytes), ["0 B", "999 B", "1.00 kB", "1.54 MB", "1.00 MB"]);
});

test("a gap says how many lines and why", () => {
  assert.equal(gapText({ from: 1, to: 12, why: "trimmed" }), "12 lines not kept");
  assert.equal(gapText({ from: 5, to: 5, why: "slow" }), "1 line skipped: this page could not keep up");
});

test("a job's time says how long and when", () => {
  const job = { state: "running", created_at: 0, updated_at: 1000, started_at: 1000, finished_at: null, scheduled_at: null };
  assert.deepEqual(timing(job, 13_000), { first: "12 s", second: "so far" });
  assert.deepEqual(timing({ ...job, state: "queued" }, 3000), { first: "2 s", second: "waiting" });
  assert.deepEqual(timing({ ...job, state: "failed", finished_at: 2500 }, 62_500), { first: "1.5 s", second: "1 min ago" });
  assert.equal(timing({ ...job, state: "cancelled", started_at: null, finished_at: 2500 }, 3000).first, "not started");
});

test("few ends are named, many are counted", () => {
  const ended = (state) => ({ task: "sleep", state });
  assert.equal(endsText([ended("succeeded"), ended("failed")]), "sleep succeeded, sleep failed");
  assert.match(endsText(Array(5).fill(ended("failed"))), /^5 jobs ended/);
});

test("the connection speaks in words", () => {
  const status = { phase: "live", since: 0, code: null, reason: "" };
  assert.deepEqual(connectionText(status, null), { word: "live", detail: "" });
  assert.match(connectionText(status, "redis").detail, /lost Redis/);
  assert.match(connectionText({ ...status, phase: "offline" }, null).word, /^offline since \d\d:\d\d, trying again$/);
  assert.match(connectionText({ ...status, phase: "refused", code: 4003, reason: "no" }, null).detail, /4003 no/);
});

test("a rate is written in the unit of the task, slow ones by the minute or the hour", () => {
  assert.equal(rateText({ rate: 12.44, unit: "images" }), "12 images/s");
  assert.equal(rateText({ rate: 1.234, unit: "images" }), "1.2 images/s");
  assert.equal(rateText({ rate: 0.05, unit: "pages" }), "3 pages/min");
  assert.equal(rateText({ rate: 1_240_000, unit: "bytes" }), "1.24 MB/s");
  assert.equal(rateText({ rate: 8 }), "8/s");
  assert.equal(rateText({ rate: 0.004, unit: "pages" }), "14 pages/h");
  for (const progress of [{}, { rate: 0 }, { rate: null }, { rate: 0.0001 }]) assert.equal(rateText(progress), "");
});

test("a job that stands still has no rate", () => {
  const job = { state: "running", progress: { rate: 3, unit: "pages" } };
  assert.equal(paceText(job), "3 pages/s");
  assert.equal(paceText({ ...job, pace: "stalled" }), "");
  assert.equal(paceText({ state: "running", progress: null }), "");
});

test("what is left counts down between two reports, and is a range where nobody can know better", () => {
  const job = (eta_s, low, high, more = {}) => ({ state: "running", updated_at: 0, progress: { eta_s, eta_low_s: low, eta_high_s: high }, ...more });
  assert.equal(leftText(job(20), 0), "about 20 s left");
  assert.equal(leftText(job(20), 12_000), "about 8 s left");
  assert.equal(leftText(job(20), 60_000), "nearly done");
  assert.equal(leftText(job(60, 40, 120), 0), "40 s to 2 min left");
  assert.equal(leftText(job(60, 58, 62), 0), "about 1 min left");
  assert.equal(leftText(job(60, null, null, { pace: "stalled" }), 0), "");
  assert.equal(leftText(job(60, null, null, { state: "succeeded" }), 0), "");
  assert.equal(leftText({ state: "running", updated_at: 0, progress: null }, 0), "");
});

test("seconds are said as one would say them", () => {
  assert.deepEqual([0.2, 7.6, 22, 84, 610, 5000].map(roughly), ["1 s", "8 s", "20 s", "1 min 30 s", "10 min", "1 h 25 min"]);
  assert.deepEqual([7200, 86_400].map(roughly), ["2 h", "1 d"]);
});

test("the labels of a scale share a unit, and no two are the same", () => {
  const steps = (step) => [0, 1, 2, 3, 4].map((number) => number * step);
  assert.deepEqual(scaleText([0, 5, 10], "ms"), ["0", "5 ms", "10 ms"]);
  assert.deepEqual(scaleText([0, 500, 1000, 1500], "ms"), ["0", "0.5 s", "1 s", "1.5 s"]);
  assert.deepEqual(scaleText([0, 30_000, 60_000], "ms"), ["0", "0.5 min", "1 min"]);
  assert.deepEqual(scaleText([0, 5000, 10_000], ""), ["0", "5,000", "10.0 k"]);
  for (const step of [1, 50, 200, 5000, 30_000, 60_000, 300_000, 3_600_000, 86_400_000]) {
    assert.equal(new Set(scaleText(steps(step), "ms")).size, 5);
    assert.equal(new Set(scaleText(steps(step), "")).size, 5);
  }
  assert.deepEqual(scaleText([], "ms"), []);
});

test("figures stay short", () => {
  assert.deepEqual([0, 9999, 12_420, 240_000, 3_140_000].map(short), ["0", "9,999", "12.4 k", "240 k", "3.1 M"]);
  assert.deepEqual([null, 0.42, 12.7, 1300].map(ms), ["–", "0.4 ms", "13 ms", "1.3 s"]);
  assert.equal(plural(2, "child", "children"), "2 children");
});

test("steps are named from the outside in", () => {
  assert.equal(stepText({ step: { name: "pass", path: ["encode", "pass"] } }), "encode › pass");
  assert.equal(stepText({ step: { name: "resize" } }), "resize");
  assert.equal(stepText(null), "");
});
