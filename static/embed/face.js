// What a bar shows, from what is known of its job and of the connection. Pure.

import { hasEnded } from "../job.js";

const NOBODY = { part: null, amount: "", detail: "", pace: "", moving: false, cancellable: false, dim: false };

/**
 * The face of a bar: `state` (a word for style sheets), `word` (the same for people), `part` (0 to 1, or null where it is
 * unknown), `moving` (it works, nobody knows how far), `amount`, `detail`, `pace` (texts), `dim` (what is shown may be old),
 * `cancellable`.
 *
 * `job` is a summary with `bar`, or null; `error` what ended the watch, or null; `place` is `{position, start_in_s}` of a
 * job that waits; `now` is the server's clock in ms.
 */
export function face({ id, job, error, status, place, now, words }) {
  if (!id) return bare("missing", words.missing, words.missingDetail);
  if (job && hasEnded(job)) return endedFace(job, words);
  if (error) return errorFace(error, words);
  if (status.phase === "refused") return { ...held(job), ...bare("refused", words.refused, words.refusedDetail(status)) };
  if (job === null) return strange(status, words);
  const shown = openFace(job, { place: place ?? job, now, words });
  if (status.phase === "offline") return cutOff(shown, words.reconnecting, words.reconnectingDetail(status));
  return status.stale ? cutOff(shown, shown.word, words.staleDetail) : shown;
}

const bare = (state, word, detail = "") => ({ ...NOBODY, state, word, detail });

const held = (job) => ({ part: job?.bar ?? null, dim: true });

function errorFace(error, words) {
  if (error.code === "not_found") return bare("not-found", words.notFound, words.notFoundDetail);
  return bare("refused", words.refused, error.message);
}

function strange(status, words) {
  if (status.phase === "offline") return bare("offline", words.offline, words.offlineDetail);
  return { ...bare("connecting", words.connecting), moving: true };
}

// The bar stays where it was: nobody knows better.
function cutOff(shown, word, detail) {
  return { ...shown, state: "reconnecting", word, detail, pace: "", moving: false, dim: true };
}

function endedFace(job, words) {
  const detail = words[`${job.state}Detail`](job);
  const progress = job.state === "succeeded" && job.progress ? words.progress(allOf(job.progress)) : "";
  const part = job.state === "succeeded" ? 1 : (job.bar ?? null);
  return { ...bare(job.state, words[job.state], detail), part, pace: progress };
}

// "120 images", where it was "119 / 120 images · dog.png".
function allOf({ done, total, unit }) {
  return { done, total: done === total ? null : total, unit, note: null };
}

function openFace(job, { place, now, words }) {
  if (job.state === "scheduled") return waiting(job, words.scheduled, words.scheduledDetail(job, now));
  if (job.state === "queued") return waiting(job, words.queued, words.queuedDetail(place));
  const stalled = job.state === "running" && job.pace === "stalled";
  const state = stalled ? "stalled" : job.state;
  const again = job.attempt > 1 && job.state === "running" ? `, ${words.attempt(job.attempt)}` : "";
  const part = job.bar ?? null;
  return {
    state,
    word: words[state] + again,
    part,
    moving: part === null && !stalled,
    amount: part === null ? "" : words.percent(part),
    detail: job.progress ? words.progress(job.progress) : "",
    pace: stalled ? words.stalledDetail(job, now) : words.pace(job, now),
    dim: false,
    cancellable: job.state === "running",
  };
}

function waiting(job, word, detail) {
  const again = job.attempt > 1 && job.warnings?.at(-1)?.message; // why another attempt is due
  return { ...bare(job.state, word, detail), pace: again || "", cancellable: true };
}

/** What a screen reader says of the bar. */
export function said({ word, amount, detail, pace }) {
  return [word, amount, detail, pace].filter(Boolean).join(", ");
}
