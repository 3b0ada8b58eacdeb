// One line of the feed. It is made once and then changed in place.

import { fullTime, plural, progressText, timing } from "../format.js";
import { hasEnded } from "../store.js";
import { el, setAttribute, setHidden, setText } from "./dom.js";
import { ProgressBar, StateBadge } from "./state.js";

export class Row {
  constructor(job) {
    this.id = job.id;
    this.badge = new StateBadge();
    this.bar = new ProgressBar();
    this.link = el("a.row-link", {}, job.task);
    this.attempt = el("span.attempt");
    this.name = el("span.row-id", { title: job.id }, shortId(job.id));
    this.note = el("span.row-note");
    this.first = el("span");
    this.second = el("time.row-when");
    this.node = el("li.row", {},
      el("div.row-state", {}, this.badge.node),
      el("div.row-task", {}, el("div.row-title", {}, this.link, this.attempt), this.name),
      el("div.row-progress", {}, this.bar.node, this.note),
      el("div.row-time", {}, this.first, this.second));
  }

  show(job, now, href, selected) {
    if (this.job !== job) this.#showJob(job);
    this.#showTime(job, now);
    setAttribute(this.link, "href", href);
    setAttribute(this.link, "aria-current", selected ? "true" : null);
  }

  #showJob(job) {
    this.job = job;
    setAttribute(this.node, "data-state", job.state);
    this.badge.show(job.state);
    this.bar.show(job);
    setAttribute(this.node, "data-ended", hasEnded(job));
    setText(this.attempt, `attempt ${job.attempt}`);
    setHidden(this.attempt, job.attempt <= 1);
    setText(this.name, [shortId(job.id), ...job.tags].join(" · "));
    setText(this.note, noteText(job));
    setAttribute(this.note, "title", this.note.textContent);
  }

  #showTime(job, now) {
    const { first, second } = timing(job, now);
    const at = job.finished_at ?? job.started_at ?? job.created_at;
    setText(this.first, first);
    setText(this.second, second);
    setAttribute(this.second, "datetime", new Date(at).toISOString());
    setAttribute(this.second, "title", fullTime(at));
  }
}

function noteText(job) {
  const warnings = job.warnings?.length ? plural(job.warnings.length, "warning") : "";
  return [progressText(job.progress), warnings].filter(Boolean).join(" · ");
}

// Ids begin with their time; the end tells two of them apart.
function shortId(id) {
  return id.length > 10 ? `…${id.slice(-8)}` : id;
}
