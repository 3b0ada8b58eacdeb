import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { Phase, Problem, Windsock } from "../../static/windsock.js";
import { fakeWorld } from "./fakes.js";

const SERVER = "https://jobs.example/queue/";
const WELCOME = { type: "welcome", version: 1, node: "a", heartbeat_s: 15, now: 1_790_000_005_000, limits: {} };
const job = (version, fields = {}) => ({
  id: "J", task: "sleep", state: "running", attempt: 1, created_at: 1, finished_at: null, tags: [],
  progress: { done: version, total: 10, unit: null, note: null }, cursor: `e-1.${version}.0`, ...fields,
});
const ended = (version, fields = {}) => job(version, { state: "succeeded", finished_at: 5, result: 42, ...fields });
const snapshot = (version, fields = {}) => ({ type: "snapshot", sub: 1, job: job(version), how: "fresh", cursor: `e-1.${version}.0`, ...fields });

function begin({ answers = [], ...options } = {}) {
  const world = fakeWorld(options.random);
  const asked = [];
  world.environment.fetch = async (url, request) => {
    asked.push({ url, ...request });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  world.environment.page = null;
  const windsock = new Windsock(SERVER, { environment: world.environment, ...options });
  return Object.assign(world, { windsock, asked });
}

/** Callbacks that note what they were called with. */
function noting(...names) {
  const calls = [];
  return [Object.fromEntries(names.map((name) => [name, (...values) => calls.push([name, ...values])])), calls];
}

async function watching(options = {}, ...names) {
  const world = begin();
  const [callbacks, calls] = noting(...names);
  const watch = world.windsock.job("J", { ...options, ...callbacks });
  await turn();
  world.socket.open();
  world.socket.say(WELCOME);
  return { ...world, sockets: world.sockets, watch, calls, get socket() { return world.socket; } };
}

test("there is no connection before something is watched", async () => {
  const { windsock, sockets } = begin();
  await turn();
  assert.equal(sockets.length, 0);
  assert.equal(windsock.status.phase, Phase.IDLE);
  windsock.job("J");
  await turn();
  assert.equal(sockets[0].url, "wss://jobs.example/queue/api/stream");
  assert.equal(windsock.status.phase, Phase.CONNECTING);
});

test("all that is watched shares one connection and says hello once", async () => {
  const { windsock, sockets } = begin();
  windsock.job("J", { log: 10, after: "e-1.2.3", rate: 2 });
  windsock.feed({ state: "failed" }, { limit: 5 });
  windsock.stats(() => {});
  await turn();
  assert.equal(sockets.length, 1);
  sockets[0].open();
  assert.deepEqual(sockets[0].sent[0].subscribe, [
    { type: "subscribe", sub: 1, job: "J", log: 10, after: "e-1.2.3", rate: 2 },
    { type: "subscribe", sub: 2, feed: { state: "failed" }, limit: 5 },
    { type: "subscribe", sub: 3, stats: true },
  ]);
});

test("a job is told from its first summary to its end, and the end once", async () => {
  const { watch, calls, socket } = await watching({}, "onUpdate", "onLive", "onEnd");
  socket.say(snapshot(2), { type: "live", sub: 1 });
  socket.say({ type: "update", sub: 1, job: job(5), cursor: "e-1.5.0" });
  const over = watch.ended();
  socket.say({ type: "end", sub: 1, job: ended(9), last: 0, cursor: "e-1.9.0" });
  assert.deepEqual(calls.map(([name, told]) => [name, told?.state, told?.bar]), [
    ["onUpdate", "running", 0.2], ["onLive", undefined, undefined], ["onUpdate", "running", 0.5],
    ["onUpdate", "succeeded", 1], ["onEnd", "succeeded", 1],
  ]);
  assert.equal((await over).result, 42);
  assert.equal((await watch.ended()).result, 42);
  assert.deepEqual([watch.open, watch.cursor], [false, "e-1.9.0"]);
});

test("an older summary is not told", async () => {
  const { watch, calls, socket } = await watching({}, "onUpdate");
  socket.say(snapshot(5), { type: "update", sub: 1, job: job(4), cursor: "e-1.4.0" });
  assert.equal(calls.length, 1);
  assert.equal(watch.job.progress.done, 5);
});

test("a bar never runs back within an attempt", async () => {
  const { watch, socket } = await watching();
  socket.say(snapshot(5));
  socket.say({ type: "update", sub: 1, job: job(6, { progress: { done: 6, total: 60 } }), cursor: "e-1.6.0" });
  assert.equal(watch.job.bar, 0.5);
});

test("log lines come once each, over a reconnect too", async () => {
  const world = await watching({ log: "all" }, "onLog", "onGap", "onReset");
  const { calls, watch } = world;
  const line = (text) => ({ at: 1, level: "info", text });
  world.socket.say(snapshot(2), { type: "log", sub: 1, first: 1, entries: [line("a"), line("b")], cursor: "e-1.2.2" });
  world.socket.drop();
  world.time.pass(500);
  world.socket.open();
  assert.equal(world.socket.sent[0].subscribe[0].after, "e-1.2.2");
  world.socket.say(WELCOME, snapshot(3, { how: "resumed" }));
  world.socket.say({ type: "log", sub: 1, first: 2, entries: [line("b"), line("c")], cursor: "e-1.3.3" });
  world.socket.say({ type: "gap", sub: 1, from: 4, to: 6, why: "trimmed", cursor: "e-1.3.6" });
  world.socket.say(snapshot(4, { how: "reset", log_from: 3 }));
  assert.deepEqual(calls, [
    ["onLog", [line("a"), line("b")], 1], ["onLog", [line("c")], 3],
    ["onGap", { from: 4, to: 6, why: "trimmed" }], ["onReset", 3],
  ]);
  assert.deepEqual(watch.log.rows.map((row) => row.entry.text), ["a", "b"]);
});

test("a job nobody knows is an error, told once and thrown to whoever awaits the end", async () => {
  const { watch, calls, socket } = await watching({}, "onError");
  const over = watch.ended();
  socket.say({ type: "error", sub: 1, code: "not_found", message: "no such job", retryable: false });
  await assert.rejects(over, (error) => error instanceof Problem && error.code === "not_found");
  assert.deepEqual(calls.map(([name, { code, message }]) => [name, code, message]), [["onError", "not_found", "no such job"]]);
});

test("after close nothing is called, and the server is told", async () => {
  const { watch, calls, socket } = await watching({}, "onUpdate");
  const over = watch.ended();
  watch.close();
  assert.deepEqual(socket.sent.at(-1), { type: "unsubscribe", id: 1, sub: 1 });
  socket.say(snapshot(2));
  assert.deepEqual(calls, []);
  await assert.rejects(over, { code: "closed" });
});

test("a callback that throws takes nothing from the others", async (t) => {
  const told = t.mock.method(console, "error", () => {});
  const world = begin();
  const [callbacks, calls] = noting("onUpdate");
  world.windsock.job("J", { onUpdate: () => { throw new Error("mine"); } });
  world.windsock.job("J", callbacks);
  await turn();
  world.socket.open();
  world.socket.say(WELCOME, snapshot(2), { ...snapshot(2), sub: 2 });
  assert.equal(calls.length, 1);
  assert.equal(told.mock.callCount(), 1);
  assert.equal(world.windsock.status.phase, "catching up");
});

test("who watches another job as soon as one is known is told of that one only", async () => {
  const world = begin();
  const [callbacks, calls] = noting("onUpdate", "onEnd");
  world.windsock.job("J", { onUpdate: () => (world.second ??= world.windsock.job("K", callbacks)) });
  await turn();
  world.socket.open();
  world.socket.say(WELCOME, { ...snapshot(9), job: ended(9) }, { type: "live", sub: 1 }, { type: "end", sub: 1, job: ended(9), last: 0 });
  assert.deepEqual([calls, world.second.open], [[], true]);
});

test("a status listener that throws takes nothing from the others", async (t) => {
  const told = t.mock.method(console, "error", () => {});
  const world = begin();
  const seen = [];
  world.windsock.onStatus(() => { throw new Error("mine"); });
  world.windsock.onStatus(({ phase, stale }) => seen.push([phase, stale]));
  const watch = world.windsock.job("J");
  await turn();
  world.socket.open();
  world.socket.say(WELCOME, { type: "stale", why: "redis" }, snapshot(2), { type: "live", sub: 1 });
  assert.deepEqual(seen, [["connecting", null], ["connecting", "redis"], ["live", "redis"]]);
  assert.equal(watch.job.progress.done, 2);
  assert.equal(told.mock.callCount(), 3);
});

test("a feed keeps its jobs newest first, and what a new snapshot leaves out goes at live", async () => {
  const world = begin();
  let changes = 0;
  const feed = world.windsock.feed({}, { onChange: () => (changes += 1) });
  await turn();
  world.socket.open();
  const one = (id, created) => job(1, { id, created_at: created });
  world.socket.say(WELCOME, { type: "snapshot", sub: 1, jobs: [one("B", 2), one("A", 1)], counts: { running: 2 }, how: "fresh" });
  world.socket.say({ type: "live", sub: 1 }, { type: "update", sub: 1, jobs: [one("C", 3)], gone: ["A"], counts: { running: 2 } });
  assert.deepEqual(feed.jobs.map(({ id }) => id), ["C", "B"]);
  world.socket.say({ type: "snapshot", sub: 1, jobs: [one("D", 4)], counts: null, how: "reset" });
  assert.deepEqual([feed.live, feed.jobs.map(({ id }) => id)], [false, ["D", "C", "B"]]);
  world.socket.say({ type: "live", sub: 1 });
  assert.deepEqual([feed.live, feed.counts, feed.jobs.map(({ id }) => id)], [true, null, ["D"]]);
  assert.equal(changes, 5);
});

test("stats are told as they come", async () => {
  const world = begin();
  const told = [];
  const stats = world.windsock.stats((frame) => told.push(frame.running));
  await turn();
  world.socket.open();
  world.socket.say(WELCOME, { type: "stats", sub: 1, running: 3 });
  assert.deepEqual([told, stats.latest.running], [[3], 3]);
});

test("a connection that nobody needs is closed after a while, and opened again", async () => {
  const world = await watching();
  world.socket.say(snapshot(2), { type: "end", sub: 1, job: ended(3), last: 0, cursor: "e-1.3.0" });
  world.time.pass(9_999);
  assert.equal(world.socket.closedWith, null);
  world.time.pass(1);
  assert.equal(world.socket.closedWith, 1000);
  assert.equal(world.windsock.status.phase, Phase.IDLE);
  assert.equal(world.time.timers.size, 0);
  world.windsock.job("K");
  await turn();
  assert.equal(world.sockets.length, 2);
});

test("one more subscription in time keeps the connection", async () => {
  const world = await watching();
  world.watch.close();
  world.time.pass(9_000);
  world.windsock.job("K");
  world.time.pass(9_000);
  assert.equal(world.socket.closedWith, null);
});

test("status says where the connection stands and whether what is shown may be old", async () => {
  const world = begin();
  const seen = [];
  const stop = world.windsock.onStatus(({ phase, stale }) => seen.push([phase, stale]));
  world.windsock.job("J");
  await turn();
  world.socket.open();
  world.socket.say(WELCOME, { type: "stale", why: "redis" });
  world.socket.say({ type: "fresh", why: "" }, snapshot(2), { type: "live", sub: 1 });
  stop();
  world.socket.drop();
  assert.deepEqual(seen, [
    ["connecting", null], ["connecting", "redis"], ["catching up", "redis"], ["catching up", null], ["live", null],
  ]);
  assert.equal(world.windsock.status.phase, "offline");
});

test("the server's clock is known from its frames", async () => {
  const { windsock } = await watching();
  assert.equal(windsock.now(), WELCOME.now);
});

test("close ends everything", async () => {
  const world = await watching();
  world.windsock.close();
  assert.equal(world.watch.open, false);
  assert.equal(world.socket.closedWith, 1000);
  assert.equal(world.time.timers.size, 0);
});

test("closed before the socket opens, it stays closed", async () => {
  const { windsock, sockets } = begin();
  windsock.job("J").close();
  await turn();
  assert.equal(sockets.length, 0);
});

test("a submit carries a key of its own", async () => {
  const { windsock, asked } = begin({ answers: [Response.json({ id: "J" }), Response.json({ id: "K" })] });
  assert.deepEqual(await windsock.submit("sleep", { seconds: 1 }, { tags: ["a"], wait_s: 3 }), { id: "J" });
  await windsock.submit("sleep");
  const [first, second] = asked;
  assert.deepEqual([first.method, first.url], ["POST", "https://jobs.example/queue/api/jobs"]);
  assert.deepEqual(JSON.parse(first.body), { task: "sleep", args: { seconds: 1 }, tags: ["a"] });
  assert.equal(first.headers.Prefer, "wait=3");
  assert.match(first.headers["Idempotency-Key"], /^[0-9a-f]{32}$/);
  assert.notEqual(first.headers["Idempotency-Key"], second.headers["Idempotency-Key"]);
});

test("a submit whose answer was lost is sent again with the same key", async () => {
  const world = begin({ answers: [new TypeError("cut"), new TypeError("cut"), Response.json({ id: "J" })] });
  const answer = world.windsock.submit("sleep");
  for (const waitMs of [1000, 2000]) {
    await turn();
    world.time.pass(waitMs);
  }
  assert.deepEqual(await answer, { id: "J" });
  assert.equal(new Set(world.asked.map(({ headers }) => headers["Idempotency-Key"])).size, 1);
  assert.equal(world.asked.length, 3);
});

test("a refused submit is not sent again", async () => {
  const { windsock, asked } = begin({ answers: [Response.json({ code: "invalid", title: "no" }, { status: 422 })] });
  await assert.rejects(windsock.submit("nothing"), { code: "invalid" });
  assert.equal(asked.length, 1);
});

test("cancel, rerun, get and tasks ask for what they say", async () => {
  const { windsock, asked } = begin({ answers: [0, 1, 2].map(() => Response.json({})).concat(Response.json({ tasks: [1] })) });
  await windsock.cancel("J/..");
  await windsock.rerun("J");
  await windsock.get("J");
  assert.deepEqual(await windsock.tasks(), [1]);
  assert.deepEqual(asked.map(({ method, url }) => [method, url.slice(SERVER.length - 1)]), [
    ["POST", "/api/jobs/J%2F../cancel"], ["POST", "/api/jobs/J/rerun"], ["GET", "/api/jobs/J"], ["GET", "/api/tasks"],
  ]);
});

test("one client is shared for a server, however its address is written", () => {
  assert.equal(Windsock.shared("https://jobs.example/x/"), Windsock.shared("https://JOBS.example/x"));
  assert.notEqual(Windsock.shared("https://jobs.example/x"), Windsock.shared("https://jobs.example/y"));
});

test("msgpack is spoken where it is asked for, and no other word is one", async () => {
  const { windsock, sockets } = begin({ codec: "msgpack" });
  windsock.job("J");
  while (sockets.length === 0) await turn();
  assert.deepEqual(sockets[0].protocols, ["windsock.v1.msgpack"]);
  assert.throws(() => new Windsock(SERVER, { codec: "xml" }), TypeError);
});

test("a connection that fell back to text goes on in text when more is watched", async () => {
  const world = begin({ codec: "msgpack" });
  world.windsock.job("J");
  while (world.sockets.length === 0) await turn();
  world.socket.onmessage({ data: "unreadable" });
  world.time.pass(500);
  world.socket.open();
  world.socket.say(WELCOME);
  world.windsock.job("K");
  for (let waited = 0; waited < 10; waited += 1) await turn();
  world.windsock.job("L");
  assert.deepEqual(world.socket.protocols, ["windsock.v1.json"]);
  assert.equal(world.socket.sent.at(-1).job, "L");
});

test("a page that is left rests, and goes on when it is back", async () => {
  const world = fakeWorld();
  const document = Object.assign(new EventTarget(), { hidden: false });
  world.environment.page = Object.assign(new EventTarget(), { document });
  const windsock = new Windsock(SERVER, { environment: world.environment });
  windsock.job("J");
  await turn();
  world.environment.page.dispatchEvent(new Event("pagehide"));
  assert.equal(windsock.status.phase, Phase.IDLE);
  world.environment.page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  await turn();
  assert.equal(world.sockets.length, 2);
});
