import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { Actions } from "../../static/actions.js";
import { Feed } from "../../static/feed.js";
import { Live, listName, wantedFeeds } from "../../static/live.js";
import { addRecent, recall, recentOf, remember } from "../../static/prefs.js";
import { Phase } from "../../static/protocol.js";
import { readRoute } from "../../static/route.js";
import { Store } from "../../static/store.js";
import { Watch } from "../../static/watch.js";

/** Remembers what stands. */
class FakeConnection {
  constructor() {
    this.standing = new Map();
    this.last = 0;
    this.commands = 0;
  }

  subscribe(request) {
    this.commands += 1;
    this.standing.set(++this.last, request);
    return this.last;
  }

  unsubscribe(sub) {
    this.commands += 1;
    assert.ok(this.standing.delete(sub), `${sub} stands`);
  }
}

function fresh() {
  const connection = new FakeConnection();
  const store = new Store();
  return { connection, store, live: new Live(connection, store) };
}

const requests = (connection) => [...connection.standing.values()];

test("what is shown is subscribed to, what is left is not", () => {
  const { connection, live, store } = fresh();
  live.openStats();
  live.openFeeds(wantedFeeds(readRoute("#/jobs?state=failed")));
  assert.deepEqual(requests(connection), [{ stats: true }, { feed: { state: ["failed"] }, limit: 500 }]);
  live.openFeeds(wantedFeeds(readRoute("#/")));
  assert.deepEqual([...store.feeds.keys()], ["running", "failed"]);
  live.openFeeds(wantedFeeds(readRoute("#/nodes")));
  assert.deepEqual(requests(connection), [{ stats: true }]);
});

test("a list stays open behind the job that was opened from it, and is the same when it is come back to", () => {
  const { live, store } = fresh();
  const list = readRoute("#/jobs?task=sleep");
  live.openFeeds(wantedFeeds(list));
  const feed = store.feed(listName(list.filter));
  live.openFeeds(wantedFeeds(readRoute("#/jobs/A"), { list: list.filter, parents: ["A"] }));
  assert.equal(store.feed(listName(list.filter)), feed);
  assert.ok(store.feed("children A"));
});

test("one job is watched at a time, with its log", () => {
  const { connection, live, store } = fresh();
  live.openJob("A");
  live.openJob("A");
  live.openJob("B");
  assert.deepEqual(requests(connection), [{ job: "B", log: 2000 }]);
  store.watch.sub = null; // it has ended: the number is free, and may be another's
  live.openJob(null);
  assert.equal(requests(connection).length, 1);
  assert.equal(store.watch, null);
});

test("rows in sight are watched as long as they are", () => {
  const { connection, live } = fresh();
  live.watchRows(["A", "B"]);
  live.watchRows(["B", "C"]);
  assert.deepEqual(requests(connection), [{ job: "B" }, { job: "C" }]);
  live.watchRows(Array.from({ length: 200 }, (_, index) => `J${index}`));
  assert.equal(connection.standing.size, 20);
  live.watchRows([]);
  assert.equal(connection.standing.size, 0);
});

test("a browser that stores nothing remembers nothing, and nothing breaks", () => {
  const broken = { getItem() { throw new Error("no"); }, setItem() { throw new Error("no"); } };
  remember("theme", "dark", broken);
  assert.equal(recall("theme", "system", broken), "system");
  assert.equal(recall("theme", "system", null), "system");
});

test("the last submits of a task are remembered, each once, newest first", () => {
  const held = new Map();
  const storage = { getItem: (key) => held.get(key) ?? null, setItem: (key, value) => held.set(key, value) };
  for (let number = 0; number < 9; number += 1) addRecent("sleep", { seconds: number }, number, storage);
  addRecent("sleep", { seconds: 5 }, 99, storage);
  const recent = recentOf("sleep", storage);
  assert.equal(recent.length, 6);
  assert.deepEqual(recent[0], { at: 99, args: { seconds: 5 } });
  assert.equal(recent.filter((one) => one.args.seconds === 5).length, 1);
  assert.deepEqual(recentOf("other", storage), []);
});

test("who scrolls fast through old rows stays within the commands that a server takes", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { connection, live, store } = fresh();
  const feed = new Feed({}, 1);
  const jobs = Array.from({ length: 3000 }, (_, number) => ({ id: `J${String(9999 - number)}`, state: "scheduled", attempt: 1, tags: [] }));
  feed.addPage(jobs, null);
  store.feeds.set("list", feed);
  const actions = new Actions({ store, live });
  for (let look = 0; look < 100; look += 1) {
    actions.watchRows(feed, feed.ids().slice(look * 15, look * 15 + 15));
    context.mock.timers.tick(100);
  }
  assert.ok(connection.commands <= 20 * 10, `${connection.commands} commands in ten seconds`);
  context.mock.timers.tick(5000);
  assert.deepEqual(requests(connection).map(({ job }) => job), feed.ids().slice(99 * 15, 99 * 15 + 15), "and sees the last ones");
  store.feeds.clear();
  actions.watchRows(feed, feed.ids().slice(0, 15));
  context.mock.timers.tick(5000);
  assert.equal(connection.standing.size, 0, "a list that was left is not watched");
});

test("rows are not watched any more once their list is left, whoever has scrolled just before", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { connection, live, store } = fresh();
  const feed = new Feed({}, 1);
  feed.addPage([{ id: "B", state: "running", attempt: 1, tags: [] }, { id: "A", state: "running", attempt: 1, tags: [] }], null);
  store.feeds.set("list", feed); // it stays open behind a job
  const actions = new Actions({ store, live });
  actions.watchRows(feed, ["B"]);
  actions.watchRows(feed, ["B", "A"]);
  actions.leaveRows();
  assert.equal(connection.standing.size, 0);
  context.mock.timers.tick(10_000);
  assert.equal(connection.standing.size, 0);
});

/** A page whose requests are answered when a test says so: `answers` has one function for each, oldest first. */
function asking(context) {
  const answers = [];
  context.mock.method(globalThis, "fetch", () => new Promise((resolve) => answers.push((value, status = 200) => resolve(Response.json(value, { status })))));
  const page = fresh();
  page.connection.status = { phase: Phase.LIVE };
  return { ...page, answers, actions: new Actions({ ...page, show: () => {}, ui: {} }) };
}

test("an answer that a later one has overtaken changes nothing", async (context) => {
  const { actions, answers, store } = asking(context);
  const [first, second] = [actions.loadNodes(), actions.loadNodes()];
  answers[1]({ nodes: ["new"] });
  await second;
  answers[0]({ nodes: ["old"] });
  await first;
  assert.deepEqual(store.nodes, ["new"]);
  const [third, fourth] = [actions.loadTasks(), actions.loadTasks()];
  answers[3]({ tasks: ["new"] });
  await fourth;
  answers[2]({ title: "away" }, 503);
  await third;
  assert.deepEqual([store.tasks, store.tasksError], [["new"], null]);
});

test("answers that come in order are all taken, each before the next is here", async (context) => {
  const { actions, answers, store } = asking(context);
  const first = actions.loadNodes();
  actions.loadNodes();
  answers[0]({ nodes: ["old"] });
  await first;
  assert.deepEqual(store.nodes, ["old"]);
});

test("tasks that could not be read are asked for again while the connection stands, also while it catches up", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { actions, answers, connection, store } = asking(context);
  connection.status = { phase: Phase.CATCHING_UP };
  actions.loadTasks();
  actions.loadTasks();
  answers[0]({ title: "away" }, 503);
  answers[1]({ title: "away" }, 503);
  await turn();
  assert.equal(store.tasksError, "away");
  context.mock.timers.tick(5000);
  assert.equal(answers.length, 3, "by one timer");
  answers[2]({ tasks: ["sleep"] });
  await turn();
  assert.deepEqual([store.tasks, store.tasksError], [["sleep"], null]);
});

test("the whole job is asked for again after a reconnect if it is not here, or was read before the end", async (context) => {
  const { actions, answers, live, store } = asking(context);
  live.openJob("J");
  const job = (state, version) => ({ id: "J", state, attempt: 1, tags: [], args: {}, cursor: `e-1.${version}.0` });
  const first = actions.loadWhole();
  await actions.loadMissing();
  assert.equal(answers.length, 1, "it is on its way");
  answers[0]({ title: "away" }, 503);
  await first;
  const second = actions.loadMissing();
  answers[1](job("running", 1));
  await second;
  await actions.loadMissing();
  assert.equal(answers.length, 2, "it is here");
  store.watch.take(job("succeeded", 2));
  const third = actions.loadMissing();
  answers[2](job("succeeded", 2));
  await third;
  assert.equal(store.watch.whole.state, "succeeded");
});

test("a page of a list whose window has moved away meanwhile is not put behind it", async (context) => {
  const { actions, answers } = asking(context);
  const job = (id) => ({ id, state: "running", attempt: 1, tags: [], cursor: "e-1.1.0" });
  const feed = new Feed({}, 1);
  const window = (id) => [{ type: "snapshot", jobs: [job(id)], counts: null, how: "fresh" }, { type: "live" }].forEach((frame) => feed.apply(frame, store.ended));
  const store = new Store();
  window("B");
  const reading = actions.readOn(feed);
  window("Z");
  answers[0]({ jobs: [job("A")], next: null });
  await reading;
  assert.deepEqual([feed.ids(), feed.readFrom], [["Z"], "Z"]);
});

test("lines that come while earlier ones are read leave no hole between them", async (context) => {
  const { actions, answers } = asking(context);
  const watch = new Watch("J", 3);
  const entry = (offset) => ({ at: 1, level: "info", text: String(offset) });
  watch.log.append(11, [11, 12, 13].map(entry));
  const loading = actions.loadEarlier(watch);
  watch.log.append(14, [14, 15].map(entry));
  answers[0]({ entries: [9, 10].map((offset) => ({ ...entry(offset), offset })), first: 9, last: 13, next: null });
  await loading;
  assert.deepEqual(watch.log.rows.map(({ offset }) => offset), [9, 10, 11, 12, 13, 14, 15]);
  watch.log.append(16, [entry(16)]);
  assert.deepEqual(watch.log.rows.map(({ offset }) => offset), [12, 13, 14, 15, 16], "afterwards the oldest are let go");
});

test("earlier lines that were read before the log was taken back are not shown", async (context) => {
  const { actions, answers } = asking(context);
  const watch = new Watch("J", 3);
  watch.log.append(11, [{ at: 1, level: "info", text: "old" }]);
  const loading = actions.loadEarlier(watch);
  watch.log.dropFrom(1);
  answers[0]({ entries: [{ at: 1, level: "info", text: "old", offset: 10 }], first: 1, last: 11, next: null });
  await loading;
  watch.log.append(1, [{ at: 1, level: "info", text: "new" }]);
  assert.deepEqual(watch.log.rows.map(({ offset }) => offset), [1]);
});

test("profiles that cannot be read are not taken from the page", async (context) => {
  const { actions, answers } = asking(context);
  const watch = new Watch("J", 3);
  const first = actions.loadProfiles(watch);
  answers[0]({ profiles: [1] });
  await first;
  const second = actions.loadProfiles(watch);
  answers[1]({ title: "away" }, 503);
  await second;
  assert.deepEqual(watch.profiles, [1]);
});
