import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import * as job from "../../static/windsock-job.js";
import * as client from "../../static/windsock.js";

const TSC = new URL("../../vendor/node_modules/.bin/tsc", import.meta.url).pathname;
const USAGE = new URL("types/usage.ts", import.meta.url).pathname;
const OPTIONS = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom"];

const declared = (name) => readFileSync(new URL(`../../static/${name}.d.ts`, import.meta.url), "utf8");
const bodyOf = (text, name) => text.slice(text.indexOf(`class ${name} `)).split("\n}")[0];

for (const [name, module] of Object.entries({ windsock: client, "windsock-job": job })) {
  test(`every export of ${name}.js has a type, and every public member of its classes`, () => {
    const text = declared(name);
    for (const [exported, value] of Object.entries(module)) {
      assert.match(text, new RegExp(`export declare (class|const|function) ${exported}\\b`));
      if (!/^class /.test(String(value))) continue;
      const members = [...Object.getOwnPropertyNames(value.prototype), ...Object.getOwnPropertyNames(value)];
      const inner = /^(constructor|length|name|prototype|observedAttributes|\w+Callback)$/;
      for (const member of members.filter((one) => !inner.test(one))) {
        assert.match(bodyOf(text, exported), new RegExp(`\\b${member}\\b`), `${exported}.${member}`);
      }
    }
  });
}

test("the types let a program through that is right, and no other", { skip: !existsSync(TSC) && "no tsc: npm --prefix vendor ci" }, () => {
  try {
    execFileSync(TSC, [...OPTIONS, USAGE], { encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout || error.message);
  }
});
