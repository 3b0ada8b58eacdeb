// How values are written for people. Pure: the time comes in as an argument.

import { hasEnded } from "./store.js";

const LOCALE = "en"; // the words of the page are English, so are its numbers
const NUMBER = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 2 });
const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function count(number) {
  return NUMBER.format(number);
}

export function plural(number, word) {
  return `${count(number)} ${word}${Number(number) === 1 ? "" : "s"}`;
}

/** "120 ms", "4.2 s", "1 min 20 s", "2 h 5 min", "3 d 4 h" */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return long(Math.floor(seconds));
}

function long(seconds) {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Whole seconds, for what counts up on the screen: tenths would flicker. */
export function elapsed(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return seconds < 60 ? `${seconds} s` : long(seconds);
}

export function ago(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${plural(Math.floor(seconds / 86_400), "day")} ago`;
}

export function clock(at) {
  return new Date(at).toLocaleTimeString(LOCALE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

export function clockWithSeconds(at) {
  return new Date(at).toLocaleTimeString(LOCALE, { hourCycle: "h23" });
}

export function fullTime(at) {
  return new Date(at).toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
}

/** The two lines of a job's time: how long, and when. */
export function timing(job, now) {
  if (hasEnded(job)) return { first: tookText(job), second: ago(now - job.finished_at) };
  if (job.state === "scheduled") return { first: dueText(job, now), second: `at ${clock(job.scheduled_at ?? now)}` };
  if (job.state === "queued") return { first: elapsed(now - job.updated_at), second: "waiting" };
  return { first: elapsed(now - (job.started_at ?? job.updated_at)), second: "so far" };
}

function tookText(job) {
  return job.started_at === null ? "not started" : duration(job.finished_at - job.started_at);
}

function dueText(job, now) {
  const ms = (job.scheduled_at ?? now) - now;
  return ms < 1000 ? "now" : `in ${elapsed(ms)}`;
}

/** "37 / 120 images · cat.png"; "" while the task has not spoken. */
export function progressText(progress) {
  if (!progress) return "";
  return [amount(progress), progress.note].filter(Boolean).join(" · ");
}

function amount({ done, total, unit }) {
  if (done === null || done === undefined) return "";
  if (isBytes(unit)) return total ? `${bytes(done)} / ${bytes(total)}` : bytes(done);
  const numbers = total === null || total === undefined ? count(done) : `${count(done)} / ${count(total)}`;
  return unit ? `${numbers} ${unit}` : numbers;
}

function isBytes(unit) {
  return ["b", "byte", "bytes"].includes(unit?.toLowerCase());
}

export function bytes(number) {
  let value = Number(number);
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? value : value.toPrecision(3)} ${BYTE_UNITS[unit]}`;
}

/** Between 0 and 1, or null where the total is unknown. */
export function fraction(progress) {
  const [done, total] = [Number(progress?.done), Number(progress?.total)];
  return total > 0 && Number.isFinite(done) ? Math.min(1, Math.max(0, done / total)) : null;
}

const GAP_REASONS = {
  trimmed: "not kept",
  slow: "skipped: this page could not keep up",
  reset: "taken back: the store was reset",
  lost: "lost with the store",
};

/** "12 lines not kept" */
export function gapText({ from, to, why }) {
  return `${plural(to - from + 1, "line")} ${GAP_REASONS[why] ?? why}`;
}

/** What a screen reader is told about jobs that ended since it was last told. */
export function endsText(jobs) {
  if (jobs.length <= 3) return jobs.map((job) => `${job.task} ${job.state}`).join(", ");
  const byState = Map.groupBy ? [...Map.groupBy(jobs, (job) => job.state)] : [["ended", jobs]];
  return `${jobs.length} jobs ended: ${byState.map(([state, group]) => `${group.length} ${state}`).join(", ")}`;
}

/** The connection in words: a short one for the header, and a sentence where something is to be said. */
export function connectionText({ phase, since, code, reason }, stale) {
  if (phase === "offline") return { word: `offline since ${clock(since)}, trying again`, detail: "" };
  if (phase === "refused") {
    const why = [code, reason].filter(Boolean).join(" ");
    return { word: "closed by the server", detail: `The server ended this connection for good (${why}). Reload the page to try again.` };
  }
  const detail = stale ? "The server lost Redis: what is shown may be old." : "";
  return { word: stale && phase === "live" ? "stale" : phase, detail };
}
