// What the page knows, as plain data. Frames go in, nothing else happens: no DOM, no socket, no clock.

import { Stats } from "./stats.js";

/** Owns the lists, the open job, the figures, the tasks and nodes, and what the server said about itself. */
export class Store {
  constructor() {
    this.feeds = new Map(); // name -> Feed
    this.watch = null;
    this.rows = new Map(); // sub -> id of a job behind a window that is in sight, each with a subscription of its own
    this.stats = new Stats();
    this.statsSub = null;
    this.tasks = null;
    this.tasksError = null;
    this.nodes = null;
    this.nodesError = null;
    this.node = null; // name of the node that this page is connected to
    this.stale = null;
    this.clockOffsetMs = 0; // server's wall clock minus ours
    this.ended = new Ends();
  }

  feed(name) {
    return this.feeds.get(name) ?? null;
  }

  /** A summary that is held already, wherever it stands. */
  held(id) {
    for (const feed of this.feeds.values()) if (feed.jobs.has(id)) return feed.jobs.get(id);
    return null;
  }

  /** One frame; `now` is our wall clock in ms. Unknown types and subscriptions are ignored. */
  apply(frame, now) {
    if (frame.now !== undefined) this.clockOffsetMs = frame.now - now;
    if (frame.type === "welcome") this.node = frame.node ?? null;
    if (frame.type === "welcome" || frame.type === "fresh") this.stale = null;
    if (frame.type === "stale") this.stale = frame.why || "unknown";
    if (frame.sub !== undefined) this.#applyToSub(frame, now);
  }

  #applyToSub(frame, now) {
    if (frame.sub === this.statsSub) this.#applyToStats(frame, now);
    else if (frame.sub === this.watch?.sub) this.#applyToWatch(frame);
    else if (this.rows.has(frame.sub)) this.#applyToRow(frame);
    else for (const feed of this.feeds.values()) if (feed.sub === frame.sub) feed.apply(frame, this.ended);
  }

  #applyToStats(frame, now) {
    if (frame.type === "stats") this.stats.push(frame, now + this.clockOffsetMs);
    else if (frame.type === "error") this.statsSub = null;
  }

  // The feeds may hear of the open job a moment later: one job must not stand in two states on one page.
  #applyToWatch(frame) {
    this.watch.apply(frame, this.ended);
    const { job } = this.watch;
    if (job !== null) for (const feed of this.feeds.values()) feed.agree(job);
  }

  #applyToRow(frame) {
    const id = this.rows.get(frame.sub);
    const over = frame.type === "end" || frame.type === "error";
    if (over) this.rows.delete(frame.sub);
    for (const feed of this.feeds.values()) {
      if (frame.type === "error") feed.drop(id);
      else if (frame.job) feed.refresh(frame.job, this.ended);
    }
  }
}

/** Jobs seen ending since the last look, each once: a feed and the watch may both see the same end. */
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
