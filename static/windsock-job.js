// <windsock-job job="01JD…"></windsock-job>: a live bar for one job, in any page. docs/browser.md tells how to use it.

import { face } from "./embed/face.js";
import { View } from "./embed/view.js";
import { WORDS } from "./embed/words.js";
import { hasEnded } from "./job.js";
import { Windsock } from "./windsock.js";

const TICK_MS = 1000; // times left and passed change without news
const PLACE_MS = 5_000; // between two questions where a waiting job stands, at first
const MOST_PLACE_MS = 30_000;
const LOG_LINES = 200; // held at most
const Base = globalThis.HTMLElement ?? class {}; // so that a server that renders pages may import this

/** Owns one job's watch and its view. All bars of a page share the connection to their server. */
export class WindsockJob extends Base {
  static observedAttributes = ["job", "server", "log", "label", "cancel"];
  static words = { ...WORDS };

  #view = null;
  #internals = null;
  #client = null;
  #watch = null;
  #stopStatus = null;
  #opened = 0; // when, by the monotonic clock: an end from before is no news
  #state = ""; // the last that was shown
  #place = null; // where a waiting job stands: {position, start_in_s}
  #placeTimer = null;
  #ticker = null;
  #frame = null;
  #reopening = false;
  #trouble = "";
  #newLines = false;

  // --- what a page may read and call

  /** The job's summary, with its result or error once it has ended; null while nothing is known. */
  get summary() {
    return this.#watch?.job ?? null;
  }

  /** What it shows: "connecting", "queued", "running", "stalled", "reconnecting", "succeeded" … */
  get state() {
    return this.#state;
  }

  get job() {
    return this.getAttribute("job") ?? "";
  }

  set job(id) {
    this.setAttribute("job", id);
  }

  get server() {
    return this.getAttribute("server") ?? undefined;
  }

  set server(url) {
    this.setAttribute("server", url);
  }

  /** Asks the job to end. */
  async cancel() {
    const id = this.job;
    this.#trouble = "";
    try {
      const job = await (this.#client ?? Windsock.shared(this.server)).cancel(id);
      if (this.#watch?.id === job.id) this.#watch.update(job);
    } catch (problem) {
      const stands = this.job === id && problem.code !== "conflict"; // else it has ended, or another one is shown
      if (stands) this.#trouble = WindsockJob.words.cancelFailed(problem.message);
    }
    this.#draw();
  }

  // --- its life

  connectedCallback() {
    if (this.#view === null) this.#build();
    this.#open();
  }

  disconnectedCallback() {
    this.#close();
  }

  attributeChangedCallback(name, before, after) {
    if (this.#view === null || before === after || !this.isConnected) return;
    if (name === "label" || name === "cancel") this.#draw();
    else this.#reopen();
  }

  // Whoever sets several attributes gets one new subscription.
  #reopen() {
    if (this.#reopening) return;
    this.#reopening = true;
    queueMicrotask(() => {
      this.#reopening = false;
      this.#close();
      if (this.isConnected) this.#open();
    });
  }

  #build() {
    this.#internals = this.attachInternals?.() ?? null;
    this.#view = new View(this.attachShadow({ mode: "open" }), { onCancel: () => this.cancel() });
  }

  #open() {
    this.#opened = performance.now();
    this.#client = Windsock.shared(this.server);
    this.#stopStatus = this.#client.onStatus(() => this.#draw());
    if (this.job !== "") this.#watch = this.#client.job(this.job, this.#wishes());
    this.#drawNow();
  }

  #wishes() {
    return {
      log: this.#logWish(),
      logLines: LOG_LINES,
      onUpdate: (job) => this.#updated(job),
      onLog: () => this.#drawLog(),
      onGap: () => this.#drawLog(),
      onReset: () => this.#drawLog(),
      onEnd: (job) => this.#ended(job),
      onError: (problem) => this.#refused(problem),
    };
  }

  #close() {
    this.#watch?.close();
    this.#stopStatus?.();
    this.#watch = this.#stopStatus = this.#place = null;
    this.#trouble = "";
    clearTimeout(this.#placeTimer);
    clearInterval(this.#ticker);
    cancelAnimationFrame(this.#frame);
    this.#placeTimer = this.#ticker = this.#frame = null;
    this.#view.announce("");
    this.#view.renderLog([], 0, WindsockJob.words);
  }

  // "" and "all" show what is kept; a number so many lines; absent none.
  #logWish() {
    const wish = this.getAttribute("log");
    if (wish === null || wish === "none") return "none";
    const number = Number.parseInt(wish, 10);
    return Number.isNaN(number) ? LOG_LINES : Math.min(LOG_LINES, Math.max(0, number));
  }

  // --- news

  #updated(job) {
    this.#place = job.position === undefined ? null : job;
    if (job.state === "queued") this.#askPlace(PLACE_MS);
    this.#tell("windsock-update", job);
    this.#draw();
  }

  // A page may wait for the end while nobody looks at it: so this waits for no frame of animation.
  #ended(job) {
    const { words } = WindsockJob;
    const openedAt = this.#client.now() - (performance.now() - this.#opened);
    if (job.finished_at > openedAt - 1000) {
      this.#view.announce(words.ended(this.#name(), words[job.state], job.state === "failed" ? words.failedDetail(job) : ""));
    }
    this.#drawNow();
    this.#tell("windsock-end", job);
  }

  #refused(problem) {
    this.#drawNow();
    this.#tell("windsock-error", problem);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  // Nobody announces that a queue has moved on: it is asked for, ever less often, while somebody looks.
  #askPlace(waitMs) {
    if (this.#placeTimer !== null) return;
    this.#placeTimer = setTimeout(async () => {
      const watch = this.#watch;
      const whole = document.hidden ? null : await this.#client.get(watch.id).catch(() => null);
      if (watch !== this.#watch) return;
      this.#placeTimer = null;
      if (whole?.state === "queued") this.#place = whole;
      if (watch.open && watch.job?.state === "queued") this.#askPlace(Math.min(MOST_PLACE_MS, 1.5 * waitMs));
      this.#draw();
    }, waitMs * (this.#place === null ? 0.05 : 0.8 + 0.4 * Math.random()));
  }

  // --- the screen

  #draw() {
    this.#frame ??= requestAnimationFrame(() => this.#drawNow());
  }

  #drawLog() {
    this.#newLines = true;
    this.#draw();
  }

  #drawNow() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const { words } = WindsockJob;
    const shown = this.#face();
    this.#view.render(shown, { name: this.#name(), words, cancel: this.hasAttribute("cancel"), trouble: this.#trouble });
    if (this.#newLines) this.#view.renderLog(this.#watch?.log.rows ?? [], this.#logWish() === "none" ? 0 : this.#logWish(), words);
    this.#newLines = false;
    this.#setState(shown.state);
    this.#tick();
  }

  #face() {
    const status = this.#client.status;
    const now = status.phase === "offline" ? status.since + this.#client.now() - Date.now() : this.#client.now();
    return face({
      id: this.job, job: this.summary, error: this.#watch?.error ?? null, place: this.#place, status, now, words: WindsockJob.words,
    });
  }

  #name() {
    return this.getAttribute("label") || this.summary?.task || this.job || WindsockJob.words.job;
  }

  // For style sheets of the page: windsock-job:state(running)
  #setState(state) {
    if (state === this.#state) return;
    try {
      this.#internals?.states.delete(this.#state);
      this.#internals?.states.add(state);
    } catch {
      // a browser that wants dashes before a state's name goes without
    }
    this.#state = state;
  }

  #tick() {
    const runs = this.#watch?.open && this.summary !== null && !hasEnded(this.summary);
    if (runs) this.#ticker ??= setInterval(() => this.#draw(), TICK_MS);
    else {
      clearInterval(this.#ticker);
      this.#ticker = null;
    }
  }
}

globalThis.customElements?.get("windsock-job") ?? globalThis.customElements?.define("windsock-job", WindsockJob);
