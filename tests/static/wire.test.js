// The wire as recorded in tests/wire, which tests/test_wire.py holds the server and the terminal to.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decode, versionOf } from "../../static/codec.js";
import { Feed } from "../../static/feed.js";
import { hasEnded } from "../../static/job.js";
import { Store } from "../../static/store.js";
import { Watch } from "../../static/watch.js";

const read = (name) => JSON.parse(readFileSync(new URL(`../wire/${name}.json`, import.meta.url), "utf8"));

/** [offset, text or value] for a line, [from, to, why] for a gap. */
const rowOf = ({ offset, entry, from, to, why }) =>
  entry === undefined ? [from, to, why] : [offset, entry.text ?? entry.value];

function watching() {
  const store = new Store();
  store.watch = new Watch("job-1", 2000);
  store.watch.sub = 1;
  return store;
}

/** Frames as they arrive: text of one message, decoded and applied. */
function apply(store, frames) {
  for (const frame of decode(JSON.stringify(frames))) store.apply(frame, 0);
}

for (const { name, frames, outcome } of [...read("watch"), ...read("made")]) {
  test(`a watch: ${name}`, () => {
    const store = watching();
    apply(store, frames);
    const { job, log, error, sub } = store.watch;
    assert.equal(job?.state ?? null, outcome.state);
    assert.deepEqual(job?.result ?? null, outcome.result);
    assert.equal(job?.error?.code ?? error?.code ?? null, outcome.error);
    assert.deepEqual(log.rows.map(rowOf), outcome.rows);
    assert.equal(sub, null, "the number is free");
    assert.ok(job === null || hasEnded(job));
    assert.equal(frames.findLast((frame) => frame.cursor !== undefined)?.cursor ?? null, outcome.cursor);
  });
}

for (const { name, frames, outcome } of read("feed")) {
  test(`a feed: ${name}`, () => {
    const store = new Store();
    store.feeds.set("list", new Feed());
    store.feed("list").sub = 1;
    apply(store, frames);
    assert.deepEqual(store.feed("list").ids(), outcome.ids);
    assert.equal(store.feed("list").counts.scheduled, outcome.scheduled);
  });
}

test("frames that come twice change nothing", () => {
  for (const { name, frames, outcome } of read("watch")) {
    const whole = watching();
    for (const frame of frames.slice(0, -1)) apply(whole, [frame, frame]); // twice: nothing is doubled
    apply(whole, frames.slice(-1));
    assert.deepEqual(whole.watch.log.rows.map(rowOf), outcome.rows, name);
  }
});

test("the version is read from every cursor", () => {
  for (const { text, cursor } of read("cursors")) {
    if (cursor !== null) assert.equal(versionOf(text), cursor.version);
  }
  assert.equal(versionOf("garbage"), null);
});
