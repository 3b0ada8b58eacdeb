// The connection: keeps one WebSocket to /api/stream alive and carries the subscriptions over every reconnect.
// It knows no DOM and no clock of its own: WebSocket, timers and chance are handed in, so that Node can test it.

import { backoffMs, verdictOf } from "./backoff.js";
import { JSON_CODEC } from "./codec.js";
import { browserEnvironment } from "./environment.js";

const BUSY_FAILURES = 3; // 41xx means "back off": the jitter starts as if three tries had failed
const WELCOME_WITHIN_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const STEADY_MS = 5_000; // a connection that lived this long forgives the failures before it
const TRY_AGAIN_MS = 1_000;
const COMMANDS_PER_S = 20;
const MOST_IN_HELLO = 256; // what a server takes of a connection, and a hello has room for

export const Phase = Object.freeze({
  IDLE: "idle",
  CONNECTING: "connecting",
  CATCHING_UP: "catching up",
  LIVE: "live",
  OFFLINE: "offline",
  REFUSED: "refused",
});

/** Owns the socket, its timers, the subscriptions and the cursor of each. */
export class Connection {
  #url;
  #onFrames;
  #onStatus;
  #env;
  #socket = null;
  #subs = new Map(); // sub -> {request, cursor, live}
  #leaving = new Map(); // id of an unsubscribe -> its sub, which is not free before the answer
  #lastId = 0;
  #failures = 0;
  #delivering = new Set(); // numbers in the message that is being passed on
  #timers = {}; // by purpose: retry, silence, drain
  #refused = new Set(); // timers of commands that the server did not take
  #lastTry = 0; // when the last of them comes again
  #apartMs = 2000 / COMMANDS_PER_S;
  #heardAt = 0;
  #silentAfterMs = WELCOME_WITHIN_MS;
  #pingedAt = null;
  #greeted = false; // hello is sent: what changes from now on is told by a frame of its own
  #welcomedAt = null;
  #bye = null;
  #hidden = false;

  /** `codec` is how messages are written, as JSON_CODEC of codec.js; it may be changed before `start`. */
  constructor({ url, onFrames, onStatus, codec = JSON_CODEC, environment = browserEnvironment() }) {
    this.codec = codec;
    this.#url = url;
    this.#onFrames = onFrames;
    this.#onStatus = onStatus;
    this.#env = environment;
    this.status = { phase: Phase.IDLE, since: environment.wall(), code: null, reason: "" };
  }

  start() {
    if (this.#socket !== null) return;
    this.#setStatus({ phase: Phase.CONNECTING, since: this.#env.wall(), code: null, reason: "" });
    this.#connect();
  }

  /** Closes the socket. Subscriptions and their cursors stay: `start` goes on with them. */
  stop() {
    this.#dropSocket(1000);
    this.#cancelTimer("retry");
    this.#setStatus({ phase: Phase.IDLE, since: this.#env.wall(), code: null, reason: "" });
  }

  /** Stands until unsubscribed or ended, over every reconnect. Returns its number. */
  subscribe(request) {
    const sub = this.#freeSub();
    this.#subs.set(sub, { request, cursor: request.after ?? null, live: false });
    if (this.#greeted) this.#send([this.#subscribeFrame(sub)]);
    this.#showProgress();
    return sub;
  }

  unsubscribe(sub) {
    if (!this.#subs.delete(sub)) return;
    if (this.#greeted) {
      const id = ++this.#lastId;
      this.#leaving.set(id, sub);
      this.#send([{ type: "unsubscribe", id, sub }]);
    }
    this.#showProgress();
  }

  /** A hidden page is told less often. */
  setHidden(hidden) {
    this.#hidden = hidden;
    if (this.#greeted) this.#send([this.#visibilityFrame()]);
  }

  /** The network or the page is back: connect at once, or ask a connection that may be dead for a sign of life. */
  wake() {
    if (this.status.phase === Phase.REFUSED || this.status.phase === Phase.IDLE) return;
    if (this.#socket === null) {
      this.#failures = 0;
      this.#connect();
    } else if (this.#welcomedAt !== null) {
      this.#pingedAt = this.#env.monotonic();
      this.#send([{ type: "ping", n: ++this.#lastId }]);
      this.#watchSilence();
    }
  }

  // --- opening and closing

  #connect() {
    this.#cancelTimer("retry");
    const socket = this.#openSocket();
    if (socket === null) return;
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    this.#bye = null;
    this.#pingedAt = null;
    this.#silentAfterMs = WELCOME_WITHIN_MS;
    this.#heardAt = this.#env.monotonic();
    socket.onopen = () => this.#greet();
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    this.#watchSilence();
  }

  // Throws for what no try can mend: ws: from a page on https, a URL that is none.
  #openSocket() {
    try {
      return new this.#env.WebSocket(this.#url, [this.codec.subprotocol]);
    } catch (error) {
      this.#setStatus({ phase: Phase.REFUSED, since: this.#env.wall(), code: null, reason: error.message });
      return null;
    }
  }

  #greet() {
    const subs = [...this.#subs.keys()];
    const subscribe = subs.splice(0, MOST_IN_HELLO).map((sub) => this.#subscribeFrame(sub));
    this.#send([{ type: "hello", subscribe }, this.#visibilityFrame()]);
    this.#greeted = true;
    for (const sub of subs) this.#subscribeAgain({ sub });
  }

  #subscribeFrame(sub) {
    const { request, cursor } = this.#subs.get(sub);
    const resume = cursor === null ? {} : { after: cursor };
    return { type: "subscribe", sub, ...request, ...resume };
  }

  #visibilityFrame() {
    return { type: "visibility", hidden: this.#hidden };
  }

  #closed(code, reason) {
    const verdict = verdictOf(code, this.#bye);
    const words = this.#bye?.reason || reason || "";
    const steady = this.#welcomedAt !== null && this.#env.monotonic() - this.#welcomedAt >= STEADY_MS;
    this.#dropSocket();
    if (verdict === "never") {
      this.#setStatus({ phase: Phase.REFUSED, since: this.#env.wall(), code, reason: words });
      return;
    }
    if (steady || verdict === "soon") this.#failures = 0;
    if (verdict === "later") this.#failures = Math.max(this.#failures, BUSY_FAILURES);
    this.#retryLater(code, words);
  }

  #retryLater(code, reason) {
    const since = this.status.phase === Phase.OFFLINE ? this.status.since : this.#env.wall();
    this.#setTimer("retry", backoffMs(this.#failures++, this.#env.random), () => this.#connect());
    this.#setStatus({ phase: Phase.OFFLINE, since, code, reason });
  }

  // A dead socket reports its close only after the browser's own timeout: let go of it first, then close.
  #dropSocket(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#greeted = false;
    this.#welcomedAt = null;
    this.#leaving.clear();
    this.#cancelTimer("silence");
    this.#cancelTimer("drain");
    for (const timer of this.#refused) this.#env.clearTimeout(timer);
    this.#refused.clear();
    this.#lastTry = 0;
    for (const entry of this.#subs.values()) entry.live = false;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (code !== undefined) socket.close(code);
  }

  #reconnect() {
    this.#dropSocket(1000);
    this.#connect();
  }

  // --- silence

  #watchSilence() {
    const now = this.#env.monotonic();
    const heartbeatLeft = this.#heardAt + this.#silentAfterMs - now;
    const pongLeft = this.#pingedAt === null ? Infinity : this.#pingedAt + PONG_WITHIN_MS - now;
    const left = Math.min(heartbeatLeft, pongLeft);
    if (left > 0) {
      this.#setTimer("silence", left, () => this.#watchSilence());
      return;
    }
    this.#dropSocket(1000);
    this.#retryLater(null, "silence");
  }

  // --- frames

  #receive(data) {
    this.#heardAt = this.#env.monotonic();
    this.#pingedAt = null; // any message proves life
    let frames;
    try {
      frames = this.codec.decode(data);
    } catch (error) {
      this.codec = JSON_CODEC; // reads whatever the server may send; msgpack's library refuses a key named __proto__
      this.#dropSocket(1000);
      this.#retryLater(null, error.message);
      return;
    }
    const wanted = frames.filter((frame) => this.#track(frame));
    if (wanted.length > 0) this.#deliver(wanted);
    this.#showProgress();
  }

  // A number that a message has freed is given away only when the whole message is passed on: whoever hears of its first
  // frames may subscribe at once, and must not hear of the others.
  #deliver(frames) {
    this.#delivering = new Set(frames.map(({ sub }) => sub));
    try {
      this.#onFrames(frames);
    } finally {
      this.#delivering.clear();
    }
  }

  // Notes what a frame means for the connection. Answers whether it is news for the store.
  #track(frame) {
    if (frame.id !== undefined) return this.#answered(frame);
    if (frame.sub !== undefined) return this.#trackSub(frame);
    if (frame.type === "welcome") this.#welcomed(frame);
    if (frame.type === "drain") this.#drain(frame.within_s);
    if (frame.type === "bye") this.#bye = frame;
    if (frame.type === "error" && frame.retryable) this.#lookAgain(frame);
    return true;
  }

  // One that was refused still stands at the server, and its number is not free.
  #answered(frame) {
    const { id } = frame;
    const sub = this.#leaving.get(id);
    if (sub === undefined) return false;
    if (frame.type === "error" && frame.retryable) this.#again(frame, () => this.#send([{ type: "unsubscribe", id, sub }]));
    else this.#leaving.delete(id);
    return false;
  }

  #trackSub(frame) {
    const entry = this.#subs.get(frame.sub);
    if (entry === undefined) return false; // on its way when we left
    if (frame.cursor !== undefined) entry.cursor = frame.cursor;
    if (frame.type === "snapshot") entry.live = false;
    if (frame.type === "live" || frame.type === "stats") entry.live = true; // figures have no replay
    if (frame.type === "error" && frame.retryable) return this.#subscribeAgain(frame);
    if (frame.type === "end" || frame.type === "error") this.#subs.delete(frame.sub);
    return true;
  }

  #subscribeAgain(frame) {
    const { sub } = frame;
    const entry = this.#subs.get(sub);
    entry.live = false;
    this.#again(frame, () => {
      if (this.#subs.get(sub) === entry) this.#send([this.#subscribeFrame(sub)]); // else the number is somebody else's
    });
    return false;
  }

  // Of all that we send only the visibility has no address that a refusal could name, and a ping, whose answer this is.
  #lookAgain(frame) {
    this.#again(frame, () => this.#send([this.#visibilityFrame()]));
  }

  // Not all at once, and slower than the server takes them: else those that were too many would be it again.
  #again({ after_s: afterS }, command) {
    const now = this.#env.monotonic();
    const waitMs = afterS === undefined ? TRY_AGAIN_MS : 1000 * afterS;
    this.#lastTry = Math.max(now + waitMs, this.#lastTry + this.#apartMs);
    const timer = this.#env.setTimeout(() => {
      this.#refused.delete(timer);
      command();
    }, this.#lastTry - now);
    this.#refused.add(timer);
  }

  #welcomed(frame) {
    this.#welcomedAt = this.#env.monotonic();
    this.#silentAfterMs = 2000 * (frame.heartbeat_s ?? 15);
    this.#apartMs = 2000 / (frame.limits?.commands_per_s ?? COMMANDS_PER_S);
    this.#watchSilence();
  }

  #drain([from, to]) {
    const waitMs = 1000 * (from + (to - from) * this.#env.random());
    this.#setTimer("drain", waitMs, () => this.#reconnect());
  }

  // --- small steps

  #showProgress() {
    if (this.#welcomedAt === null) return;
    const caughtUp = [...this.#subs.values()].every((entry) => entry.live);
    const phase = caughtUp ? Phase.LIVE : Phase.CATCHING_UP;
    if (phase !== this.status.phase) this.#setStatus({ phase, since: this.#env.wall(), code: null, reason: "" });
  }

  // The smallest free number: clients that number alike share the server's encoded bytes.
  #freeSub() {
    const leaving = new Set(this.#leaving.values());
    let sub = 1;
    while (this.#subs.has(sub) || leaving.has(sub) || this.#delivering.has(sub)) sub += 1;
    return sub;
  }

  #send(frames) {
    this.#socket?.send(this.codec.encode(frames));
  }

  #setStatus(status) {
    this.status = status;
    this.#onStatus(status);
  }

  #setTimer(name, ms, call) {
    this.#cancelTimer(name);
    this.#timers[name] = this.#env.setTimeout(call, ms);
  }

  #cancelTimer(name) {
    this.#env.clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}
