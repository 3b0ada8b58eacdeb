import assert from "node:assert/strict";
import { test } from "node:test";

import { JobLog } from "../../static/log.js";
import { LogPages, marked } from "../../static/log_pages.js";

const entry = (text, level = "info") => ({ at: 0, level, text });
const all = { hidden: new Set(), query: "" };

function logOf(count) {
  const log = new JobLog(1000);
  log.append(1, Array.from({ length: count }, (_, index) => entry(`line ${index + 1}`, index % 2 ? "info" : "debug")));
  return log;
}

test("a page that did not change is the same object, the last one is new with each line", () => {
  const [log, pages] = [logOf(250), new LogPages()];
  const before = pages.of(log.rows, all);
  log.append(251, [entry("more")]);
  const after = pages.of(log.rows, all);
  assert.deepEqual(before.map((page, index) => page === after[index]), [true, true, false]);
  assert.equal(after.reduce((sum, page) => sum + page.shown.length, 0), 251);
});

test("levels and a search leave what matches, gaps always", () => {
  const [log, pages] = [logOf(20), new LogPages()];
  log.addGap(21, 30, "slow");
  log.append(31, [{ at: 0, value: { Found: 12 } }]);
  const shown = (wish) => pages.of(log.rows, wish).flatMap((page) => page.shown).map((row) => row.offset ?? "gap");
  assert.deepEqual(shown({ hidden: new Set(["debug", "value"]), query: "1" }), [10, 12, 14, 16, 18, "gap"]);
  assert.deepEqual(shown({ hidden: new Set(), query: "found" }), ["gap", 31]);
  assert.equal(shown(all).length, 22);
});

test("what was found is cut out of the text, letters large or small", () => {
  assert.deepEqual(marked("Error: error", "error"), [{ text: "Error", hit: true }, { text: ": ", hit: false }, { text: "error", hit: true }]);
  assert.deepEqual(marked("nothing", "x"), [{ text: "nothing", hit: false }]);
  assert.deepEqual(marked("<b>", ""), [{ text: "<b>", hit: false }]);
});
