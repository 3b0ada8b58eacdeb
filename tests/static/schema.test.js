import assert from "node:assert/strict";
import { test } from "node:test";

import { fieldOfError, fieldsOf, readFields } from "../../static/schema.js";

// As Pydantic writes it.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["folder", "size", "urls"],
  $defs: { Format: { enum: ["jpeg", "webp"], type: "string" } },
  properties: {
    folder: { type: "string", title: "Folder", description: "where the images are" },
    size: { type: "integer", minimum: 1 },
    ratio: { type: "number", default: 1.5 },
    keep: { type: "boolean", default: true },
    format: { $ref: "#/$defs/Format", default: "webp" },
    wrapped: { allOf: [{ $ref: "#/$defs/Format" }], default: "jpeg" },
    level: { enum: [1, 2, null] },
    only: { const: "x" },
    urls: { type: "array", items: { type: "string" } },
    counts: { type: "array", items: { type: "integer" }, default: [1, 2] },
    limit: { anyOf: [{ type: "integer" }, { type: "null" }], default: null },
    label: { type: "string", default: "hello" },
    headers: { type: "object", default: { a: 1 } },
    either: { anyOf: [{ type: "integer" }, { type: "string" }] },
    anything: {},
    nested: { type: "array", items: { type: "array" } },
  },
};
const fields = fieldsOf(SCHEMA);
const byName = Object.fromEntries(fields.map((field) => [field.name, field]));
const untouched = Object.fromEntries(fields.map((field) => [field.name, field.initial]));
const typed = (change) => ({ ...untouched, folder: "photos", size: "256", ...change });

test("each type gets its kind of field, anything unusual is JSON", () => {
  assert.deepEqual(Object.fromEntries(fields.map(({ name, kind }) => [name, kind])), {
    folder: "text", size: "integer", ratio: "number", keep: "boolean", format: "choice", wrapped: "choice", level: "choice",
    only: "choice", urls: "lines", counts: "lines", limit: "integer", label: "text", headers: "json", either: "json",
    anything: "json", nested: "json",
  });
});

test("defaults are filled in, required fields are marked, descriptions help", () => {
  assert.equal(byName.ratio.initial, "1.5");
  assert.equal(byName.keep.initial, true);
  assert.equal(byName.format.initial, "webp");
  assert.equal(byName.counts.initial, "1\n2");
  assert.equal(byName.limit.initial, "");
  assert.equal(byName.headers.initial, '{\n  "a": 1\n}');
  assert.deepEqual(fields.filter((field) => field.required).map((field) => field.name), ["folder", "size", "urls"]);
  assert.equal(byName.folder.help, "where the images are");
});

test("a task without arguments has no fields", () => {
  assert.deepEqual(fieldsOf({ type: "object", properties: {} }), []);
  assert.deepEqual(fieldsOf(undefined), []);
});

test("what was typed becomes values of the right type; what was left empty is left to the server", () => {
  const { args, errors } = readFields(fields, typed({ urls: "http://a/\n\n http://b/ ", level: "2" }));
  assert.deepEqual(errors, []);
  assert.deepEqual(args, {
    folder: "photos", size: 256, ratio: 1.5, keep: true, format: "webp", wrapped: "jpeg", level: 2,
    urls: ["http://a/", "http://b/"], counts: [1, 2], label: "hello", headers: { a: 1 },
  });
});

test("a default wiped out on purpose is sent as empty where the type has an empty", () => {
  const { args } = readFields(fields, typed({ label: "", counts: "", ratio: "" }));
  assert.equal(args.label, "");
  assert.deepEqual(args.counts, []);
  assert.equal("ratio" in args, false);
});

test("text keeps its blanks, an unticked box is false", () => {
  const { args } = readFields(fields, typed({ folder: " a b ", keep: false }));
  assert.equal(args.folder, " a b ");
  assert.equal(args.keep, false);
});

test("what cannot be meant is said at its field, as the server would name it", () => {
  const wrong = { folder: "", size: "1.5", ratio: "much", counts: "1\ntwo", headers: "{", limit: "99999999999999999" };
  const { errors } = readFields(fields, typed(wrong));
  assert.deepEqual(errors.map((error) => error.field), [
    "args.folder", "args.size", "args.ratio", "args.counts", "args.limit", "args.headers",
  ]);
  assert.equal(errors[0].message, "is required");
});

test("an error of the server finds its field, deep ones too", () => {
  assert.equal(fieldOfError({ field: "args.size" }, fields), "size");
  assert.equal(fieldOfError({ field: "args.urls.0" }, fields), "urls");
  assert.equal(fieldOfError({ field: "task" }, fields), null);
  assert.equal(fieldOfError({ field: "args.unknown" }, fields), null);
  assert.equal(fieldOfError({}, fields), null);
});
