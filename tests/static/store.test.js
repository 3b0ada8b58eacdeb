import assert from "node:assert/strict";
import { test } from "node:test";

import { Store, replaces } from "../../static/store.js";

const job = (id, version, state = "running", more = {}) => ({
  id, state, task: "sleep", created_at: version, cursor: `e-1.${version}.0`, ...more,
});
const ids = (store) => store.feedOrder().map((one) => one.id);

function withFeed(...jobs) {
  const store = new Store();
  store.openFeed(1);
  store.apply({ type: "snapshot", sub: 1, jobs, counts: { running: jobs.length }, how: "fresh" }, 0);
  store.apply({ type: "live", sub: 1 }, 0);
  return store;
}

function withWatch() {
  const store = new Store();
  store.openWatch(2, "A");
  store.apply({ type: "snapshot", sub: 2, job: job("A", 10), how: "fresh", cursor: "e-1.10.0" }, 0);
  return store;
}

test("versions never go back", () => {
  assert.equal(replaces(job("A", 5), job("A", 4)), false);
  assert.equal(replaces(job("A", 5), job("A", 5)), true);
  assert.equal(replaces(job("A", 5), job("A", 6)), true);
  assert.equal(replaces(null, job("A", 1)), true);
});

test("a terminal summary wins over any", () => {
  assert.equal(replaces(job("A", 5, "succeeded"), job("A", 9)), false);
  assert.equal(replaces(job("A", 9), job("A", 5, "failed")), true);
});

test("a feed is newest first", () => {
  assert.deepEqual(ids(withFeed(job("A", 1), job("C", 3), job("B", 2))), ["C", "B", "A"]);
});

test("a feed update changes, adds and removes", () => {
  const store = withFeed(job("A", 1), job("B", 2));
  store.apply({ type: "update", sub: 1, jobs: [job("C", 3), job("B", 1)], gone: ["A"], counts: { running: 2 } }, 0);
  assert.deepEqual(ids(store), ["C", "B"]);
  assert.equal(store.feed.jobs.get("B").cursor, "e-1.2.0");
  assert.deepEqual(store.feed.counts, { running: 2 });
});

test("after a reconnect rows stay until live, then those that are gone leave", () => {
  const store = withFeed(job("A", 1), job("B", 2), job("C", 3));
  store.apply({ type: "snapshot", sub: 1, jobs: [job("C", 3)], counts: null, how: "fresh" }, 0);
  assert.deepEqual(ids(store), ["C", "B", "A"]);
  store.apply({ type: "update", sub: 1, jobs: [job("B", 2)], gone: [], counts: null }, 0);
  store.apply({ type: "live", sub: 1 }, 0);
  assert.deepEqual(ids(store), ["C", "B"]);
});

test("a new filter keeps the old rows until its snapshot, then drops them at once", () => {
  const store = withFeed(job("A", 1), job("B", 2));
  store.openFeed(3);
  assert.deepEqual(ids(store), ["B", "A"]);
  store.apply({ type: "snapshot", sub: 3, jobs: [job("D", 4)], counts: {}, how: "fresh" }, 0);
  assert.deepEqual(ids(store), ["D"]);
});

test("a reset snapshot may go back", () => {
  const store = withFeed(job("A", 9, "succeeded"));
  store.apply({ type: "snapshot", sub: 1, jobs: [job("A", 3)], counts: {}, how: "reset" }, 0);
  assert.equal(store.feed.jobs.get("A").state, "running");
});

test("frames of another subscription and unknown types change nothing", () => {
  const store = withFeed(job("A", 1));
  store.apply({ type: "update", sub: 9, jobs: [job("X", 1)], gone: ["A"] }, 0);
  store.apply({ type: "confetti", sub: 1 }, 0);
  assert.deepEqual(ids(store), ["A"]);
});

test("an end is noted once, and not for what had ended before", () => {
  const store = withFeed(job("A", 1), job("B", 2, "failed"));
  const end = { type: "update", sub: 1, jobs: [job("A", 5, "succeeded"), job("B", 2, "failed")], gone: [] };
  store.apply(end, 0);
  store.apply(end, 0);
  assert.deepEqual(store.ended.take().map((one) => one.id), ["A"]);
  assert.deepEqual(store.ended.take(), []);
});

test("an end that came while offline is noted from the next snapshot", () => {
  const store = withFeed(job("A", 1));
  store.apply({ type: "snapshot", sub: 1, jobs: [job("A", 5, "failed")], counts: {}, how: "fresh" }, 0);
  assert.deepEqual(store.ended.take().map((one) => one.id), ["A"]);
});

test("an end seen by feed and watch is noted once", () => {
  const store = withFeed(job("A", 1));
  store.openWatch(2, "A");
  store.apply({ type: "live", sub: 2 }, 0);
  store.apply({ type: "end", sub: 2, job: job("A", 5, "succeeded"), last: 0 }, 0);
  store.apply({ type: "update", sub: 1, jobs: [job("A", 5, "succeeded")] }, 0);
  assert.equal(store.ended.take().length, 1);
});

test("what the watch knows newer shows in the feed too, but adds nothing to it", () => {
  const store = withFeed(job("A", 1));
  store.openWatch(2, "A");
  store.apply({ type: "end", sub: 2, job: job("A", 5, "failed"), last: 0 }, 0);
  store.apply({ type: "update", sub: 1, jobs: [job("A", 4)] }, 0);
  assert.equal(store.feed.jobs.get("A").state, "failed");
  store.openWatch(3, "B");
  store.apply({ type: "update", sub: 3, job: job("B", 6) }, 0);
  assert.deepEqual(ids(store), ["A"]);
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

test("the whole job is taken only for the job that is open", () => {
  const store = withWatch();
  store.setWhole({ id: "B", args: {} });
  assert.equal(store.watch.whole, null);
  store.setWhole({ id: "A", args: { n: 1 } });
  assert.deepEqual(store.watch.whole.args, { n: 1 });
});

test("stale until fresh or a new welcome; the server's clock is noted", () => {
  const store = new Store();
  store.apply({ type: "stale", why: "redis" }, 0);
  assert.equal(store.stale, "redis");
  store.apply({ type: "fresh" }, 0);
  assert.equal(store.stale, null);
  store.apply({ type: "stale", why: "redis" }, 0);
  store.apply({ type: "welcome", now: 5000 }, 2000);
  assert.equal(store.stale, null);
  assert.equal(store.clockOffsetMs, 3000);
});
