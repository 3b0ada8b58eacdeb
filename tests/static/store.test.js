import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed } from "../../static/feed.js";
import { Store } from "../../static/store.js";
import { Watch } from "../../static/watch.js";

const job = (id, version, state = "running", more = {}) => ({
  id, state, task: "sleep", attempt: 1, started_at: null, finished_at: null, created_at: version, tags: [], cursor: `e-1.${version}.0`, ...more,
});

function withFeed(...jobs) {
  const store = new Store();
  const feed = new Feed();
  feed.sub = 1;
  store.feeds.set("list", feed);
  store.apply({ type: "snapshot", sub: 1, jobs, counts: { running: jobs.length }, how: "fresh" }, 0);
  store.apply({ type: "live", sub: 1 }, 0);
  return store;
}

function openWatch(store, sub, id) {
  store.watch = new Watch(id, 2000);
  store.watch.sub = sub;
  return store;
}

function withWatch() {
  const store = openWatch(new Store(), 2, "A");
  store.apply({ type: "snapshot", sub: 2, job: job("A", 10), how: "fresh", cursor: "e-1.10.0" }, 0);
  return store;
}

test("frames of another subscription and unknown types change nothing", () => {
  const store = withFeed(job("A", 1));
  store.apply({ type: "update", sub: 9, jobs: [job("X", 1)], gone: ["A"] }, 0);
  store.apply({ type: "confetti", sub: 1 }, 0);
  assert.deepEqual(store.feed("list").ids(), ["A"]);
});

test("an end is noted once, and not for what had ended before", () => {
  const store = withFeed(job("A", 1), job("B", 2, "failed"));
  const end = () => ({ type: "update", sub: 1, jobs: [job("A", 5, "succeeded"), job("B", 2, "failed")], gone: [] });
  store.apply(end(), 0);
  store.apply(end(), 0);
  assert.deepEqual(store.ended.take().map((one) => one.id), ["A"]);
  assert.deepEqual(store.ended.take(), []);
});

test("an end that came while offline is noted from the next snapshot", () => {
  const store = withFeed(job("A", 1));
  store.apply({ type: "snapshot", sub: 1, jobs: [job("A", 5, "failed")], counts: {}, how: "fresh" }, 0);
  assert.deepEqual(store.ended.take().map((one) => one.id), ["A"]);
});

test("an end seen by feed and watch is noted once", () => {
  const store = openWatch(withFeed(job("A", 1)), 2, "A");
  store.apply({ type: "live", sub: 2 }, 0);
  store.apply({ type: "end", sub: 2, job: job("A", 5, "succeeded"), last: 0 }, 0);
  store.apply({ type: "update", sub: 1, jobs: [job("A", 5, "succeeded")] }, 0);
  assert.equal(store.ended.take().length, 1);
});

test("what the watch knows newer shows in the lists too, but adds nothing to them", () => {
  const store = openWatch(withFeed(job("A", 1)), 2, "A");
  store.apply({ type: "end", sub: 2, job: job("A", 5, "failed"), last: 0 }, 0);
  store.apply({ type: "update", sub: 1, jobs: [job("A", 4)] }, 0);
  assert.equal(store.feed("list").jobs.get("A").state, "failed");
  openWatch(store, 3, "B");
  store.apply({ type: "update", sub: 3, job: job("B", 6) }, 0);
  assert.deepEqual(store.feed("list").ids(), ["A"]);
});

test("a watch follows its job to the end, and its number is free then", () => {
  const store = withWatch();
  store.apply({ type: "log", sub: 2, first: 1, entries: [{ at: 1, value: 7 }], cursor: "e-1.10.1" }, 0);
  store.apply({ type: "gap", sub: 2, from: 2, to: 3, why: "slow", cursor: "e-1.10.3" }, 0);
  store.apply({ type: "live", sub: 2 }, 0);
  store.apply({ type: "update", sub: 2, job: job("A", 9), cursor: "e-1.9.3" }, 0);
  assert.equal(store.watch.job.cursor, "e-1.10.0");
  store.apply({ type: "end", sub: 2, job: job("A", 12, "failed", { error: { code: "timeout" } }), last: 3 }, 0);
  assert.equal(store.watch.job.error.code, "timeout");
  assert.equal(store.watch.log.rows.length, 2);
  assert.equal(store.watch.sub, null);
});

test("a watch reset drops the log from its offset and takes the older summary", () => {
  const store = withWatch();
  store.apply({ type: "log", sub: 2, first: 1, entries: [{}, {}, {}] }, 0);
  store.apply({ type: "snapshot", sub: 2, job: job("A", 3), how: "reset", log_from: 3 }, 0);
  assert.equal(store.watch.job.cursor, "e-1.3.0");
  assert.equal(store.watch.log.next, 3);
});

test("a lost job keeps what is known and says so", () => {
  const store = withWatch();
  store.apply({ type: "error", sub: 2, code: "not_found", message: "gone", retryable: false }, 0);
  assert.equal(store.watch.error.code, "not_found");
  assert.equal(store.watch.job.id, "A");
});

test("an older answer of the whole job does not take the place of a newer one", () => {
  const watch = new Watch("J", 10);
  watch.setWhole({ id: "J", state: "succeeded", attempt: 1, tags: [], result: 42, cursor: "e-1.5.0" });
  watch.setWhole({ id: "J", state: "running", attempt: 1, tags: [], cursor: "e-1.3.0" });
  assert.equal(watch.whole.result, 42);
});

test("the whole job brings arguments, and the summary where there is none yet", () => {
  const watch = new Watch("A", 10);
  watch.setWhole(job("A", 4, "succeeded", { args: { n: 1 } }));
  assert.deepEqual(watch.whole.args, { n: 1 });
  assert.equal(watch.job.state, "succeeded");
  watch.take(job("A", 3));
  assert.equal(watch.job.state, "succeeded");
});

test("a row behind the window has a subscription of its own, which ends with its job", () => {
  const store = withFeed(job("B", 2));
  store.feed("list").addPage([job("A", 1)], null);
  store.rows.set(7, "A");
  store.apply({ type: "update", sub: 7, job: job("A", 4, "cancelling", { created_at: 1 }) }, 0);
  assert.equal(store.feed("list").jobs.get("A").state, "cancelling");
  store.apply({ type: "end", sub: 7, job: job("A", 5, "cancelled", { created_at: 1 }) }, 0);
  assert.equal(store.rows.size, 0);
  assert.deepEqual(store.ended.take().map((one) => one.id), ["A"]);
});

test("figures are kept with the time of the server", () => {
  const store = new Store();
  store.statsSub = 4;
  store.apply({ type: "heartbeat", now: 5000 }, 2000);
  store.apply({ type: "stats", sub: 4, submitted: 3, pickup_ms: { p50: 2, p99: 9 } }, 2500);
  assert.deepEqual(store.stats.at, [5500]);
  assert.equal(store.stats.series.pickup_p99[0], 9);
});

test("stale until fresh or a new welcome; the server's clock is noted", () => {
  const store = new Store();
  store.apply({ type: "stale", why: "redis" }, 0);
  assert.equal(store.stale, "redis");
  store.apply({ type: "fresh" }, 0);
  assert.equal(store.stale, null);
  store.apply({ type: "stale", why: "redis" }, 0);
  store.apply({ type: "welcome", now: 5000, node: "web-1" }, 2000);
  assert.equal(store.stale, null);
  assert.equal(store.node, "web-1");
  assert.equal(store.clockOffsetMs, 3000);
});
