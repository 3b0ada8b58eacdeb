// What a program holds of one subscription: plain data that frames keep up to date, and calls to whoever asked. No socket,
// no DOM.

import { Feed } from "./feed.js";
import { Problem } from "./http.js";
import { Watch } from "./watch.js";

const UNCOUNTED = { add: () => {} }; // ends are told by the frame

/** What all have in common: they are open until closed, ended or refused, and a callback that throws harms nobody else. */
class Subscription {
  #callbacks;
  #leave;

  constructor(callbacks, leave) {
    this.#callbacks = callbacks;
    this.#leave = leave;
    this.open = true;
    this.live = false; // false while it catches up
    this.error = null; // the Problem that it ended with
  }

  /** Nothing is called any more. */
  close() {
    if (!this.open) return;
    this.open = false;
    this.#leave();
  }

  apply(frame) {
    if (!this.open) return;
    if (frame.type === "error") this.refused(frame);
    else this.take(frame);
  }

  refused({ code, message, errors }) {
    this.error = new Problem({ status: null, code, detail: message, errors });
    this.over();
    this.call("onError", this.error);
  }

  /** The server has ended it; its number is free. */
  over() {
    this.open = false;
  }

  call(name, ...values) {
    tell(this.#callbacks[name], ...values);
  }
}

/** Calls what a page has given, if it has; one that throws is reported as an event listener is. */
export function tell(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

/** One job: its newest summary, its log as far as it was asked for, and the cursor to go on from. */
export class JobWatch extends Subscription {
  #known;
  #waiting = []; // those that await the end

  constructor(id, { logLines = 2000, after = null, ...callbacks }, leave) {
    super(callbacks, leave);
    this.#known = new Watch(id, logLines);
    this.id = id;
    this.cursor = after;
  }

  get job() {
    return this.#known.job;
  }

  get log() {
    return this.#known.log;
  }

  /** A newer summary than the last one, from wherever it is known. */
  update(job) {
    this.#change(() => this.#known.take(job));
  }

  take(frame) {
    if (frame.cursor !== undefined) this.cursor = frame.cursor;
    const next = this.log.next;
    this.#change(() => this.#known.apply(frame, UNCOUNTED));
    this.live = this.#known.live;
    TELL[frame.type]?.(this, frame, next);
  }

  #change(step) {
    const before = this.job;
    step();
    if (this.job !== before) this.call("onUpdate", this.job);
  }

  /** Resolves with the job when it has ended, whatever its state; rejects with a Problem if it is closed or refused. */
  ended() {
    const { promise, ...waiting } = promised();
    this.#waiting.push(waiting);
    if (!this.open) this.#settle();
    return promise;
  }

  close() {
    super.close();
    this.#settle();
  }

  over() {
    super.over();
    this.#settle();
  }

  #settle() {
    const ended = this.error === null && this.live && this.job?.finished_at;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (ended) resolve(this.job);
      else reject(this.error ?? new Problem({ status: null, code: "closed", title: "The subscription was closed." }));
    }
  }
}

// What is called beside onUpdate; `next` is the offset that was to come.
const TELL = {
  snapshot(watch, { how, log_from: from }) {
    if (how === "reset" && from !== undefined) watch.call("onReset", from);
  },
  log(watch, { first, entries }, next) {
    const fresh = Math.max(first, next ?? first); // what was here already is not told again
    if (entries.length > fresh - first) watch.call("onLog", entries.slice(fresh - first), fresh);
  },
  gap(watch, { from, to, why }) {
    watch.call("onGap", { from, to, why });
  },
  live(watch) {
    watch.call("onLive");
  },
  end(watch) {
    watch.over();
    watch.call("onEnd", watch.job);
  },
};

function promised() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

/** A live list of jobs, newest first. */
export class FeedWatch extends Subscription {
  #known;

  constructor(filter, callbacks, leave) {
    super(callbacks, leave);
    this.#known = new Feed(filter);
    this.filter = filter;
  }

  get jobs() {
    return this.#known.ids().map((id) => this.#known.jobs.get(id));
  }

  get counts() {
    return this.#known.counts;
  }

  take(frame) {
    this.#known.apply(frame, UNCOUNTED);
    if (frame.type === "snapshot" || frame.type === "live") this.live = frame.type === "live";
    this.call("onChange", this);
  }
}

/** How the whole server goes, once a second. */
export class StatsWatch extends Subscription {
  latest = null;

  take(frame) {
    if (frame.type !== "stats") return;
    this.live = true;
    this.latest = frame;
    this.call("onStats", frame);
  }
}
