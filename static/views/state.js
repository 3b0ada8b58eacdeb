// A job's state and progress as elements: a word with a mark, and a bar.

import { fraction } from "../format.js";
import { hasEnded } from "../store.js";
import { el, setAttribute, setHidden, setText } from "./dom.js";

/** The state as word and colour, never colour alone. */
export class StateBadge {
  constructor() {
    this.word = el("span");
    this.node = el("span.badge", {}, el("span.dot", { "aria-hidden": "true" }), this.word);
  }

  show(state) {
    setAttribute(this.node, "data-state", state);
    setText(this.word, state);
  }
}

export class ProgressBar {
  constructor() {
    this.node = el("progress", { max: "1" });
  }

  // A running job that has not said how far gets the bar of unknown length; a waiting one gets none.
  show(job) {
    const part = fraction(job.progress);
    const unknown = part === null && (job.state === "running" || job.state === "cancelling");
    setHidden(this.node, part === null && !unknown);
    setAttribute(this.node, "data-state", job.state);
    setAttribute(this.node, "data-ended", hasEnded(job));
    setAttribute(this.node, "aria-label", `Progress of ${job.task}`);
    setAttribute(this.node, "value", part);
  }
}
