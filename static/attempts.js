// The attempts of a job, put together from what its summaries say one after the other. Pure.

import { hasEnded } from "./job.js";

/**
 * One line for each attempt that is known: `{attempt, started_at, ended_at, node, outcome, message}`; null where that
 * cannot be known, as of an attempt that had ended before the page was opened.
 */
export class Attempts {
  #known = new Map(); // attempt -> line

  /** Takes in a summary, or a whole job. Older ones may come later. */
  note(job) {
    const present = this.#line(job.attempt);
    present.started_at = job.started_at ?? present.started_at;
    present.node = job.started_at === null ? present.node : (job.node ?? present.node);
    for (const warning of job.warnings ?? []) if (warning.kind === "retry") this.#failed(warning);
    for (const given of job.attempts ?? []) Object.assign(this.#line(given.attempt), given);
    if (hasEnded(job)) {
      present.ended_at = job.finished_at;
      present.outcome = job.state;
      present.message = job.error?.message ?? present.message;
    }
  }

  /** In order, the unknown ones between them included. `job` is the latest summary. */
  lines(job) {
    const lines = [];
    for (let attempt = 1; attempt <= job.attempt; attempt += 1) {
      const line = { ...this.#line(attempt) };
      if (attempt === job.attempt) line.outcome ??= job.state;
      else line.outcome ??= "lost";
      lines.push(line);
    }
    return lines;
  }

  #failed({ attempt, at, message }) {
    const line = this.#line(attempt);
    line.ended_at = at;
    line.outcome = "failed";
    line.message = message;
  }

  #line(attempt) {
    if (!this.#known.has(attempt)) this.#known.set(attempt, blank(attempt));
    return this.#known.get(attempt);
  }
}

function blank(attempt) {
  return { attempt, started_at: null, ended_at: null, node: null, outcome: null, message: null };
}
