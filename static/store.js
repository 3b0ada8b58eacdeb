// What the page knows, as plain data. Frames go in, nothing else happens: no DOM, no socket, no clock.

import { versionOf } from "./codec.js";
import { JobLog } from "./log.js";

export const STATES = Object.freeze([
  "running", "queued", "scheduled", "cancelling", "succeeded", "failed", "cancelled",
]);
export const TERMINAL = Object.freeze(new Set(["succeeded", "failed", "cancelled"]));
export const LOG_LINES = 2000;

export function hasEnded(job) {
  return TERMINAL.has(job.state);
}

/** May `next` replace `held`? A terminal summary wins over any; else the version decides. */
export function replaces(held, next) {
  if (!held) return true;
  if (hasEnded(held) !== hasEnded(next)) return hasEnded(next);
  const [before, after] = [versionOf(held.cursor), versionOf(next.cursor)];
  return before === null || after === null || after >= before;
}

/** Newest first, as the server orders a feed. Ids order jobs of the same millisecond. */
function newestFirst(a, b) {
  if (a.created_at !== b.created_at) return b.created_at - a.created_at;
  return a.id < b.id ? 1 : -1;
}

/** Owns the feed, the one watched job, the list of tasks and what the server said about itself. */
export class Store {
  constructor({ logLines = LOG_LINES } = {}) {
    this.logLines = logLines;
    this.feed = newFeed(null);
    this.watch = null;
    this.tasks = null;
    this.tasksError = null;
    this.stale = null;
    this.clockOffsetMs = 0; // server's wall clock minus ours
    this.ended = new Ends();
  }

  /** The feed of a new filter: what is shown stays until its snapshot is here. */
  openFeed(sub) {
    this.feed = { ...newFeed(sub), jobs: this.feed.jobs, counts: this.feed.counts, replace: true };
  }

  openWatch(sub, id) {
    const job = this.feed.jobs.get(id) ?? null;
    this.watch = { sub, id, job, log: new JobLog(this.logLines), live: false, error: null, whole: null };
  }

  closeWatch() {
    this.watch = null;
  }

  /** The whole job as GET answered: arguments, and a result too large for frames. */
  setWhole(job) {
    if (this.watch?.id === job.id) this.watch = { ...this.watch, whole: job };
  }

  /** One frame; `now` is our wall clock in ms. Unknown types and subscriptions are ignored. */
  apply(frame, now) {
    if (frame.now !== undefined) this.clockOffsetMs = frame.now - now;
    if (frame.type === "welcome" || frame.type === "fresh") this.stale = null;
    if (frame.type === "stale") this.stale = frame.why || "unknown";
    if (frame.sub === undefined) return;
    if (frame.sub === this.feed.sub) applyToFeed(this.feed, frame, this.ended);
    if (frame.sub === this.watch?.sub) this.#applyToWatch(frame);
  }

  // The feed may hear of the open job a moment later: one job must not stand in two states on one page.
  #applyToWatch(frame) {
    applyToWatch(this.watch, frame, this.ended);
    const { job } = this.watch;
    if (job === null || !this.feed.jobs.has(job.id) || !replaces(this.feed.jobs.get(job.id), job)) return;
    this.feed.jobs.set(job.id, job);
    this.feed.order = null;
  }

  /** The feed in the order it is shown. */
  feedOrder() {
    this.feed.order ??= [...this.feed.jobs.values()].sort(newestFirst);
    return this.feed.order;
  }
}

/** Jobs seen ending since the last look, each once: the feed and the watch may both see the same end. */
class Ends {
  #seen = new Set();
  #jobs = [];

  add(job) {
    if (this.#seen.has(job.id)) return;
    if (this.#seen.size >= 1000) this.#seen.clear(); // a page may stay open for weeks
    this.#seen.add(job.id);
    this.#jobs.push(job);
  }

  take() {
    return this.#jobs.splice(0);
  }
}

function newFeed(sub) {
  return { sub, jobs: new Map(), counts: null, loaded: false, error: null, replace: false, doubtful: null, order: null };
}

const FEED_FRAMES = {
  // After a reconnect the snapshot may be a first part only. Rows that it leaves out stay until `live`, so that nothing
  // flickers and the keyboard focus has something to stand on.
  snapshot(feed, frame, ended) {
    if (feed.replace) feed.jobs = new Map();
    feed.replace = false;
    feed.doubtful = new Set(feed.jobs.keys());
    putJobs(feed, frame.jobs, ended, frame.how === "reset");
    feed.counts = frame.counts;
    feed.loaded = true;
  },
  update(feed, frame, ended) {
    for (const id of frame.gone ?? []) feed.jobs.delete(id);
    putJobs(feed, frame.jobs ?? [], ended, false);
    if (frame.counts !== undefined) feed.counts = frame.counts;
  },
  live(feed) {
    for (const id of feed.doubtful ?? []) feed.jobs.delete(id);
    feed.doubtful = null;
  },
  error(feed, frame) {
    feed.error = frame;
    feed.sub = null;
  },
};

function applyToFeed(feed, frame, ended) {
  FEED_FRAMES[frame.type]?.(feed, frame, ended);
  feed.order = null;
}

function putJobs(feed, jobs, ended, force) {
  for (const job of jobs) {
    feed.doubtful?.delete(job.id);
    const held = feed.jobs.get(job.id);
    if (!force && !replaces(held, job)) continue;
    if (held && !hasEnded(held) && hasEnded(job)) ended.add(job);
    feed.jobs.set(job.id, job);
  }
}

const WATCH_FRAMES = {
  snapshot(watch, frame) {
    watch.live = false;
    if (frame.how === "reset" && frame.log_from !== undefined) watch.log.dropFrom(frame.log_from);
    if (frame.how === "reset" || replaces(watch.job, frame.job)) watch.job = frame.job;
  },
  update(watch, frame) {
    if (replaces(watch.job, frame.job)) watch.job = frame.job;
  },
  log(watch, frame) {
    watch.log.append(frame.first, frame.entries);
  },
  gap(watch, frame) {
    watch.log.addGap(frame.from, frame.to, frame.why);
  },
  live(watch) {
    watch.live = true;
  },
  end(watch, frame, ended) {
    if (watch.job === null || !hasEnded(watch.job)) ended.add(frame.job); // not for one that had ended before it was opened
    watch.job = frame.job;
    watch.live = true;
  },
  error(watch, frame) {
    watch.error = frame;
  },
};

// After `end` or `error` the number is free, and the next subscription may get it.
function applyToWatch(watch, frame, ended) {
  WATCH_FRAMES[frame.type]?.(watch, frame, ended);
  if (frame.type === "end" || frame.type === "error") watch.sub = null;
}
