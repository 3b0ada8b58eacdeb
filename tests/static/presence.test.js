import assert from "node:assert/strict";
import { test } from "node:test";

import { followPage } from "../../static/presence.js";

function begin({ hidden = false } = {}) {
  const document = Object.assign(new EventTarget(), { hidden });
  const page = Object.assign(new EventTarget(), { document });
  const done = [];
  const connection = {
    wake: () => done.push("wake"),
    setHidden: (now) => done.push(now ? "hidden" : "seen"),
    start: () => done.push("start"),
    stop: () => done.push("stop"),
  };
  const leave = followPage(connection, page);
  return { document, page, done, leave };
}

test("the connection is told at once, and at each change, whether anybody looks", () => {
  const { document, done } = begin({ hidden: true });
  document.hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual(done, ["hidden", "seen", "wake", "hidden"]);
});

test("back online it is woken; offline it has to give a sign of life", () => {
  const { page, done } = begin();
  page.dispatchEvent(new Event("online"));
  page.dispatchEvent(new Event("offline"));
  assert.deepEqual(done, ["seen", "wake", "wake"]);
});

test("a page that is left gives its socket up, and has it again when Back brings it", () => {
  const { page, done } = begin();
  page.dispatchEvent(new Event("pagehide"));
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false }));
  assert.deepEqual(done, ["seen", "stop", "start"]);
});

test("afterwards nothing is heard any more", () => {
  const { page, document, done, leave } = begin();
  leave();
  for (const name of ["online", "offline", "pagehide", "pageshow"]) page.dispatchEvent(new Event(name));
  document.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual(done, ["seen"]);
});
