import assert from "node:assert/strict";
import { test } from "node:test";

import { JobLog } from "../../static/log.js";

const lines = (...texts) => texts.map((text) => ({ at: 0, level: "info", text }));
const shape = (log) => log.rows.map((row) => (row.entry ? `${row.offset}${row.entry.text}` : `${row.from}-${row.to} ${row.why}`));

test("runs are put together by offset", () => {
  const log = new JobLog(10);
  log.append(1, lines("a", "b"));
  log.append(3, lines("c"));
  assert.deepEqual(shape(log), ["1a", "2b", "3c"]);
  assert.equal(log.next, 4);
});

test("what is already here is skipped", () => {
  const log = new JobLog(10);
  log.append(1, lines("a", "b"));
  log.append(1, lines("a", "b"));
  log.append(2, lines("b", "c"));
  assert.deepEqual(shape(log), ["1a", "2b", "3c"]);
});

test("the last N start where the server starts, without a gap", () => {
  const log = new JobLog(10);
  log.append(41, lines("x"));
  assert.deepEqual(shape(log), ["41x"]);
  assert.equal(log.before, 40);
});

test("a declared gap stands in its place and is not repeated", () => {
  const log = new JobLog(10);
  log.addGap(1, 12, "trimmed");
  log.append(13, lines("m"));
  log.addGap(10, 15, "slow");
  log.addGap(1, 12, "trimmed");
  assert.deepEqual(shape(log), ["1-12 trimmed", "13m", "14-15 slow"]);
  assert.equal(log.next, 16);
});

test("a hole nobody declared is shown as a gap: silence never means loss", () => {
  const log = new JobLog(10);
  log.append(1, lines("a"));
  log.append(4, lines("d"));
  assert.deepEqual(shape(log), ["1a", "2-3 lost", "4d"]);
});

test("a reset takes back everything from its offset on", () => {
  const log = new JobLog(10);
  log.append(1, lines("a", "b", "c"));
  log.dropFrom(2);
  log.append(2, lines("B"));
  assert.deepEqual(shape(log), ["1a", "2B"]);
  assert.equal(log.resets, 1);
});

test("a reset inside a gap keeps the part before it", () => {
  const log = new JobLog(10);
  log.addGap(1, 12, "trimmed");
  log.dropFrom(5);
  log.append(5, lines("e"));
  assert.deepEqual(shape(log), ["1-4 trimmed", "5e"]);
});

test("a reset to the beginning may go on anywhere", () => {
  const log = new JobLog(10);
  log.append(1, lines("a"));
  log.dropFrom(1);
  log.append(90, lines("z"));
  assert.deepEqual(shape(log), ["90z"]);
  assert.equal(log.before, 89);
});

test("a gap let go at the top counts as all its lines", () => {
  const log = new JobLog(2);
  log.addGap(1, 12, "trimmed");
  log.append(13, lines("m", "n"));
  assert.equal(log.before, 12);
});

test("the top is let go above the limit, and counted", () => {
  const log = new JobLog(3);
  log.append(1, lines("a", "b", "c", "d", "e"));
  assert.deepEqual(shape(log), ["3c", "4d", "5e"]);
  assert.equal(log.before, 2);
});
