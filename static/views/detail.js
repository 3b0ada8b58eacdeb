// One job, opened: how far, what it said, how it ended, what it was given.

import { print } from "../codec.js";
import { bytes, fullTime, plural, progressText, timing } from "../format.js";
import { hasEnded } from "../store.js";
import { logPath } from "../api.js";
import { writeRoute } from "../route.js";
import { el, setAttribute, setHidden, setText } from "./dom.js";
import { LogView } from "./log.js";
import { ProgressBar, StateBadge } from "./state.js";

const SHOWN_CHARACTERS = 100_000; // a page with more text in one element stops scrolling smoothly

export class DetailView {
  #id = null;
  #facts = "";

  constructor(page, { cancel, rerun, close }) {
    this.root = page.querySelector("#detail");
    this.actions = { cancel, rerun };
    this.badge = new StateBadge();
    this.bar = new ProgressBar();
    this.log = new LogView();
    this.title = el("h2", { id: "detail-title", tabindex: "-1" });
    this.cancel = el("button.button.danger", { type: "button", onclick: () => this.#act("cancel") }, "Cancel");
    this.rerun = el("button.button", { type: "button", onclick: () => this.#act("rerun") }, "Rerun");
    this.close = el("button.button.quiet", { type: "button", onclick: close }, "Close");
    this.failure = el("p.form-error", { role: "alert", hidden: true });
    this.id = el("code.job-id");
    this.progress = el("p.progress-text");
    this.time = el("span");
    this.error = new ErrorPart();
    this.result = new JsonPart("Result", true);
    this.args = new JsonPart("Arguments", true);
    this.facts = el("dl.facts");
    this.root.append(...this.#parts());
  }

  #parts() {
    const head = el("div.card-head", {}, this.title, el("div.actions", {}, this.cancel, this.rerun, this.close));
    const line = el("p.detail-line", {}, this.badge.node, this.time, this.id);
    const facts = el("details.part", {}, el("summary", {}, "Facts"), this.facts);
    this.body = el("div.detail-body", {},
      line, this.failure, this.bar.node, this.progress, this.error.node, this.result.node, this.log.node, this.args.node, facts);
    this.missing = el("p.help", {}, "");
    return [head, this.missing, this.body];
  }

  render({ store, route, now }) {
    const watch = store.watch;
    setHidden(this.root, watch === null);
    if (watch === null) return;
    if (watch.id !== this.#id) this.#opened(watch.id);
    const job = watch.job;
    setText(this.title, job?.task ?? "Job");
    setHidden(this.body, job === null);
    setHidden(this.missing, job !== null && watch.error === null);
    setText(this.missing, missingText(watch));
    this.#renderButtons(job, watch.error);
    if (job !== null) this.#renderJob(watch, job, route, now);
  }

  focus() {
    this.title.focus();
  }

  #opened(id) {
    this.#id = id;
    setText(this.id, id);
    this.#showFailure("");
  }

  #renderButtons(job, error) {
    const ended = job !== null && hasEnded(job);
    setHidden(this.cancel, job === null || ended || error !== null);
    setHidden(this.rerun, !ended || error !== null);
    setAttribute(this.cancel, "disabled", job?.state === "cancelling");
    setText(this.cancel, job?.state === "cancelling" ? "Cancelling …" : "Cancel");
  }

  #renderJob(watch, job, route, now) {
    this.badge.show(job.state);
    this.bar.show(job);
    const { first, second } = timing(job, now);
    setText(this.time, [first, second].join(hasEnded(job) ? " · " : " "));
    setText(this.progress, progressText(job.progress));
    this.error.show(job.error ?? watch.whole?.error ?? null);
    this.#renderResult(watch, job);
    this.args.show(watch.whole?.args);
    this.log.render(watch, logPath(job.id));
    this.#renderFacts(job, watch.whole, route);
  }

  #renderResult(watch, job) {
    const result = "result" in job ? job.result : watch.whole?.result;
    const waiting = result === undefined && job.result_bytes ? `${bytes(job.result_bytes)}, loading …` : "";
    this.result.show(job.state === "succeeded" ? result : undefined, waiting);
  }

  #renderFacts(job, whole, route) {
    const facts = factsOf(job, whole);
    if (JSON.stringify(facts) === this.#facts) return;
    this.#facts = JSON.stringify(facts);
    const nodes = facts.flatMap(([name, value, href]) => {
      const content = href ? el("a", { href: writeRoute({ ...route, job: href }) }, value) : value;
      return [el("dt", {}, name), el("dd", {}, content)];
    });
    this.facts.replaceChildren(...nodes);
  }

  async #act(name) {
    this.#showFailure("");
    const id = this.#id;
    try {
      await this.actions[name](id);
    } catch (problem) {
      if (id === this.#id) this.#showFailure(problem.message);
    }
  }

  #showFailure(text) {
    setText(this.failure, text);
    setHidden(this.failure, text === "");
  }
}

function missingText({ error }) {
  if (error === null) return "Loading …";
  return error.code === "not_found" ? "This job is not kept any more, or never was." : (error.message ?? error.code);
}

function factsOf(job, whole) {
  const time = (at) => at && fullTime(at);
  return [
    ["created", time(job.created_at)],
    ["scheduled", time(job.scheduled_at)],
    ["started", time(job.started_at)],
    ["finished", time(job.finished_at)],
    ["attempt", `${job.attempt} of ${job.max_attempts}`],
    ["queue", job.queue],
    ["priority", job.priority ? String(job.priority) : null],
    ["position", whole?.position && job.state === "queued" ? `about ${whole.position}` : null],
    ["node", job.node],
    ["tags", job.tags.join(", ")],
    ["rerun of", whole?.rerun_of ?? job.rerun_of, whole?.rerun_of ?? job.rerun_of],
    ...(job.warnings ?? []).map((warning) => ["warning", typeof warning === "string" ? warning : (warning.message ?? warning.text ?? print(warning))]),
  ].filter(([, value]) => value);
}

/** A value as JSON, shown once it is known. */
class JsonPart {
  #shown = undefined;

  constructor(title, open) {
    this.text = el("pre.json", { tabindex: "0" });
    this.node = el("details.part", { open, hidden: true }, el("summary", {}, title), this.text);
  }

  show(value, waiting = "") {
    setHidden(this.node, value === undefined && waiting === "");
    if (value === this.#shown && waiting === "") return;
    this.#shown = value;
    setText(this.text, value === undefined ? waiting : shorten(print(value)));
  }
}

class ErrorPart {
  constructor() {
    this.code = el("code");
    this.message = el("p.error-message");
    this.trace = el("pre.trace", { tabindex: "0" });
    this.details = el("details", { open: true }, el("summary", {}, "Traceback"), this.trace);
    this.node = el("section.error-part", { hidden: true }, el("h3", {}, "Error ", this.code), this.message, this.details);
  }

  show(error) {
    setHidden(this.node, error === null);
    if (error === null) return;
    setText(this.code, error.code);
    setText(this.message, error.message ?? "");
    setText(this.trace, shorten(error.traceback ?? ""));
    setHidden(this.details, !error.traceback);
  }
}

function shorten(text) {
  const over = text.length - SHOWN_CHARACTERS;
  return over <= 0 ? text : `${text.slice(0, SHOWN_CHARACTERS)}\n… ${plural(over, "character")} more`;
}
