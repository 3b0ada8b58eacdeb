// A live list of jobs as plain data: the window that the server keeps up to date, and what was read behind it.

import { hasEnded, matches, newestFirst, replaces, setBar } from "./job.js";

export const MAX_ROWS = 10_000; // held at most; older ones are let go and can be read again

/** Owns the jobs of one filter. `loaded` when the first answer is here; `next` says from where to read on behind. */
export class Feed {
  #doubtful = null; // held before a new snapshot, and not confirmed yet
  #joins = false; // something that was held before is there in the new window too
  #order = null; // ids, newest first; null: to be sorted anew

  constructor(filter = {}, limit = 100) {
    this.filter = filter;
    this.limit = limit;
    this.sub = null;
    this.jobs = new Map(); // id -> summary
    this.behind = new Set(); // ids of those that the subscription does not tell of
    this.counts = null;
    this.loaded = false;
    this.error = null;
    this.next = undefined; // undefined: nothing was read behind the window; null: there is nothing more
    this.reading = false;
    this.resets = 0; // how often what was read behind the window was let go
  }

  /** Ids, newest first. */
  ids() {
    this.#order ??= [...this.jobs.values()].sort(newestFirst).map((job) => job.id);
    return this.#order;
  }

  /** One frame of its subscription; ends that it shows are added to `ended`. */
  apply(frame, ended) {
    FRAMES[frame.type]?.call(this, frame, ended);
  }

  // After a reconnect the snapshot may be a first part only. Rows that it leaves out stay until `live`, so that nothing
  // flickers and the keyboard focus has something to stand on.
  snapshot(frame, ended) {
    this.#doubtful = new Set([...this.jobs.keys()].filter((id) => !this.behind.has(id)));
    this.#joins = this.jobs.size === 0;
    this.#putAll(frame.jobs, ended);
    this.counts = frame.counts;
    this.loaded = true;
    this.error = null;
  }

  update(frame, ended) {
    this.#putAll(frame.jobs ?? [], ended);
    for (const id of frame.gone ?? []) this.#leave(id);
    if (frame.counts !== undefined) this.counts = frame.counts;
    this.#bound();
  }

  live() {
    if (this.#doubtful !== null && !this.#joins) this.#letGo();
    for (const id of this.#doubtful ?? []) this.#leave(id);
    this.#doubtful = null;
  }

  // Nobody knows what lies between the new window and what was held: it is read again from there.
  #letGo() {
    for (const id of [...this.#doubtful, ...this.behind]) this.drop(id);
    this.next = undefined;
    this.resets += 1;
  }

  refused(frame) {
    this.error = frame;
    this.sub = null;
  }

  /** A page that was read behind the last row; `next` as the server says it. */
  addPage(jobs, next) {
    for (const job of jobs) {
      if (!this.jobs.has(job.id)) this.behind.add(job.id);
      this.#put(job);
    }
    this.next = next;
    this.#bound();
  }

  /** What a subscription to a single job says of a row behind the window. Answers whether it is still in the list. */
  refresh(job, ended) {
    if (!this.behind.has(job.id)) return false;
    const held = this.jobs.get(job.id);
    if (!hasEnded(held) && hasEnded(job)) ended.add(job);
    if (matches(this.filter, job)) this.#put(job);
    else this.drop(job.id);
    return this.jobs.has(job.id);
  }

  /** The same of any job that is seen elsewhere on the page: one job must not stand in two states. */
  agree(job) {
    if (this.jobs.has(job.id)) this.#put(job);
  }

  drop(id) {
    if (!this.jobs.delete(id)) return;
    this.behind.delete(id);
    this.#order = null;
  }

  /** The id to read on from, null where there is nothing more. */
  get readFrom() {
    if (this.next !== undefined) return this.next;
    return this.jobs.size < this.limit ? null : this.ids().at(-1);
  }

  // Up to `live` it may be another store, or one that has lost its tail: versions that are held say nothing then.
  #putAll(jobs, ended) {
    const force = this.#doubtful !== null;
    for (const job of jobs) {
      if (this.#doubtful?.delete(job.id) || this.behind.delete(job.id)) this.#joins = true;
      const held = this.jobs.get(job.id);
      if (held && !hasEnded(held) && hasEnded(job)) ended.add(job);
      this.#put(job, force);
    }
  }

  #put(job, force = false) {
    const held = this.jobs.get(job.id);
    if (held && !force && !replaces(held, job)) return;
    this.jobs.set(job.id, setBar(held, job));
    if (!held) this.#order = null;
  }

  // An entry that was pushed out of a full window stays where somebody has read on behind it, or is about to.
  #leave(id) {
    if (!this.jobs.has(id)) return;
    if ((this.behind.size > 0 || this.reading) && id < this.#lastOfWindow(id)) this.behind.add(id);
    else this.drop(id);
  }

  #lastOfWindow(leaving) {
    let last = "~"; // behind any id
    for (const id of this.jobs.keys()) if (id !== leaving && id < last && !this.behind.has(id)) last = id;
    return last === "~" ? "" : last;
  }

  #bound() {
    if (this.jobs.size <= MAX_ROWS) return;
    for (const id of this.ids().slice(MAX_ROWS)) this.drop(id);
    this.next = this.ids().at(-1);
  }
}

const FRAMES = {
  snapshot: Feed.prototype.snapshot,
  update: Feed.prototype.update,
  live: Feed.prototype.live,
  error: Feed.prototype.refused,
};
