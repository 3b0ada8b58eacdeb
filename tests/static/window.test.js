import assert from "node:assert/strict";
import { test } from "node:test";

import { Keys, isTyping } from "../../static/keys.js";
import { Selection } from "../../static/selection.js";
import { inSight, pieces, pushedDown } from "../../static/window.js";

const rowsOf = (drawn) => drawn.map((piece) => (piece.gap ? `(${piece.gap})` : `${piece.from}-${piece.to}`)).join(" ");

test("what a viewport sees of a list", () => {
  assert.deepEqual(inSight({ top: 200, height: 800, row: 60, count: 5000 }), { first: 0, last: 10 });
  assert.deepEqual(inSight({ top: -6000, height: 800, row: 60, count: 5000 }), { first: 100, last: 114 });
  assert.deepEqual(inSight({ top: -6000, height: 800, row: 60, count: 3 }), { first: 3, last: 3 });
});

test("rows in sight and some around them are drawn, the rest is room", () => {
  assert.equal(rowsOf(pieces({ first: 0, last: 10 }, 5000)), "0-18 (4982)");
  assert.equal(rowsOf(pieces({ first: 100, last: 114 }, 5000)), "(92) 92-122 (4878)");
  assert.equal(rowsOf(pieces({ first: 0, last: 3 }, 3)), "0-3");
});

test("the row that has the focus is drawn wherever it is", () => {
  assert.equal(rowsOf(pieces({ first: 100, last: 114 }, 5000, [3])), "(3) 3-4 (88) 92-122 (4878)");
  assert.equal(rowsOf(pieces({ first: 0, last: 10 }, 100, [50])), "0-18 (32) 50-51 (49)");
  assert.equal(rowsOf(pieces({ first: 0, last: 10 }, 100, [-1, 5])), "0-18 (82)");
});

test("how far new rows pushed down what is read", () => {
  assert.equal(pushedDown(["d", "c", "b", "a"], "c", 1), 0);
  assert.equal(pushedDown(["e", "d", "c", "b"], "c", 1), 1);
  assert.equal(pushedDown(["e", "d"], "c", 1), 0);
  assert.equal(pushedDown(["e"], null, 0), 0);
});

test("a selection grows by one or by a range, and knows what can be done with it", () => {
  const selection = new Selection();
  const order = ["e", "d", "c", "b", "a"];
  selection.toggle("d");
  selection.extend("b", order);
  assert.deepEqual([...selection.ids].sort(), ["b", "c", "d"]);
  selection.toggle("c");
  const jobs = new Map([["d", { id: "d", state: "running" }], ["b", { id: "b", state: "failed" }]]);
  assert.deepEqual(selection.split(jobs), { going: ["d"], ended: ["b"] });
  selection.all(order);
  assert.equal(selection.size, 5);
  selection.clear();
  assert.equal(selection.size, 0);
});

test("keys mean something alone, or behind g for a moment", () => {
  const keys = new Keys();
  const press = (key, at, more = {}) => keys.meaning({ key, ...more }, at);
  assert.equal(press("j", 0), "next");
  assert.equal(press("g", 0), null);
  assert.equal(press("j", 100), "jobs");
  assert.equal(press("g", 200), null);
  assert.equal(press("j", 9000), "next");
  assert.equal(press("s", 0, { ctrlKey: true }), null);
  assert.equal(press("Escape", 0), "escape");
  assert.equal(isTyping({ tagName: "INPUT", type: "text" }), true);
  assert.equal(isTyping({ tagName: "INPUT", type: "checkbox" }), false);
  assert.equal(isTyping({ tagName: "A" }), false);
});
