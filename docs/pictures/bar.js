// The faces of a bar, side by side, for a picture: no server, no job.

import { face } from "/static/embed/face.js";
import { View } from "/static/embed/view.js";
import { WORDS } from "/static/embed/words.js";
import { setBar } from "/static/job.js";

const NOW = 1_790_000_100_000;
const LIVE = { phase: "live", since: NOW, reason: "", stale: null };
const PROGRESS = {
  done: 37, total: 120, unit: "images", note: "cat.png", rate: 12.4, eta_s: 7, step: { name: "resize", path: ["resize"] },
};

const job = (fields) => setBar(null, {
  id: "J", task: "thumbnails", state: "running", attempt: 1, started_at: NOW - 12_000, finished_at: null, updated_at: NOW - 300,
  scheduled_at: null, warnings: [], progress: PROGRESS, ...fields,
});
const waiting = { state: "queued", progress: null, started_at: null };
const done = { state: "succeeded", finished_at: NOW - 2300, progress: { done: 120, total: 120, unit: "images", note: null } };
const failed = { state: "failed", finished_at: NOW, error: { code: "exception", message: "FileNotFoundError: 'holiday/dog.png'" } };

const SHOWN = [
  { job: job(waiting), place: { position: 3, start_in_s: 12 } },
  { job: job() },
  { job: job({ pace: "stalled", updated_at: NOW - 64_000 }) },
  { job: job(), status: { ...LIVE, phase: "offline" } },
  { job: job(done) },
  { job: job(failed) },
];

for (const shown of SHOWN) {
  const host = document.body.appendChild(document.createElement("div"));
  const view = new View(host.attachShadow({ mode: "open" }), { onCancel: () => {} });
  const known = face({ id: "J", error: null, place: null, status: LIVE, now: NOW, words: WORDS, ...shown });
  view.render(known, { name: "Thumbnails", words: WORDS, cancel: true, trouble: "" });
}
