// A job as the page holds it: its states, which of two summaries is newer, and a bar that never runs back. Pure.

import { versionOf } from "./codec.js";

export const STATES = Object.freeze([
  "running", "queued", "scheduled", "cancelling", "succeeded", "failed", "cancelled",
]);
export const TERMINAL = Object.freeze(new Set(["succeeded", "failed", "cancelled"]));

export function hasEnded(job) {
  return TERMINAL.has(job.state);
}

export function isHeld(job) {
  return job.state === "running" || job.state === "cancelling";
}

/** May `next` replace `held`? A terminal summary wins over any; else the version decides. */
export function replaces(held, next) {
  if (!held) return true;
  if (hasEnded(held) !== hasEnded(next)) return hasEnded(next);
  const [before, after] = [versionOf(held.cursor), versionOf(next.cursor)];
  return before === null || after === null || after >= before;
}

/** Newest first, as the server orders lists: by their ids, which begin with a time (a child's with its parent's). */
export function newestFirst(a, b) {
  return a.id < b.id ? 1 : -1;
}

/** How far, between 0 and 1, or null where that is unknown: what the server says over all steps, else done of total. */
export function fraction(progress) {
  if (Number.isFinite(progress?.fraction)) return clamp(progress.fraction);
  const [done, total] = [Number(progress?.done), Number(progress?.total)];
  return total > 0 && Number.isFinite(done) ? clamp(done / total) : null;
}

function clamp(part) {
  return Math.min(1, Math.max(0, part));
}

/**
 * Notes on `next` how far its bar stands (`bar`: 0 to 1, or null). A total that grows, or a count that begins anew, would
 * make it run back; within an attempt it waits instead. What was reached stays when the job ends.
 */
export function setBar(held, next) {
  const before = held?.attempt === next.attempt ? (held.bar ?? null) : null;
  const part = fraction(next.progress);
  next.bar = part === null || before === null ? (part ?? before) : Math.max(part, before);
  if (next.state === "succeeded" && next.bar !== null) next.bar = 1;
  return next;
}

/** Does a job match the filter of a feed? A filter's value is an array: any of it; all fields must match. */
export function matches(filter, job) {
  return Object.entries(filter).every(([name, wanted]) => {
    const values = [wanted].flat();
    return name === "tag" ? values.some((tag) => job.tags.includes(tag)) : values.includes(job[name]);
  });
}
