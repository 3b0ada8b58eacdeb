// Whatever the order of events: once the network is quiet, a page is told all that it asked for, each of it once. Random
// sequences against a server that keeps to the protocol; SEED=n runs one of them again,
// SEQUENCES=n more of them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Phase, Windsock } from "../../static/windsock.js";
import { FakeServer, chance } from "./fake_server.js";
import { FakeTime } from "./fakes.js";

const SEQUENCES = Number(process.env.SEQUENCES ?? 1000);
const MOST_WATCHES = 6;
const ROUNDS = 200; // of half a second, within which a page has to be right again
const STATES = ["running", "succeeded", "failed"];

/** One page, one server, and somebody who does anything at any time. */
class World {
  constructor(seed) {
    this.chance = chance(seed);
    this.time = new FakeTime();
    const generous = this.chance.maybe(0.5);
    const limits = { perS: generous ? 20 : 4, burst: generous ? 60 : 6, refusals: 25, subscriptions: MOST_WATCHES + 2 };
    this.server = new FakeServer(() => this.time.now, limits);
    this.document = Object.assign(new EventTarget(), { hidden: false });
    this.page = Object.assign(new EventTarget(), { document: this.document });
    this.windsock = new Windsock("https://jobs.example", { environment: this.#environment() });
    this.held = new Map(); // tag -> what is watched and not closed
    this.cursors = new Map(); // job -> where a watch of it had come to
    this.deleted = new Set();
    this.tags = 0;
    this.left = false;
    this.faults = [];
    this.answers = []; // of HTTP, on their way
    for (let made = 0; made < 3; made += 1) this.server.addJob();
  }

  #environment() {
    const { time, page, server, chance: { next } } = this;
    return {
      WebSocket: server.WebSocket, page,
      setTimeout: (call, ms) => time.setTimeout(call, ms),
      clearTimeout: (id) => time.clearTimeout(id),
      random: next, monotonic: () => time.now, wall: () => time.now,
    };
  }

  // --- what the page does

  openJob() {
    const ids = [...this.server.jobs.keys(), ...this.deleted, "nobody"];
    const id = this.chance.pick(ids);
    const log = this.chance.pick(["none", "all", 2]);
    const after = this.chance.maybe(0.3) ? this.cursors.get(id) : undefined;
    const record = { kind: "job", id, log, after, told: [], newest: [0, 0] };
    this.#hold(record, (rate) => this.windsock.job(id, { log, after, rate, ...this.#jobCallbacks(record) }));
  }

  #jobCallbacks(record) {
    return {
      onUpdate: (job) => (this.#note(record, job), this.#react()),
      onLog: (entries, first) => (entries.forEach(({ text }, index) => record.told.push({ offset: first + index, text })), this.#react()),
      onGap: ({ from, to, why }) => record.told.push({ from, to, why }),
      onReset: (from) => (record.told = before(record.told, from)),
      onLive: () => this.#react(),
      onEnd: () => this.#react(),
      onError: (problem) => ((record.refused = problem), this.#react()),
    };
  }

  // What is shown never goes back, unless the store is another one. A callback may throw unheard: so it is noted.
  #note(record, { cursor }) {
    const [, epoch, version] = /^e(\d+)-\d+\.(\d+)\./.exec(cursor).map(Number);
    const [heldEpoch, heldVersion] = record.newest;
    if (epoch < heldEpoch || (epoch === heldEpoch && version < heldVersion)) this.faults.push(`${cursor} came after ${record.newest}`);
    record.newest = [epoch, version];
  }

  openFeed() {
    const filter = this.chance.maybe(0.4) ? {} : { state: this.chance.pick(STATES) };
    const limit = this.chance.pick([2, 4, 50]);
    const record = { kind: "feed", filter, limit };
    const onError = (problem) => (record.refused = problem);
    this.#hold(record, (rate) => this.windsock.feed(filter, { limit, rate, onChange: () => this.#react(), onError }));
  }

  // A subscription is known at the server by a rate that no other has; figures have none, so there is one of them at most.
  #hold(record, open) {
    if (this.held.size >= MOST_WATCHES) return;
    record.tag = (this.tags += 1) / 1000;
    record.watch = open(record.tag);
    const { watch } = record;
    const apply = watch.apply.bind(watch);
    watch.apply = (frame) => {
      assert.equal(frame.tag, record.tag, `a ${frame.type} of another subscription reached ${record.kind} ${record.id ?? ""}`);
      if (frame.cursor !== undefined) this.cursors.set(record.id, frame.cursor);
      apply(frame);
    };
    this.held.set(record.tag, record);
  }

  closeOne() {
    if (this.held.size === 0) return;
    const tag = this.chance.pick([...this.held.keys()]);
    this.held.get(tag).watch.close();
    this.held.delete(tag);
  }

  closeAll() {
    this.windsock.close();
    this.held.clear();
  }

  // Code of a page runs in the middle of a message, too.
  #react() {
    if (!this.chance.maybe(0.08)) return;
    this.chance.pick([() => this.openJob(), () => this.openFeed(), () => this.closeOne(), () => this.closeOne()])();
  }

  /** The job as HTTP answers it: read now, and here after whatever comes before. */
  read() {
    const records = [...this.held.values()].filter(({ kind }) => kind === "job");
    const record = records.length > 0 ? this.chance.pick(records) : null;
    const job = this.server.jobs.get(record?.id);
    if (job !== undefined) this.answers.push({ record, epoch: job.epoch, summary: job.summary() });
  }

  answer() {
    const [answer] = this.answers.splice(this.chance.below(this.answers.length), 1);
    if (answer?.epoch === this.server.epoch) answer.record.watch.update(answer.summary);
  }

  hide(hidden) {
    this.document.hidden = hidden;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  leave() {
    this.left = true;
    this.page.dispatchEvent(new Event("pagehide"));
  }

  comeBack() {
    if (!this.left) return;
    this.left = false;
    this.page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  }

  online() {
    this.page.dispatchEvent(new Event(this.chance.pick(["online", "offline"])));
  }

  // --- what the store does

  changeJob() {
    const job = this.chance.pick([...this.server.jobs.values()]);
    if (job === undefined) return;
    if (this.chance.maybe(0.02)) this.#deleteJob(job);
    if (job.ended || job.deleted) return;
    const { pick, below } = this.chance;
    const write = () => job.write(1 + below(7));
    pick([
      write, write, write, () => job.bump(), () => job.trim(1 + below(4)), () => this.server.retry(job, below(5)),
      () => this.server.retry(job, below(5)), () => this.chance.maybe(0.5) && job.end(pick(["succeeded", "failed"])),
    ])();
  }

  #deleteJob(job) {
    this.deleted.add(job.id);
    this.server.delete(job);
  }

  // --- what the network and the server do

  socket() {
    return this.chance.pick(this.server.sockets);
  }

  network() {
    const socket = this.chance.maybe(0.9) ? this.server.sockets.at(-1) : this.socket();
    if (socket === undefined || this.server.open(socket)) return;
    const { server, chance: { pick, below } } = this;
    const peer = socket.peer;
    pick([
      () => server.deliverUp(socket), () => server.deliverDown(socket), () => peer?.flush(),
      () => peer?.subs.size > 0 && peer.tell(pick([...peer.subs.keys()])), () => peer?.tellAll(), () => server.flow(socket),
      () => server.flow(socket), () => server.flow(socket, below(4)),
    ])();
  }

  trouble() {
    const socket = this.socket();
    const { server } = this;
    if (socket === undefined) return;
    const { peer } = socket;
    this.chance.pick([
      () => server.cut(socket, this.chance.below(3)), () => server.cut(socket, 0), () => server.blackhole(socket),
      () => (server.up = false), () => (server.up = true), () => (server.up = true),
      () => peer?.greeted && peer.outbox.push({ type: "drain", within_s: [0, 2] }),
      () => peer && server.close(peer, this.chance.pick([1001, 4102, 4200]), { reason: "", retry: true }),
      () => peer && server.close(peer, this.chance.pick([1000, 4100])),
      () => peer?.subs.forEach((sub) => sub.resync?.()),
    ])();
  }

  // --- running

  async step() {
    const dice = this.chance.below(100);
    if (dice < 40) this.network();
    else if (dice < 62) this.changeJob();
    else if (dice < 71) this.openJob();
    else if (dice < 75) this.openFeed();
    else if (dice < 82) this.closeOne();
    else if (dice < 84) this.read();
    else if (dice < 86) this.answer();
    else if (dice < 90) this.time.pass(this.chance.pick([10, 100, 1000, 1000, 5000, 20_000]));
    else if (dice < 97) this.trouble();
    else this.chance.pick(RARELY)(this);
    await ran();
    this.checkPhase();
  }

  /** Lets everything arrive until nothing is wrong any more. Throws what is wrong if it stays so. */
  async rest() {
    this.server.up = true;
    this.comeBack();
    this.hide(false);
    while (this.answers.length > 0) this.answer();
    for (let round = 0; ; round += 1) {
      await ran();
      this.server.settle();
      await ran();
      const wrong = this.wrong();
      if (wrong === null) return;
      assert.ok(round < ROUNDS, wrong);
      this.server.beat();
      this.time.pass(500);
    }
  }

  /** Nothing gets worse by itself, and news come at once. */
  async probe() {
    for (let round = 0; round < 3; round += 1) {
      this.server.beat();
      this.time.pass(500);
      this.server.settle();
      await ran();
    }
    for (const job of this.server.jobs.values()) if (!job.ended) job.write(1);
    this.server.settle();
    assert.equal(this.wrong(), null);
  }

  // --- what must be so

  /** A page that is told all is live has caught up, on the connection it has; between two nothing can be known. */
  checkPhase() {
    const socket = this.server.sockets.at(-1);
    if (this.windsock.status.phase !== Phase.LIVE || !socket?.heard) return;
    for (const { watch, tag } of this.held.values()) {
      assert.ok(!watch.open || (watch.live && socket.told.has(tag)), `phase is live, ${tag} is not`);
    }
  }

  /** What is not as it should be once everything has arrived, or null. */
  wrong() {
    if (this.faults.length > 0) return this.faults[0];
    const open = [...this.held.values()].filter(({ watch }) => watch.open);
    const peers = this.server.peers();
    if (peers.length > 1) return `${peers.length} connections`;
    const there = this.server.subs().map(({ request }) => request.rate).sort();
    const wanted = open.map(({ tag }) => tag).sort();
    if (String(there) !== String(wanted)) return `the server has ${there}, wanted are ${wanted}`;
    if (peers[0]?.hidden) return "the server takes the page for hidden";
    for (const record of this.held.values()) {
      const found = record.refused ? this.#wrongRefusal(record) : record.kind === "job" ? this.#wrongJob(record) : this.#wrongFeed(record);
      if (found) return `${record.kind} ${record.id ?? JSON.stringify(record.filter)} (${record.tag}): ${found}`;
    }
    const { phase } = this.windsock.status;
    if (open.length > 0 && phase !== Phase.LIVE) return `phase is ${phase}`;
    return null;
  }

  #wrongRefusal({ id, refused }) {
    return refused.code === "not_found" && !this.server.jobs.has(id) ? null : `refused: ${refused.code}`;
  }

  #wrongJob(record) {
    const { watch, id } = record;
    const job = this.server.jobs.get(id);
    if (job === undefined) return watch.open ? "does not know that there is no such job" : null;
    if (!watch.live) return "is not live";
    if (!watch.open && !watch.job.cursor.startsWith(job.epoch)) return null; // it had ended in a store that is gone
    if (watch.open === job.ended) return watch.open ? "has not ended" : "was ended";
    if (watch.job.cursor !== job.cursor(job.tail)) return `shows ${watch.job.cursor}, is ${job.cursor(job.tail)}`;
    return record.log === "none" ? null : wrongLog(record, job);
  }

  #wrongFeed({ watch, filter, limit }) {
    const want = this.server.window({ feed: filter, limit }).map(({ id, cursor }) => `${id} ${cursor}`);
    const have = watch.jobs.map(({ id, cursor }) => `${id} ${cursor}`);
    if (!watch.live) return "is not live";
    return String(want) === String(have) ? null : `shows ${have}, is ${want}`;
  }
}

const RARELY = [
  (world) => world.hide(true), (world) => world.hide(false), (world) => world.leave(), (world) => world.comeBack(),
  (world) => world.online(), (world) => world.server.addJob(), (world) => world.closeAll(),
  (world) => world.chance.maybe(0.2) && world.server.replace(),
];

/** What lies before an offset; of a gap so much of it. */
function before(rows, end) {
  const kept = rows.filter(({ offset, from }) => (offset ?? from) < end);
  return kept.map((row) => (row.to >= end ? { ...row, to: end - 1 } : row));
}

// Every offset from the first on is there once, with the text that was written there, or told as trimmed.
function wrongLog({ watch, told }, job) {
  const rows = watch.log.rows.map(({ offset, entry, from, to, why }) => (entry ? { offset, text: entry.text } : { from, to, why }));
  let next = rows.length > 0 ? (rows[0].offset ?? rows[0].from) : job.tail + 1;
  for (const { offset, text, from, to, why } of rows) {
    if ((offset ?? from) !== next) return `${next} is missing in its log`;
    if (why !== undefined && why !== "trimmed") return `${from} to ${to} are ${why}`;
    if (text !== undefined && text !== job.lines[offset - 1]) return `line ${offset} is ${text}, was ${job.lines[offset - 1]}`;
    next = (to ?? offset) + 1;
  }
  if (next !== job.tail + 1) return `its log ends before ${next}, the job's at ${job.tail}`;
  return JSON.stringify(rows) === JSON.stringify(told) ? null : "its callbacks were told another log";
}

/** What waits for promises has run. */
async function ran() {
  for (let turn = 0; turn < 6; turn += 1) await null;
}

async function run(seed) {
  const world = new World(seed);
  const steps = 10 + world.chance.below(70);
  for (let step = 0; step < steps; step += 1) await world.step();
  await world.rest();
  await world.probe();
}

test("whatever the order of events, what is watched is live once, newest, and whole", async () => {
  const { SEED } = process.env;
  const seeds = SEED === undefined ? Array.from({ length: SEQUENCES }, (_, index) => index) : [Number(SEED)];
  for (const seed of seeds) {
    try {
      await run(seed);
    } catch (error) {
      error.message = `SEED=${seed}: ${error.message}`;
      throw error;
    }
  }
});
