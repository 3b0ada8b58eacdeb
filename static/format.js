// How values are written for people. Pure: the time comes in as an argument.

import { hasEnded } from "./job.js";

const LOCALE = "en"; // the words of the page are English, so are its numbers
const NUMBER = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 2 });
const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function count(number) {
  return NUMBER.format(number);
}

export function plural(number, word, many = `${word}s`) {
  return `${count(number)} ${Number(number) === 1 ? word : many}`;
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

/** "12.4 images/s"; "" where it is not known. */
export function rateText({ rate, unit } = {}) {
  if (!Number.isFinite(rate) || rate * 3600 < 1) return "";
  if (isBytes(unit)) return `${bytes(Math.round(rate))}/s`;
  const [number, per] = rate >= 0.95 ? [rate, "s"] : rate * 60 >= 0.95 ? [rate * 60, "min"] : [rate * 3600, "h"];
  return `${[count(round(number)), unit].filter(Boolean).join(" ")}/${per}`;
}

/** The rate of a job; "" while nothing moves: what it was before says nothing then. */
export function paceText(job) {
  return job.pace === "stalled" ? "" : rateText(job.progress ?? {});
}

function round(number) {
  return number >= 100 ? Math.round(number) : Number(number.toPrecision(2));
}

/** "about 20 s left", "1 to 2 min left" where nobody can know better; "" where nothing is known or the job does not run. */
export function leftText(job, now) {
  const { eta_s, eta_low_s, eta_high_s } = job.progress ?? {};
  if (job.state !== "running" || !Number.isFinite(eta_s) || job.pace === "stalled") return "";
  const passed = Math.max(0, now - job.updated_at) / 1000;
  const left = (seconds) => Math.max(0, seconds - passed);
  if (left(eta_s) < 1) return "nearly done";
  const wide = Number.isFinite(eta_low_s) && Number.isFinite(eta_high_s) && left(eta_high_s) > 1.5 * left(eta_low_s) + 5;
  if (!wide || left(eta_low_s) < 1) return `about ${roughly(left(eta_s))} left`;
  const [from, to] = [roughly(left(eta_low_s)), roughly(left(eta_high_s))];
  return from === to ? `about ${to} left` : `${from} to ${to} left`;
}

/** Seconds as one would say them: a number that does not flicker. */
export function roughly(seconds) {
  if (seconds < 10) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 60) return `${Math.round(seconds / 5) * 5} s`;
  if (seconds < 600) return minutes(Math.round(seconds / 15) * 15);
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return long(Math.round(seconds / 300) * 300).replace(/ 0 (?:min|h)$/, "");
}

function minutes(seconds) {
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export function percent(part) {
  return `${Math.floor(100 * part)} %`;
}

/** Milliseconds of the charts: "3 ms", "1.2 s"; "–" where nothing happened. */
export function ms(number) {
  if (number === null || number === undefined) return "–";
  return number < 1000 ? `${count(number < 10 ? Number(number.toFixed(1)) : Math.round(number))} ms` : duration(number);
}

const MS_UNITS = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"], [1, "ms"]];

/** The labels of a scale from 0 on, all in the unit that suits the greatest: "0", "0.5 s", "1 s". `unit` is "ms" or "". */
export function scaleText(values, unit) {
  if (unit !== "ms") return values.map(short);
  const [size, name] = MS_UNITS.find(([least]) => values.at(-1) >= least) ?? MS_UNITS.at(-1);
  return values.map((value) => (value === 0 ? "0" : `${count(value / size)} ${name}`));
}

/** A number that must stay short: "950", "12.4 k", "3.1 M". */
export function short(number) {
  if (number < 10_000) return count(number);
  const [divisor, unit] = number < 1e6 ? [1e3, "k"] : [1e6, "M"];
  return `${(number / divisor).toFixed(number / divisor < 100 ? 1 : 0)} ${unit}`;
}

/** The steps a job is in, outermost first: "encode › pass 2". */
export function stepText(progress) {
  return (progress?.step?.path ?? (progress?.step?.name ? [progress.step.name] : [])).join(" › ");
}

/** Ids begin with their time; the end tells two of them apart. */
export function shortId(id) {
  return id.length > 10 ? `…${id.slice(-8)}` : id;
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
  const states = [...new Set(jobs.map((job) => job.state))];
  const groups = states.map((state) => `${jobs.filter((job) => job.state === state).length} ${state}`);
  return `${jobs.length} jobs ended: ${groups.join(", ")}`;
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
