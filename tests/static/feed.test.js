import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed, MAX_ROWS } from "../../static/feed.js";

const ended = { add() {} };
const job = (number, version = number, state = "running", more = {}) => ({
  id: `J${String(number).padStart(6, "0")}`, state, task: "sleep", attempt: 1, created_at: number, tags: [], cursor: `e-1.${version}.0`, ...more,
});
const numbers = (feed) => feed.ids().map((id) => Number(id.slice(1)));

function feedOf(limit, ...jobs) {
  const feed = new Feed({}, limit);
  feed.apply({ type: "snapshot", jobs, counts: { running: jobs.length }, how: "fresh" }, ended);
  feed.apply({ type: "live" }, ended);
  return feed;
}

test("a feed is newest first", () => {
  assert.deepEqual(numbers(feedOf(9, job(1), job(3), job(2))), [3, 2, 1]);
});

test("an update changes, adds and removes", () => {
  const feed = feedOf(9, job(1), job(2));
  feed.apply({ type: "update", jobs: [job(3), job(2, 1)], gone: [job(1).id], counts: { running: 2 } }, ended);
  assert.deepEqual(numbers(feed), [3, 2]);
  assert.equal(feed.jobs.get(job(2).id).cursor, "e-1.2.0");
  assert.deepEqual(feed.counts, { running: 2 });
});

test("after a reconnect rows stay until live, then those that are gone leave", () => {
  const feed = feedOf(9, job(1), job(2), job(3));
  feed.apply({ type: "snapshot", jobs: [job(3)], counts: null, how: "fresh" }, ended);
  assert.deepEqual(numbers(feed), [3, 2, 1]);
  feed.apply({ type: "update", jobs: [job(2)], gone: [], counts: null }, ended);
  feed.apply({ type: "live" }, ended);
  assert.deepEqual(numbers(feed), [3, 2]);
});

test("a reset snapshot may go back", () => {
  const feed = feedOf(9, job(1, 9, "succeeded"));
  feed.apply({ type: "snapshot", jobs: [job(1, 3)], counts: {}, how: "reset" }, ended);
  assert.equal(feed.jobs.get(job(1).id).state, "running");
});

test("after a reconnect the store is believed, whatever versions were held", () => {
  const feed = feedOf(9, job(2, 9, "succeeded"), job(1, 9, "succeeded"));
  feed.apply({ type: "snapshot", jobs: [job(2, 3)], counts: {}, how: "fresh" }, ended);
  feed.apply({ type: "update", jobs: [job(1, 2)], gone: [], counts: {} }, ended);
  feed.apply({ type: "live" }, ended);
  assert.deepEqual([...feed.jobs.values()].map(({ state }) => state), ["running", "running"]);
  feed.apply({ type: "update", jobs: [job(1, 1, "queued")], gone: [], counts: {} }, ended);
  assert.equal(feed.jobs.get(job(1).id).state, "running");
});

test("what was read behind a window that has nothing in common with the new one is let go: what lies between is unknown", () => {
  const feed = feedOf(2, job(4), job(3));
  feed.addPage([job(2), job(1)], null);
  feed.apply({ type: "snapshot", jobs: [job(9), job(8)], counts: {}, how: "fresh" }, ended);
  feed.apply({ type: "live" }, ended);
  assert.deepEqual([numbers(feed), feed.readFrom, feed.resets], [[9, 8], job(8).id, 1]);
});

test("a window that reaches down to what was read behind the last one is whole", () => {
  const feed = feedOf(2, job(4), job(3));
  feed.addPage([job(2), job(1)], null);
  feed.apply({ type: "update", jobs: [], gone: [job(4).id, job(3).id], counts: {} }, ended);
  feed.apply({ type: "snapshot", jobs: [job(5), job(2)], counts: {}, how: "fresh" }, ended);
  feed.apply({ type: "live" }, ended);
  assert.deepEqual([numbers(feed), feed.readFrom, feed.resets], [[5, 2, 1], null, 0]);
});

test("what is pushed out of the window while the next page is read stays: the page begins behind it", () => {
  const feed = feedOf(2, job(4), job(3));
  feed.reading = true;
  feed.apply({ type: "update", jobs: [job(5)], gone: [job(3).id], counts: {} }, ended);
  feed.addPage([job(2), job(1)], null);
  assert.deepEqual(numbers(feed), [5, 4, 3, 2, 1]);
});

test("a full window is read on from its last row, one that is not full has nothing behind it", () => {
  assert.equal(feedOf(2, job(2), job(1)).readFrom, job(1).id);
  assert.equal(feedOf(3, job(2), job(1)).readFrom, null);
});

test("what was read behind the window stays over updates and reconnects", () => {
  const feed = feedOf(2, job(4), job(3));
  feed.addPage([job(2), job(1)], null);
  assert.equal(feed.readFrom, null);
  feed.apply({ type: "snapshot", jobs: [job(4), job(3)], counts: {}, how: "fresh" }, ended);
  feed.apply({ type: "live" }, ended);
  assert.deepEqual(numbers(feed), [4, 3, 2, 1]);
});

test("an entry that was pushed out of the window stays where somebody has read on, else it goes", () => {
  const reading = feedOf(2, job(4), job(3));
  reading.addPage([job(2)], null);
  reading.apply({ type: "update", jobs: [job(5)], gone: [job(3).id] }, ended);
  assert.deepEqual(numbers(reading), [5, 4, 3, 2]);
  const plain = feedOf(2, job(4), job(3));
  plain.apply({ type: "update", jobs: [job(5)], gone: [job(3).id] }, ended);
  assert.deepEqual(numbers(plain), [5, 4]);
});

test("an entry that leaves from the middle of the window is gone", () => {
  const feed = feedOf(2, job(4), job(3));
  feed.addPage([job(2)], null);
  feed.apply({ type: "update", jobs: [], gone: [job(4).id] }, ended);
  assert.deepEqual(numbers(feed), [3, 2]);
});

test("a row behind the window that no longer matches leaves", () => {
  const feed = new Feed({ state: ["running"] }, 1);
  feed.apply({ type: "snapshot", jobs: [job(2)], counts: {}, how: "fresh" }, ended);
  feed.addPage([job(1)], null);
  assert.equal(feed.refresh(job(1, 9, "succeeded"), ended), false);
  assert.deepEqual(numbers(feed), [2]);
  assert.equal(feed.refresh(job(2, 9), ended), false, "those of the window are not its business");
});

test("a list never holds more than it can, and says where to read on", () => {
  const feed = feedOf(1, job(MAX_ROWS + 10));
  feed.addPage(Array.from({ length: MAX_ROWS + 5 }, (_, index) => job(index + 1)), null);
  assert.equal(feed.jobs.size, MAX_ROWS);
  assert.equal(feed.readFrom, feed.ids().at(-1));
});

test("a refusal is kept, and the number is free", () => {
  const feed = new Feed();
  feed.sub = 3;
  feed.apply({ type: "error", code: "invalid", message: "no such filter" }, ended);
  assert.deepEqual([feed.error.code, feed.sub], ["invalid", null]);
});
