import assert from "node:assert/strict";
import { test } from "node:test";

import { Connection } from "../../static/protocol.js";
import { fakeWorld } from "./fakes.js";

const WELCOME = { type: "welcome", version: 1, node: "a", heartbeat_s: 15, now: 1, limits: {} };
const SNAPSHOT = { type: "snapshot", sub: 1, job: { id: "J" }, how: "fresh", cursor: "e-1.5.0" };

function begin({ random, subscribe = [] } = {}) {
  const world = fakeWorld(random);
  const frames = [];
  const phases = [];
  const connection = new Connection({
    url: "ws://here/api/stream",
    environment: world.environment,
    onFrames: (some) => frames.push(...some),
    onStatus: (status) => phases.push(status.phase),
  });
  for (const request of subscribe) connection.subscribe(request);
  connection.start();
  return Object.assign(world, { connection, frames, phases });
}

function beginLive(options) {
  const world = begin(options);
  world.socket.open();
  world.socket.say(WELCOME);
  return world;
}

test("the hello carries every subscription and comes first", () => {
  const { socket } = beginLive({ subscribe: [{ feed: {}, limit: 100 }, { job: "J", log: 2000 }] });
  assert.deepEqual(socket.protocols, ["windsock.v1.json"]);
  assert.deepEqual(socket.sent[0], {
    type: "hello",
    subscribe: [
      { type: "subscribe", sub: 1, feed: {}, limit: 100 },
      { type: "subscribe", sub: 2, job: "J", log: 2000 },
    ],
  });
  assert.deepEqual(socket.sent[1], { type: "visibility", hidden: false });
});

test("it is live only after every subscription has caught up", () => {
  const { socket, connection } = beginLive({ subscribe: [{ job: "J", log: "all" }] });
  assert.equal(connection.status.phase, "catching up");
  socket.say(SNAPSHOT);
  assert.equal(connection.status.phase, "catching up");
  socket.say({ type: "live", sub: 1 });
  assert.equal(connection.status.phase, "live");
});

test("a reconnect resumes each subscription at its last cursor", () => {
  const world = beginLive({ subscribe: [{ job: "J", log: "all" }] });
  world.socket.say(SNAPSHOT, { type: "log", sub: 1, first: 1, entries: [{}, {}], cursor: "e-1.5.2" }, { type: "live", sub: 1 });
  world.socket.drop();
  assert.equal(world.connection.status.phase, "offline");
  world.time.pass(500);
  world.socket.open();
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(world.socket.sent[0].subscribe, [{ type: "subscribe", sub: 1, job: "J", log: "all", after: "e-1.5.2" }]);
});

test("an ended or refused subscription is not asked for again", () => {
  const world = beginLive({ subscribe: [{ job: "J" }, { job: "gone" }] });
  world.socket.say({ type: "end", sub: 1, job: { id: "J" }, last: 0, cursor: "e-1.6.0" });
  world.socket.say({ type: "error", sub: 2, code: "not_found", message: "", retryable: false });
  assert.equal(world.connection.status.phase, "live");
  world.socket.drop();
  world.time.pass(500);
  world.socket.open();
  assert.deepEqual(world.socket.sent[0].subscribe, []);
});

test("a refusal that may pass is tried again after the time the server named", () => {
  const world = beginLive({ subscribe: [{ feed: {} }] });
  world.socket.say({ type: "error", sub: 1, code: "unavailable", message: "", retryable: true, after_s: 3 });
  assert.deepEqual(world.frames.map((frame) => frame.type), ["welcome"]);
  const before = world.socket.sent.length;
  world.time.pass(2999);
  assert.equal(world.socket.sent.length, before);
  world.time.pass(1);
  assert.deepEqual(world.socket.sent.at(-1), { type: "subscribe", sub: 1, feed: {} });
});

test("what changes between the hello and the welcome is told at once", () => {
  const { connection, socket } = begin({ subscribe: [{ feed: {} }] });
  socket.open();
  const before = socket.sent.length;
  connection.unsubscribe(1);
  connection.subscribe({ job: "J" });
  connection.setHidden(true);
  assert.deepEqual(socket.sent.slice(before), [
    { type: "unsubscribe", id: 1, sub: 1 },
    { type: "subscribe", sub: 2, job: "J" },
    { type: "visibility", hidden: true },
  ]);
  socket.say(WELCOME);
  assert.equal(connection.status.phase, "catching up");
  assert.equal(socket.sent.length, before + 3);
});

test("nothing is sent before the hello, which tells it", () => {
  const { connection, socket } = begin();
  connection.subscribe({ job: "J" });
  connection.setHidden(true);
  assert.deepEqual(socket.sent, []);
  socket.open();
  assert.deepEqual(socket.sent, [
    { type: "hello", subscribe: [{ type: "subscribe", sub: 1, job: "J" }] },
    { type: "visibility", hidden: true },
  ]);
});

test("a number that was given to another subscription is not asked for again for the first", () => {
  const { connection, socket, time } = beginLive({ subscribe: [{ feed: {} }] });
  socket.say({ type: "error", sub: 1, code: "unavailable", message: "", retryable: true, after_s: 3 });
  connection.unsubscribe(1);
  socket.say({ type: "ok", id: 1 });
  connection.subscribe({ job: "J" });
  const before = socket.sent.length;
  time.pass(3000);
  assert.deepEqual(socket.sent.slice(before), []);
});

test("the wait between tries grows with jitter and is forgiven after a steady connection", () => {
  const world = begin();
  for (const wait of [500, 1000, 2000]) {
    world.socket.drop();
    const tries = world.sockets.length;
    world.time.pass(wait - 1);
    assert.equal(world.sockets.length, tries);
    world.time.pass(1);
    assert.equal(world.sockets.length, tries + 1);
  }
  world.socket.open();
  world.socket.say(WELCOME);
  world.time.pass(5000);
  world.socket.drop();
  world.time.pass(500);
  assert.equal(world.sockets.length, 5);
});

test("a server that accepts and drops at once is not hammered", () => {
  const world = begin();
  for (const wait of [500, 1000, 2000, 4000]) {
    world.socket.open();
    world.socket.say(WELCOME);
    const tries = world.sockets.length;
    world.socket.drop();
    world.time.pass(wait - 1);
    assert.equal(world.sockets.length, tries);
    world.time.pass(1);
  }
});

test("offline keeps the time it began over failing tries", () => {
  const world = beginLive();
  world.socket.drop();
  const { since } = world.connection.status;
  world.time.pass(500);
  world.socket.drop();
  assert.equal(world.connection.status.since, since);
});

test("silent for two heartbeats is dead", () => {
  const world = beginLive();
  const { socket } = world;
  world.time.pass(29_000);
  socket.say({ type: "heartbeat", now: 1 });
  world.time.pass(29_999);
  assert.equal(world.connection.status.phase, "live");
  world.time.pass(1);
  assert.equal(world.connection.status.phase, "offline");
  assert.equal(socket.closedWith, 1000);
});

test("a handshake that never ends is given up", () => {
  const world = begin();
  world.time.pass(10_000);
  assert.equal(world.connection.status.phase, "offline");
});

test("what a dropped socket still says is not heard", () => {
  const world = beginLive();
  const old = world.socket;
  world.time.pass(30_000);
  old.say({ type: "stale", why: "redis" });
  assert.deepEqual(world.frames.map((frame) => frame.type), ["welcome"]);
});

test("waking up connects at once when offline", () => {
  const world = beginLive();
  world.socket.drop();
  world.connection.wake();
  assert.equal(world.sockets.length, 2);
  world.time.pass(20_000 - 1);
});

test("waking up asks a live connection for a sign of life within 5 s", () => {
  const world = beginLive();
  world.connection.wake();
  assert.equal(world.socket.sent.at(-1).type, "ping");
  world.time.pass(4000);
  world.socket.say({ type: "pong", n: 1 });
  world.time.pass(4000);
  assert.equal(world.connection.status.phase, "live");
  world.connection.wake();
  world.time.pass(5000);
  assert.equal(world.connection.status.phase, "offline");
});

test("drain moves over at a random moment of the window", () => {
  const world = beginLive({ random: () => 0.5 });
  const { socket } = world;
  socket.say({ type: "drain", within_s: [1, 5] });
  world.time.pass(2999);
  assert.equal(world.sockets.length, 1);
  world.time.pass(1);
  assert.equal(world.sockets.length, 2);
  assert.equal(socket.closedWith, 1000);
});

test("a close before the drained moment is an ordinary loss", () => {
  const world = beginLive();
  world.socket.say({ type: "drain", within_s: [1, 5] });
  world.socket.drop(4200);
  world.time.pass(500);
  assert.equal(world.sockets.length, 2);
  world.socket.open();
  world.time.pass(9000);
  assert.equal(world.sockets.length, 2);
});

test("40xx is final and says why; waking up does not change that", () => {
  const world = beginLive();
  world.socket.say({ type: "bye", code: 4003, reason: "not for you", retry: false });
  world.socket.drop(4003);
  assert.equal(world.connection.status.phase, "refused");
  assert.equal(world.connection.status.code, 4003);
  assert.equal(world.connection.status.reason, "not for you");
  world.connection.wake();
  world.time.pass(100_000);
  assert.equal(world.sockets.length, 1);
});

test("41xx backs off further than an ordinary loss", () => {
  const world = beginLive();
  world.socket.drop(4102);
  world.time.pass(3999);
  assert.equal(world.sockets.length, 1);
  world.time.pass(1);
  assert.equal(world.sockets.length, 2);
});

test("a message that is not frames drops the connection", () => {
  const world = beginLive();
  world.socket.onmessage({ data: "{" });
  assert.equal(world.connection.status.phase, "offline");
});

test("after unsubscribe nothing old is passed on, and the number is free after the ok", () => {
  const { connection, socket, frames } = beginLive({ subscribe: [{ feed: {} }] });
  connection.unsubscribe(1);
  const { id } = socket.sent.at(-1);
  socket.say({ type: "update", sub: 1, jobs: [] });
  assert.deepEqual(frames.map((frame) => frame.type), ["welcome"]);
  assert.equal(connection.subscribe({ feed: { state: "failed" } }), 2);
  socket.say({ type: "ok", id });
  assert.equal(connection.subscribe({ job: "J" }), 1);
});

test("an unsubscribe that was too much is said again, and the number is not free before that", () => {
  const { connection, socket, time } = beginLive({ subscribe: [{ feed: {} }] });
  connection.unsubscribe(1);
  const said = socket.sent.at(-1);
  socket.say({ type: "error", id: said.id, code: "too_many", message: "", retryable: true, after_s: 0.05 });
  assert.equal(connection.subscribe({ job: "J" }), 2);
  time.pass(100);
  assert.deepEqual(socket.sent.at(-1), said);
  socket.say({ type: "ok", id: said.id });
  assert.equal(connection.subscribe({ job: "K" }), 1);
});

test("a change of visibility that was too much is told again, as it is then", () => {
  const { connection, socket, time } = beginLive();
  connection.setHidden(true);
  socket.say({ type: "error", code: "too_many", message: "", retryable: true, after_s: 0.05 });
  connection.setHidden(false);
  const before = socket.sent.length;
  time.pass(100);
  assert.deepEqual(socket.sent.slice(before), [{ type: "visibility", hidden: false }]);
});

test("what was refused together comes back slowly enough not to be too much again", () => {
  const subscribe = Array.from({ length: 40 }, (_, number) => ({ job: `J${number}` }));
  const { socket, time } = beginLive({ subscribe });
  const before = socket.sent.length;
  socket.say(...subscribe.map((_, index) => ({ type: "error", sub: index + 1, code: "too_many", message: "", retryable: true, after_s: 0.05 })));
  time.pass(1000);
  const first = socket.sent.length - before;
  assert.ok(first > 0 && first <= 20, `${first} commands in a second`);
  time.pass(5000);
  assert.deepEqual(socket.sent.slice(before).map(({ job }) => job), subscribe.map(({ job }) => job));
});

test("what a hello has no room for is asked for one by one", () => {
  const subscribe = Array.from({ length: 600 }, (_, number) => ({ job: String(number).padStart(26, "J"), log: "all", after: "84e1c65f-1.1790000003000.5" }));
  const { socket, time } = beginLive({ subscribe });
  const [hello] = socket.sent;
  assert.ok(JSON.stringify([hello]).length < 60_000);
  for (let second = 0; second < 60; second += 1) {
    socket.say({ type: "heartbeat", now: 1 });
    time.pass(1000);
  }
  const said = [...hello.subscribe, ...socket.sent.filter(({ type }) => type === "subscribe")];
  assert.deepEqual(said.map(({ job }) => job), subscribe.map(({ job }) => job));
});

test("a subscription that the server gives up for a while is not live", () => {
  const { connection, socket } = beginLive({ subscribe: [{ feed: {} }] });
  socket.say({ type: "snapshot", sub: 1, jobs: [], counts: null, how: "fresh" }, { type: "live", sub: 1 });
  assert.equal(connection.status.phase, "live");
  socket.say({ type: "error", sub: 1, code: "unavailable", message: "", retryable: true, after_s: 3 });
  assert.equal(connection.status.phase, "catching up");
});

test("started twice, there is one socket", () => {
  const { connection, sockets } = begin();
  connection.start();
  assert.equal(sockets.length, 1);
});

test("a number that a message frees is given away only after the whole message", () => {
  const { environment, sockets } = fakeWorld();
  const heard = [];
  const connection = new Connection({ url: "ws://here", environment, onStatus: () => {}, onFrames: (frames) => heard.push(...frames, subscribe()) });
  const subscribe = () => connection.subscribe({ job: "next" });
  connection.subscribe({ job: "J" });
  connection.start();
  sockets[0].open();
  sockets[0].say(SNAPSHOT, { type: "live", sub: 1 }, { type: "end", sub: 1, job: { id: "J" }, last: 0, cursor: "e-1.6.0" });
  assert.equal(heard.at(-1), 2);
  assert.equal(connection.subscribe({ job: "later" }), 1);
});

test("visibility is told at once, and again after a reconnect", () => {
  const world = beginLive();
  world.connection.setHidden(true);
  assert.deepEqual(world.socket.sent.at(-1), { type: "visibility", hidden: true });
  world.socket.drop();
  world.time.pass(500);
  world.socket.open();
  assert.deepEqual(world.socket.sent[1], { type: "visibility", hidden: true });
});

test("stop leaves no timer behind", () => {
  const world = beginLive({ subscribe: [{ feed: {} }] });
  world.socket.say({ type: "error", sub: 1, code: "unavailable", retryable: true }, { type: "drain", within_s: [1, 2] });
  world.connection.stop();
  assert.equal(world.time.timers.size, 0);
  const offline = beginLive();
  offline.socket.drop();
  offline.connection.stop();
  assert.equal(offline.time.timers.size, 0);
});

test("stop keeps the subscriptions, and start goes on at their cursors", () => {
  const world = beginLive({ subscribe: [{ job: "J", log: "all" }] });
  world.socket.say(SNAPSHOT, { type: "live", sub: 1 });
  world.connection.stop();
  assert.equal(world.connection.status.phase, "idle");
  assert.equal(world.socket.closedWith, 1000);
  world.connection.wake();
  assert.equal(world.sockets.length, 1, "a connection that was stopped is not woken");
  world.connection.start();
  world.socket.open();
  assert.deepEqual(world.socket.sent[0].subscribe, [{ type: "subscribe", sub: 1, job: "J", log: "all", after: "e-1.5.0" }]);
});

test("a socket that the browser refuses to open is final and says why", () => {
  const { environment } = fakeWorld();
  environment.WebSocket = class {
    constructor() {
      throw new DOMException("not from a page on https");
    }
  };
  const connection = new Connection({ url: "ws://there", environment, onFrames: () => {}, onStatus: () => {} });
  connection.start();
  assert.equal(connection.status.phase, "refused");
  assert.match(connection.status.reason, /https/);
});

test("another codec writes and reads; what it cannot read is asked for as text", () => {
  const world = fakeWorld();
  const frames = [];
  const codec = {
    subprotocol: "windsock.v1.other",
    encode: (some) => JSON.stringify(some),
    decode: (data) => {
      if (data === "?") throw new SyntaxError("unreadable");
      return JSON.parse(data);
    },
  };
  const connection = new Connection({
    url: "ws://here", codec, environment: world.environment, onFrames: (some) => frames.push(...some), onStatus: () => {},
  });
  connection.start();
  assert.deepEqual(world.socket.protocols, ["windsock.v1.other"]);
  assert.equal(world.socket.binaryType, "arraybuffer");
  world.socket.open();
  world.socket.say(WELCOME);
  assert.equal(frames.length, 1);
  world.socket.onmessage({ data: "?" });
  world.time.pass(500);
  assert.deepEqual(world.socket.protocols, ["windsock.v1.json"]);
});
