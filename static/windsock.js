// The client for web pages: watch jobs, feeds and stats live, submit, cancel and rerun. docs/browser.md tells how to use it.

import { backoffMs } from "./backoff.js";
import { browserEnvironment } from "./environment.js";
import { Http, Problem } from "./http.js";
import { followPage } from "./presence.js";
import { Connection, Phase } from "./protocol.js";
import { FeedWatch, JobWatch, StatsWatch, tell } from "./subscriptions.js";

export { Phase, Problem };

const HOME = new URL("..", import.meta.url).href; // the server that this file came from
const IDLE_MS = 10_000; // a connection that nobody needs any more is kept this long
const SUBMIT_TRIES = 4;

const CODECS = {
  json: async () => null,
  msgpack: async () => (await import("./msgpack.js")).MSGPACK_CODEC,
};

/**
 * One server as a page sees it. Owns a connection that stands while there are subscriptions, carries them over every
 * loss by their cursors, and is shared by all that ask for the same server with `Windsock.shared`.
 */
export class Windsock {
  static #shared = new Map();

  #http;
  #environment;
  #connection;
  #watches = new Map(); // sub -> subscription
  #listeners = new Set();
  #stale = null;
  #clockMs = 0; // the server's wall clock minus ours
  #codec; // how to get it
  #idle = null;
  #leavePage = null;

  /** `codec` is "json" or "msgpack", whose bundle is fetched only then. */
  constructor(server = HOME, { codec = "json", onStatus, environment = browserEnvironment() } = {}) {
    if (!Object.hasOwn(CODECS, codec)) throw new TypeError(`codec is "json" or "msgpack", not ${codec}`);
    this.url = addressOf(server);
    this.#environment = environment;
    this.#http = new Http(this.url, environment.fetch);
    this.#codec = CODECS[codec];
    this.#connection = new Connection({
      url: `${this.url.replace(/^http/, "ws")}/api/stream`,
      onFrames: (frames) => frames.forEach((frame) => this.#apply(frame)),
      onStatus: () => this.#tellStatus(),
      environment,
    });
    if (onStatus) this.#listeners.add(onStatus);
  }

  /** The one client of a page for a server. */
  static shared(server = HOME) {
    const url = addressOf(server);
    if (!this.#shared.has(url)) this.#shared.set(url, new this(url));
    return this.#shared.get(url);
  }

  // --- watching

  /** Watches a job. Options: `log` ("none", "all", or the last N lines), `logLines`, `after`, `rate`. */
  job(id, { log = "none", after, rate, ...rest } = {}) {
    const request = { job: id, log, ...given({ after, rate }) };
    return this.#watch(request, (leave) => new JobWatch(id, { after, ...rest }, leave));
  }

  /** Watches the jobs that match a filter. Options: `limit`, `rate`. */
  feed(filter = {}, { limit, rate, ...rest } = {}) {
    const request = { feed: filter, ...given({ limit, rate }) };
    return this.#watch(request, (leave) => new FeedWatch(filter, rest, leave));
  }

  /** Calls with the server's figures, once a second. */
  stats(onStats, { onError } = {}) {
    return this.#watch({ stats: true }, (leave) => new StatsWatch({ onStats, onError }, leave));
  }

  #watch(request, make) {
    const sub = this.#connection.subscribe(request);
    const watch = make(() => this.#leave(sub));
    this.#watches.set(sub, watch);
    this.#start();
    return watch;
  }

  #leave(sub) {
    this.#watches.delete(sub);
    this.#connection.unsubscribe(sub);
    this.#restSoon();
  }

  // --- asking

  /**
   * Hands in a job and answers with its summary. Safe to send again: each call has a key of its own, so that an answer
   * that was lost on the way does not make a second job. `wait_s` waits up to so long for the end.
   */
  submit(task, args = {}, { key = freshKey(), wait_s: waitS = 0, ...options } = {}) {
    const headers = { "Idempotency-Key": key, ...(waitS > 0 && { Prefer: `wait=${waitS}` }) };
    const request = { body: { task, args, ...options }, headers, timeoutMs: 15_000 + 1000 * waitS };
    return this.#persist(() => this.#http.request("POST", "/api/jobs", request));
  }

  async #persist(ask) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await ask();
      } catch (problem) {
        if (problem.status !== 0 || tries === SUBMIT_TRIES) throw problem;
      }
      const waitMs = backoffMs(tries, this.#environment.random);
      await new Promise((resolve) => this.#environment.setTimeout(resolve, waitMs));
    }
  }

  cancel(id) {
    return this.#http.request("POST", `${jobPath(id)}/cancel`);
  }

  rerun(id) {
    return this.#http.request("POST", `${jobPath(id)}/rerun`);
  }

  /** The whole job: also its arguments, a result too large for frames, and while it waits its position. */
  get(id) {
    return this.#http.request("GET", jobPath(id));
  }

  async tasks() {
    return (await this.#http.request("GET", "/api/tasks")).tasks;
  }

  // --- the connection

  /** `phase` (one of Phase), `since`, `code`, `reason`; `stale` says why what is shown may be old, else null. */
  get status() {
    return { ...this.#connection.status, stale: this.#stale };
  }

  /** The server's wall clock in ms, as far as it is known. */
  now() {
    return this.#environment.wall() + this.#clockMs;
  }

  /** Calls whenever `status` changes, until the function that is returned is called. */
  onStatus(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends all subscriptions and the connection. */
  close() {
    for (const watch of [...this.#watches.values()]) watch.close();
    this.#environment.clearTimeout(this.#idle);
    this.#leavePage?.();
    this.#leavePage = null;
    this.#connection.stop();
  }

  async #start() {
    this.#environment.clearTimeout(this.#idle);
    const codec = await this.#codec().catch(() => null);
    if (this.#watches.size === 0 || this.#connection.status.phase !== Phase.IDLE) return; // closed meanwhile, or stands
    if (codec !== null) this.#connection.codec = codec; // text says the same: a bundle that cannot be had keeps nobody from watching
    this.#leavePage ??= this.#followPage();
    this.#connection.start();
  }

  #followPage() {
    const { page } = this.#environment;
    if (!page) return () => {};
    const connection = this.#connection;
    return followPage({
      wake: () => connection.wake(),
      setHidden: (hidden) => connection.setHidden(hidden),
      stop: () => connection.stop(),
      start: () => this.#watches.size > 0 && this.#start(),
    }, page);
  }

  #restSoon() {
    if (this.#watches.size > 0) return;
    this.#environment.clearTimeout(this.#idle);
    this.#idle = this.#environment.setTimeout(() => this.#connection.stop(), IDLE_MS);
  }

  #apply(frame) {
    if (frame.now !== undefined) this.#clockMs = frame.now - this.#environment.wall();
    if (frame.sub !== undefined) this.#applyToWatch(frame);
    else if (frame.type === "stale") this.#setStale(frame.why || "unknown");
    else if (frame.type === "welcome" || frame.type === "fresh") this.#setStale(null);
  }

  #applyToWatch(frame) {
    const watch = this.#watches.get(frame.sub);
    if (frame.type === "end" || frame.type === "error") this.#watches.delete(frame.sub);
    watch?.apply(frame);
    this.#restSoon();
  }

  #setStale(why) {
    if (why === this.#stale) return;
    this.#stale = why;
    this.#tellStatus();
  }

  #tellStatus() {
    const { status } = this;
    for (const listener of [...this.#listeners]) tell(listener, status);
  }
}

const jobPath = (id) => `/api/jobs/${encodeURIComponent(id)}`;

const given = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** Where a server is, without a slash at its end; relative addresses begin at the page. */
function addressOf(server) {
  const { origin, pathname } = new URL(server, globalThis.document?.baseURI ?? HOME);
  return origin + pathname.replace(/\/+$/, "");
}

// crypto.randomUUID is there in secure contexts only; a page on plain http may use Windsock too.
function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
