// A server that keeps to docs/protocol.md, and the network between it and a page: what is sent arrives in order, but only
// when a test says so, and may never.

const CHUNK = 3; // log entries of one frame
const FIRST_BATCH = 2; // jobs in the snapshot of a feed

/** Numbers that are the same for the same seed: mulberry32. */
export function chance(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound) => Math.floor(next() * bound);
  return { next, below, pick: (choices) => choices[below(choices.length)], maybe: (part) => next() < part };
}

/** A job as the store has it. The text of an entry says of which job it is, where it stands and who wrote it. */
class StoredJob {
  constructor(id, epoch) {
    Object.assign(this, { id, epoch, version: 0, state: "running", lines: [], kept: 1, firsts: [1] });
    this.bump();
  }

  get attempt() {
    return this.firsts.length;
  }

  get tail() {
    return this.lines.length;
  }

  get ended() {
    return this.state !== "running";
  }

  bump() {
    this.version += 1;
  }

  write(count) {
    for (let made = 0; made < count; made += 1) this.lines.push(`${this.id} ${this.tail + 1} of ${this.epoch}-${this.attempt}`);
    this.bump();
  }

  trim(count) {
    this.kept = Math.min(this.tail + 1, this.kept + count);
  }

  /** Its worker was lost, and the last `lost` entries with it. */
  retry(lost) {
    this.lines.splice(Math.max(0, this.tail - lost));
    this.kept = Math.min(this.kept, this.tail + 1);
    this.firsts.push(this.tail + 1);
    this.bump();
  }

  end(state) {
    this.state = state;
    this.bump();
  }

  cursor(offset, version = this.version) {
    return `${this.epoch}-${this.attempt}.${version}.${offset}`;
  }

  summary() {
    return {
      id: this.id, task: "t", state: this.state, attempt: this.attempt, tags: [], created_at: 1, progress: null,
      finished_at: this.ended ? 9 : null, cursor: this.cursor(this.tail),
    };
  }

  /** How a subscription begins: `how`, the last offset that need not be sent, and from where on the client has to drop. */
  begin(after, log) {
    const none = log === "none";
    const anew = none || log === "all" ? 0 : Math.max(0, this.tail - log, this.kept - 1);
    const held = after === undefined ? null : /^(.+)-(\d+)\.\d+\.(\d+)$/.exec(after);
    if (held === null) return { how: "fresh", sent: anew };
    const [attempt, offset] = [Number(held[2]), Number(held[3])];
    if (held[1] !== this.epoch || attempt > this.attempt) return { how: "reset", from: 1, sent: anew };
    const from = Math.min(...this.firsts.slice(attempt), Infinity);
    return offset < from || none ? { how: "resumed", sent: offset } : { how: "reset", from, sent: from - 1 };
  }
}

class JobSub {
  constructor(server, request) {
    Object.assign(this, { request, job: server.jobs.get(request.job), begun: null, sent: 0, told: 0, live: false, over: false });
    this.due = true; // a snapshot
  }

  /** Entries from here on are others now. */
  reset(from) {
    if (this.begun === null || this.request.log === "none" || this.sent < from) return;
    this.begun = { how: "reset", from, sent: from - 1 };
    this.due = true;
  }

  /** The next frame, or null. */
  next() {
    const { job } = this;
    if (job === undefined || job.deleted) return this.#last({ type: "error", code: "not_found", message: "no such job", retryable: false });
    if (this.due) return this.#snapshot();
    if (this.request.log !== "none" && this.sent < job.tail) return this.#log();
    if (!this.live) return this.#caughtUp();
    if (job.ended) return this.#last({ type: "end", job: job.summary(), last: job.tail, cursor: job.cursor(this.sent) });
    return this.told < job.version ? this.#update() : null;
  }

  #last(frame) {
    this.over = true;
    return frame;
  }

  #caughtUp() {
    this.live = true;
    return { type: "live" };
  }

  #snapshot() {
    const { job } = this;
    this.begun ??= job.begin(this.request.after, this.request.log);
    const { how, from, sent } = this.begun;
    Object.assign(this, { due: false, live: false, told: job.version, sent });
    const reset = from === undefined ? {} : { log_from: from };
    return { type: "snapshot", job: job.summary(), how, cursor: job.cursor(sent, job.version - (job.ended ? 1 : 0)), ...reset };
  }

  #log() {
    const { job } = this;
    const first = this.sent + 1;
    if (first < job.kept) {
      this.sent = job.kept - 1;
      return { type: "gap", from: first, to: this.sent, why: "trimmed", cursor: job.cursor(this.sent, this.told) };
    }
    const entries = job.lines.slice(this.sent, this.sent + CHUNK).map((text) => ({ at: 1, level: "info", text }));
    this.sent += entries.length;
    return { type: "log", first, entries, cursor: job.cursor(this.sent, this.told) };
  }

  #update() {
    this.told = this.job.version;
    return { type: "update", job: this.job.summary(), cursor: this.job.cursor(this.sent) };
  }
}

class FeedSub {
  constructor(server, request) {
    Object.assign(this, { server, request, how: "fresh", told: new Map(), live: false, over: false });
  }

  resync() {
    this.how ??= "reset";
  }

  next() {
    if (this.how !== null) return this.#snapshot();
    const update = this.#update();
    if (update !== null || this.live) return update;
    this.live = true;
    return { type: "live" };
  }

  #snapshot() {
    const jobs = this.server.window(this.request).slice(0, FIRST_BATCH);
    this.told = new Map(jobs.map((job) => [job.id, job.cursor]));
    const frame = { type: "snapshot", jobs, counts: this.server.counts(), how: this.how };
    this.how = null;
    this.live = false;
    return frame;
  }

  #update() {
    const window = this.server.window(this.request);
    const jobs = window.filter((job) => this.told.get(job.id) !== job.cursor);
    const gone = [...this.told.keys()].filter((id) => !window.some((job) => job.id === id));
    if (jobs.length + gone.length === 0) return null;
    this.told = new Map(window.map((job) => [job.id, job.cursor]));
    return { type: "update", jobs, gone, counts: this.server.counts() };
  }
}

class StatsSub {
  constructor(server, request) {
    Object.assign(this, { server, request, over: false, asked: true });
  }

  next() {
    if (!this.asked) return null;
    this.asked = false;
    return { type: "stats", running: this.server.jobs.size };
  }
}

/** How many commands may come: as handlers/session.py counts them. */
class Allowance {
  constructor({ perS, burst, refusals }, now) {
    Object.assign(this, { perS, burst, refusals, left: burst, at: now, refused: 0 });
  }

  take(now) {
    this.left = Math.min(this.burst, this.left + ((now - this.at) / 1000) * this.perS);
    this.at = now;
    if (this.left >= 1) {
      this.left -= 1;
      return 0;
    }
    this.refused += 1;
    return (1 - this.left) / this.perS;
  }
}

/** One connection as the server has it. */
class Peer {
  constructor(server, socket) {
    Object.assign(this, { server, socket, subs: new Map(), outbox: [], hidden: false, greeted: false });
    this.allowance = new Allowance(server.limits, server.now());
  }

  receive(frames) {
    for (const frame of frames) {
      if (this.socket.peer !== this) return; // closed by what came before
      if (frame.type === "hello") this.#hello(frame);
      else if (this.#allowed(frame)) this.#command(frame);
    }
  }

  #hello({ subscribe }) {
    if (this.greeted) throw new Error("a second hello");
    this.greeted = true;
    const { perS, burst, subscriptions } = this.server.limits;
    const limits = { commands_per_s: perS, commands_burst: burst, subscriptions };
    this.outbox.push({ type: "welcome", version: 1, node: "a", heartbeat_s: 15, now: 1, limits });
    for (const wish of subscribe) this.#command(wish);
  }

  #allowed(frame) {
    if (!this.greeted) throw new Error("no hello first");
    const waitS = this.allowance.take(this.server.now());
    if (waitS === 0) return true;
    if (this.allowance.refused > this.allowance.refusals) this.server.close(this, 4101);
    else this.#refuse(frame, { code: "too_many", message: "", retryable: true, after_s: Math.max(waitS, 0.05) });
    return false;
  }

  #refuse({ id, sub, rate }, error) {
    const address = id === undefined ? (sub === undefined ? {} : { sub }) : { id };
    this.outbox.push({ type: "error", ...address, ...error, tag: rate });
  }

  #command(frame) {
    if (frame.type === "subscribe") this.#subscribe(frame);
    if (frame.type === "visibility") this.hidden = frame.hidden;
    if (frame.type === "ping") this.outbox.push({ type: "pong", n: frame.n });
    if (frame.type !== "unsubscribe") return;
    this.subs.delete(frame.sub);
    this.outbox.push({ type: "ok", id: frame.id });
  }

  #subscribe(frame) {
    if (this.subs.has(frame.sub)) return this.#refuse(frame, { code: "conflict", message: "in use", retryable: false });
    if (this.subs.size >= this.server.limits.subscriptions) {
      return this.#refuse(frame, { code: "too_many", message: "close one first", retryable: true });
    }
    const Kind = frame.job !== undefined ? JobSub : frame.feed !== undefined ? FeedSub : StatsSub;
    this.subs.set(frame.sub, new Kind(this.server, frame));
  }

  /** One more frame of one subscription. Answers whether there was one. */
  tell(number) {
    const sub = this.subs.get(number);
    const frame = sub.next();
    if (frame === null) return false;
    const tag = sub.request.rate;
    if (frame.type === "live") this.socket.told.add(tag);
    this.outbox.push({ sub: number, ...frame, tag });
    if (sub.over) this.subs.delete(number);
    return true;
  }

  /** All there is to tell, or so many frames of it. */
  tellAll(most = Infinity) {
    let left = most;
    for (const number of [...this.subs.keys()]) while (left > 0 && this.subs.has(number) && this.tell(number)) left -= 1;
  }

  flush() {
    if (this.outbox.length > 0) this.socket.down.push({ text: JSON.stringify(this.outbox.splice(0)) });
  }
}

/** Owns the jobs, the connections and the way to them. `limits`: perS, burst, refusals, subscriptions. */
export class FakeServer {
  constructor(now, limits) {
    Object.assign(this, { now, limits, up: true, epoch: "e1", jobs: new Map(), last: 0, sockets: [] });
    const server = this;
    this.WebSocket = class {
      constructor() {
        Object.assign(this, { state: "connecting", upwards: [], down: [], peer: null });
        Object.assign(this, { heard: false, told: new Set(), dead: false }); // something came down; who was told "live"
        server.sockets.push(this);
      }

      send(text) {
        if (this.state === "connecting") throw new Error("InvalidStateError");
        if (this.state === "open") this.upwards.push({ text });
      }

      close() {
        if (this.state === "open") this.upwards.push({ code: 1000 });
        this.state = this.state === "open" ? "closing" : "closed";
      }
    };
  }

  // --- the store

  addJob() {
    this.last += 1;
    const id = `J${String(this.last).padStart(4, "0")}`;
    this.jobs.set(id, new StoredJob(id, this.epoch));
    return id;
  }

  retry(job, lost) {
    job.retry(lost);
    for (const sub of this.subs()) if (sub.job === job) sub.reset(job.firsts.at(-1));
  }

  delete(job) {
    job.deleted = true;
    this.jobs.delete(job.id);
  }

  /** The store is another one: nobody stays connected over that. */
  replace() {
    for (const socket of this.sockets) this.cut(socket, 0);
    this.epoch = `e${Number(this.epoch.slice(1)) + 1}`;
    for (const { id } of [...this.jobs.values()]) this.jobs.set(id, new StoredJob(id, this.epoch));
  }

  window({ feed, limit }) {
    const states = [feed.state ?? []].flat();
    const jobs = [...this.jobs.values()].filter((job) => states.length === 0 || states.includes(job.state));
    return jobs.map((job) => job.summary()).sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit);
  }

  counts() {
    const counts = {};
    for (const { state } of this.jobs.values()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  // --- the connections

  peers() {
    return this.sockets.map((socket) => socket.peer).filter((peer) => peer !== null);
  }

  subs() {
    return this.peers().flatMap((peer) => [...peer.subs.values()]);
  }

  close(peer, code, bye = null) {
    if (bye) peer.outbox.push({ type: "bye", code, ...bye });
    peer.flush();
    peer.socket.peer = null;
    peer.socket.down.push({ code });
  }

  /** A sign of life for everybody, and the figures. */
  beat() {
    for (const peer of this.peers()) if (peer.greeted) peer.outbox.push({ type: "heartbeat", now: 1 });
    for (const sub of this.subs()) if (sub.asked === false) sub.asked = true;
  }

  // --- the way: each call lets one thing happen

  open(socket) {
    if (socket.state !== "connecting" || socket.dead) return false;
    socket.state = this.up ? "open" : "closed";
    if (this.up) socket.peer = new Peer(this, socket);
    if (this.up) socket.onopen?.();
    else socket.onclose?.({ code: 1006, reason: "" });
    return true;
  }

  deliverUp(socket) {
    if (socket.dead || socket.peer === null || socket.upwards.length === 0) return false;
    const { text } = socket.upwards.shift();
    if (text !== undefined) {
      socket.peer.receive(JSON.parse(text));
    } else {
      socket.peer = null;
      socket.state = "closed";
    }
    return true;
  }

  deliverDown(socket) {
    if (socket.dead || socket.down.length === 0) return false;
    const { text, code } = socket.down.shift();
    if (text !== undefined) {
      socket.heard = true;
      socket.onmessage?.({ data: text });
    } else {
      Object.assign(socket, { state: "closed", heard: false });
      socket.onclose?.({ code, reason: "" });
    }
    return true;
  }

  /** The connection is lost; of what is on its way down the first `arriving` messages still come. */
  cut(socket, arriving) {
    if (socket.state !== "open" && socket.state !== "closing") return;
    socket.peer = null;
    socket.upwards = [];
    socket.down.splice(arriving);
    socket.down.push({ code: 1006 });
  }

  /** Nothing comes through any more, and neither side is told. */
  blackhole(socket) {
    socket.dead = true;
  }

  /** All that is on its way arrives, and what follows from it: all there is to tell, or so many frames of it. */
  flow(socket, most = Infinity) {
    if (socket.dead) return false;
    let moved = this.open(socket);
    while (this.deliverUp(socket)) moved = true;
    socket.peer?.tellAll(most);
    socket.peer?.flush();
    while (this.deliverDown(socket)) moved = true;
    return moved;
  }

  /** Everything that can happen without anybody's doing. */
  settle() {
    for (let moved = true; moved; ) {
      moved = false;
      for (const socket of this.sockets) {
        if (socket.dead) socket.peer = null;
        moved = this.flow(socket) || moved;
      }
    }
    this.sockets = this.sockets.filter(({ state, dead }) => state !== "closed" && !(state === "closing" && dead));
  }
}
