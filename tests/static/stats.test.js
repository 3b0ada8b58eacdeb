import assert from "node:assert/strict";
import { test } from "node:test";

import { SERIES, Stats } from "../../static/stats.js";

const frame = (submitted) => ({ type: "stats", submitted, pickup_ms: { p50: null, p99: null }, run_ms: { p50: 1, p99: 2 } });

test("seconds are kept for a while, all series alike", () => {
  const stats = new Stats(10_000);
  for (let second = 0; second < 30; second += 1) stats.push(frame(second), 1000 * second);
  assert.deepEqual([stats.at[0], stats.at.at(-1)], [19_000, 29_000]);
  for (const name of SERIES) assert.equal(stats.series[name].length, stats.at.length);
  assert.equal(stats.series.submitted.at(-1), 29);
  assert.equal(stats.latest.submitted, 29);
});

test("seconds nobody told of are a gap, not a line through them", () => {
  const stats = new Stats();
  stats.push(frame(1), 1000);
  stats.push(frame(2), 60_000);
  assert.deepEqual(stats.series.submitted, [1, null, 2]);
});

test("a hidden page, told every five seconds, has a line all the same", () => {
  const stats = new Stats();
  for (const second of [1, 6, 11.4]) stats.push(frame(second), 1000 * second);
  assert.deepEqual(stats.series.submitted, [1, 6, 11.4]);
});

test("what was kept survives a reload, what is old does not, and garbage is nothing", () => {
  const before = new Stats(10_000);
  before.push(frame(1), 1000);
  before.push(frame(2), 2000);
  const saved = JSON.parse(JSON.stringify(before.save()));
  const after = new Stats(10_000);
  after.restore(saved, 11_500);
  assert.deepEqual(after.at, [2000]);
  for (const garbage of [null, {}, { at: [1], series: {} }, 7]) {
    const fresh = new Stats();
    fresh.restore(garbage, 0);
    assert.deepEqual(fresh.at, []);
  }
});

test("a chart begins with a minute and grows to what is kept", () => {
  const stats = new Stats(300_000);
  assert.equal(stats.span(1000), 60_000);
  stats.push(frame(1), 0);
  assert.equal(stats.span(30_000), 60_000);
  assert.equal(stats.span(100_000), 100_000);
  assert.equal(stats.span(900_000), 300_000);
});
