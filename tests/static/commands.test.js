import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { commandLine, curl, literal, python, quote } from "../../static/commands.js";

const NASTY = `it's "5 > 4" & $HOME \`id\` \\ ü\n\u2028 end`;
const BODY = { task: "render", args: { title: NASTY, keep: true, limit: null, sizes: [1, 2.5] }, priority: -3, delay_s: 600, tags: ["user:7", "a b"] };

/** The words a shell makes of a command. */
function words(command) {
  return execFileSync("sh", ["-c", `printf '%s\\0' ${command}`], { encoding: "utf8" }).split("\0").slice(0, -1);
}

test("a word is the same behind a shell", () => {
  for (const word of ["plain", "a b", NASTY, "", "-x", "''"]) assert.deepEqual(words(quote(word)), [word]);
});

test("curl sends the very body", () => {
  const [program, flag, json, url] = words(curl(BODY, "http://127.0.0.1:8765"));
  assert.deepEqual([program, flag, url], ["curl", "--json", "http://127.0.0.1:8765/api/jobs"]);
  assert.deepEqual(JSON.parse(json), BODY);
});

test("the command line names options and arguments", () => {
  const [, , task, , json, ...rest] = words(commandLine(BODY, "http://h:1"));
  assert.equal(task, "render");
  assert.deepEqual(JSON.parse(json), BODY.args);
  assert.deepEqual(rest, ["--priority", "-3", "--delay", "600s", "--tag", "user:7", "--tag", "a b", "--url", "http://h:1"]);
  assert.deepEqual(words(commandLine({ task: "noop", args: {} }, "http://h:1")), ["windsock", "submit", "noop", "--url", "http://h:1"]);
});

test("Python reads the same value", () => {
  const script = `import json; print(json.dumps(${literal(BODY)}))`;
  assert.deepEqual(JSON.parse(execFileSync("python3", ["-c", script], { encoding: "utf8" })), BODY);
  for (const args of [BODY.args, { class: 1, "a b": [null] }, {}]) {
    execFileSync("python3", ["-c", "import ast, sys; ast.parse(sys.argv[1])", python({ ...BODY, args }, "http://h:1")]);
  }
  assert.match(python({ task: "t", args: { from: 1 } }, "http://h:1"), /client\.send\(windsock\.Submission\("t", \{"from": 1\}\)\)/);
  assert.match(python({ task: "t", args: { n: 1 }, priority: 2 }, "http://h:1"), /client\.submit\("t", windsock\.Options\(priority=2\), n=1\)/);
});
