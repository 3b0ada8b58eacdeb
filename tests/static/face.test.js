import assert from "node:assert/strict";
import { test } from "node:test";

import { face, said } from "../../static/embed/face.js";
import { WORDS } from "../../static/embed/words.js";
import { setBar } from "../../static/job.js";

const NOW = 1_790_000_100_000;
const LIVE = { phase: "live", since: NOW - 5000, reason: "", stale: null };

const job = (fields = {}) => setBar(null, {
  id: "J", task: "thumbnails", state: "running", attempt: 1, started_at: NOW - 12_000, finished_at: null, updated_at: NOW - 300,
  scheduled_at: null, warnings: [], progress: { done: 37, total: 120, unit: "images", note: "cat.png" }, ...fields,
});
const shown = (fields) => face({ id: "J", job: null, error: null, place: null, status: LIVE, now: NOW, words: WORDS, ...fields });

test("before anything is known it says whether there is a connection", () => {
  const connecting = shown({ status: { phase: "connecting" } });
  assert.deepEqual([connecting.state, connecting.moving], ["connecting", true]);
  const offline = shown({ status: { phase: "offline", since: NOW } });
  assert.deepEqual([offline.state, offline.word, offline.moving], ["offline", "No connection", false]);
  assert.equal(shown({ status: { phase: "idle" } }).state, "connecting");
  assert.equal(shown({ id: "" }).state, "missing");
});

test("a running job shows how far, how fast, and how long yet", () => {
  const progress = { done: 37, total: 120, unit: "images", note: "cat.png", rate: 12.4, eta_s: 7, step: { name: "resize", path: ["resize"] } };
  const { state, part, amount, detail, pace, moving, cancellable } = shown({ job: job({ progress }) });
  assert.deepEqual([state, amount, moving, cancellable], ["running", "30 %", false, true]);
  assert.ok(Math.abs(part - 37 / 120) < 1e-9);
  assert.equal(detail, "resize · 37 / 120 images · cat.png");
  assert.equal(pace, "12 images/s · about 7 s left");
});

test("without a total it moves, and says what it has", () => {
  const { part, moving, amount, detail } = shown({ job: job({ progress: { done: 1234, total: null, unit: "rows", note: null } }) });
  assert.deepEqual([part, moving, amount, detail], [null, true, "", "1,234 rows"]);
  assert.deepEqual([shown({ job: job({ progress: null }) }).moving, shown({ job: job({ progress: null }) }).detail], [true, ""]);
});

test("a stalled job does not move, and says for how long", () => {
  const { state, moving, pace, cancellable } = shown({ job: job({ pace: "stalled", updated_at: NOW - 64_000 }) });
  assert.deepEqual([state, moving, pace, cancellable], ["stalled", false, "Nothing has moved for 1 min 4 s", true]);
});

test("a waiting job says how many are before it and when it may start", () => {
  const waits = job({ state: "queued", progress: null, started_at: null });
  const detail = (place) => shown({ job: waits, place }).detail;
  assert.equal(detail({ position: 3, start_in_s: 12.4 }), "3 jobs before this one · starts in about 12 s");
  assert.equal(detail({ position: 1, start_in_s: null }), "1 job before this one");
  assert.equal(detail({ position: 0 }), "Next in line");
  assert.equal(detail(null), "");
});

test("a job for later says when", () => {
  const { state, detail } = shown({ job: job({ state: "scheduled", progress: null, scheduled_at: NOW + 90_000 }) });
  assert.deepEqual([state, detail], ["scheduled", "Starts in 1 min 30 s"]);
});

test("another attempt is said, and while it is waited for why", () => {
  assert.equal(shown({ job: job({ attempt: 2 }) }).word, "Running, attempt 2");
  const again = job({ state: "scheduled", attempt: 2, scheduled_at: NOW, warnings: [{ message: "OSError: gone" }] });
  assert.equal(shown({ job: again }).pace, "OSError: gone");
});

test("without a connection the bar stays where it was and nothing is promised", () => {
  const progress = { done: 37, total: 120, unit: "images", note: null, rate: 1, eta_s: 7 };
  const cut = shown({ job: job({ progress }), status: { phase: "offline", since: NOW } });
  assert.deepEqual([cut.state, cut.word, cut.pace, cut.dim], ["reconnecting", "Reconnecting", "", true]);
  assert.equal(cut.amount, "30 %");
  assert.match(cut.detail, /^No connection since \d\d:\d\d$/);
  const stale = shown({ job: job(), status: { ...LIVE, stale: "redis" } });
  assert.deepEqual([stale.word, stale.dim], ["Running", true]);
});

test("an end is an end, whatever the connection", () => {
  const done = job({ state: "succeeded", finished_at: NOW - 7800, progress: { done: 120, total: 120, unit: "images", note: "z.png" } });
  const offline = { phase: "offline", since: NOW };
  const { state, word, part, detail, pace, dim, cancellable } = shown({ job: done, status: offline });
  assert.deepEqual([state, word, part, dim, cancellable], ["succeeded", "Done", 1, false, false]);
  assert.deepEqual([detail, pace], ["Took 4.2 s", "120 images"]);
});

test("a failure keeps the place of the bar and says why; so does a cancel", () => {
  const failed = shown({ job: job({ state: "failed", finished_at: NOW, error: { code: "exception", message: "OSError: no" } }) });
  assert.deepEqual([failed.state, failed.detail, failed.part > 0.3], ["failed", "OSError: no", true]);
  assert.equal(shown({ job: job({ state: "failed", finished_at: NOW }) }).detail, "");
  const cancelled = shown({ job: job({ state: "cancelled", finished_at: NOW }) });
  assert.deepEqual([cancelled.state, cancelled.detail], ["cancelled", "After 12 s"]);
  assert.equal(shown({ job: job({ state: "cancelled", started_at: null, finished_at: NOW }) }).detail, "Before it started");
});

test("what ended the watch is said", () => {
  assert.equal(shown({ error: { code: "not_found", message: "no such job" } }).state, "not-found");
  const refused = shown({ error: { code: "too_many", message: "256 subscriptions are open" } });
  assert.deepEqual([refused.state, refused.detail], ["refused", "256 subscriptions are open"]);
  const closed = shown({ job: job(), status: { phase: "refused", reason: "not for you" } });
  assert.deepEqual([closed.state, closed.detail], ["refused", "not for you"]);
});

test("a screen reader gets it in one sentence", () => {
  assert.equal(said(shown({ job: job() })), "Running, 30 %, 37 / 120 images · cat.png");
});

test("words can be others", () => {
  const words = { ...WORDS, running: "läuft", percent: (part) => `${Math.round(100 * part)} v. H.` };
  assert.deepEqual([shown({ job: job(), words }).word, shown({ job: job(), words }).amount], ["läuft", "31 v. H."]);
});
