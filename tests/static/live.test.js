import assert from "node:assert/strict";
import { test } from "node:test";

import { Actions } from "../../static/actions.js";
import { Feed } from "../../static/feed.js";
import { Live, listName, wantedFeeds } from "../../static/live.js";
import { addRecent, recall, recentOf, remember } from "../../static/prefs.js";
import { readRoute } from "../../static/route.js";
import { Store } from "../../static/store.js";

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
