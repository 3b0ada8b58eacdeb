import assert from "node:assert/strict";
import { test } from "node:test";

import { ago, bytes, connectionText, duration, elapsed, endsText, fraction, gapText, progressText, timing } from "../../static/format.js";

test("progress is written as far as it is known", () => {
  assert.equal(progressText({ done: 37, total: 120, unit: "images", note: "cat.png" }), "37 / 120 images · cat.png");
  assert.equal(progressText({ done: 1234, total: null, unit: "rows", note: "" }), "1,234 rows");
  assert.equal(progressText({ done: 0, total: 0, unit: "" }), "0 / 0");
  assert.equal(progressText({ done: 31_234_567, total: 73_400_320, unit: "bytes" }), "31.2 MB / 73.4 MB");
  assert.equal(progressText(null), "");
});

test("a fraction stays between 0 and 1, and is unknown without a total", () => {
  assert.equal(fraction({ done: 5, total: 10 }), 0.5);
  assert.equal(fraction({ done: 15, total: 10 }), 1);
  assert.equal(fraction({ done: -1, total: 10 }), 0);
  assert.equal(fraction({ done: 1n, total: 2n }), 0.5);
  for (const progress of [null, { done: 5, total: null }, { done: 0, total: 0 }]) assert.equal(fraction(progress), null);
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
