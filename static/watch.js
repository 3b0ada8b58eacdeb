// The job that is open, as plain data: its summary, its log, and what was read of it besides.

import { hasEnded, replaces, setBar } from "./job.js";
import { JobLog } from "./log.js";
import { Attempts } from "./attempts.js";

/** Owns what is known of one job while its view is open. */
export class Watch {
  constructor(id, logLines, job = null) {
    this.id = id;
    this.sub = null;
    this.job = job;
    this.log = new JobLog(logLines);
    this.attempts = new Attempts();
    this.live = false;
    this.error = null; // the frame that ended the subscription
    this.whole = null; // as GET answered: arguments, stacks of warnings, results that are too large for frames
    this.asking = 0; // GETs on their way
    this.profiles = null;
    if (job) this.attempts.note(job);
  }

  apply(frame, ended) {
    FRAMES[frame.type]?.(this, frame, ended);
    // The number is free then, and the next subscription may get it.
    if (frame.type === "end" || frame.type === "error") this.sub = null;
  }

  /** The whole job is not here, or as it was before its end, and nobody has asked for it. */
  get lacksWhole() {
    const old = this.whole === null || (this.job !== null && hasEnded(this.job) && !hasEnded(this.whole));
    return old && this.asking === 0;
  }

  /** The whole job; it also brings what the summary lacks. An answer may come after a newer one. */
  setWhole(job) {
    if (!replaces(this.whole, job)) return;
    this.whole = job;
    this.attempts.note(job);
    if (this.job === null || (replaces(this.job, job) && !hasEnded(this.job))) this.#show(job);
  }

  take(job, force = false) {
    if (force || replaces(this.job, job)) this.#show(job);
  }

  #show(job) {
    this.job = setBar(this.job, job);
    this.attempts.note(job);
  }
}

const FRAMES = {
  snapshot(watch, frame) {
    watch.live = false;
    if (frame.how === "reset" && frame.log_from !== undefined) watch.log.dropFrom(frame.log_from);
    watch.take(frame.job, frame.how === "reset");
  },
  update(watch, frame) {
    watch.take(frame.job);
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
    watch.take(frame.job, true);
    watch.live = true;
  },
  error(watch, frame) {
    watch.error = frame;
  },
};
