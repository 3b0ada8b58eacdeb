import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decode } from "../../static/codec.js";
import { MSGPACK_CODEC } from "../../static/msgpack.js";
import { decode as unpack } from "../../static/vendor/msgpack-3.1.3.js";

const CASES = JSON.parse(readFileSync(new URL("../wire/msgpack.json", import.meta.url), "utf8"));

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16)).buffer;

// Node 20 does not show a reviver the digits, so there JSON cannot be exact.
const exact = JSON.parse("1", (key, value, context) => context?.source === "1");

for (const { name, hex, json } of CASES) {
  const skip = name === "long numbers" && !exact && "this engine does not show the digits of JSON";
  test(`as msgpack and as JSON it is the same: ${name}`, { skip }, () => {
    assert.deepEqual(MSGPACK_CODEC.decode(bytes(hex)), decode(json));
  });
}

test("integers that a double does not hold are BigInt", () => {
  const { hex } = CASES.find(({ name }) => name === "long numbers");
  const [{ entries }] = MSGPACK_CODEC.decode(bytes(hex));
  assert.deepEqual(entries.map((entry) => entry.value), [2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n, -(2n ** 63n)]);
});

test("what is no array of frames is refused, and text as well", () => {
  for (const data of ["[]", bytes("80"), bytes("91c0"), bytes("9180"), bytes("c1"), bytes("91"), bytes("")]) {
    assert.throws(() => MSGPACK_CODEC.decode(data));
  }
});

test("frames are written so that they are read again", () => {
  const frames = [{ type: "subscribe", sub: 1, job: "J", after: "e-1.5.0", log: 2000 }, { type: "visibility", hidden: true }];
  assert.deepEqual(unpack(MSGPACK_CODEC.encode(frames)), frames);
});
