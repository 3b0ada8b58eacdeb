import assert from "node:assert/strict";
import { test } from "node:test";

import { blankFields, fill, placeErrors, placesOf, readFields } from "../../static/entry.js";
import { boundsText, fieldsOf } from "../../static/shape.js";

// As Pydantic writes it.
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["folder", "size", "urls", "steps"],
  $defs: {
    Format: { enum: ["jpeg", "webp"], type: "string" },
    Crop: { type: "object", title: "Crop", properties: { x: { type: "integer", default: 0 }, width: { type: "integer", minimum: 1 } }, required: ["width"] },
    Step: { type: "object", properties: { name: { type: "string" }, crop: { anyOf: [{ $ref: "#/$defs/Crop" }, { type: "null" }], default: null } }, required: ["name"] },
    Tree: { type: "object", properties: { name: { type: "string" }, below: { type: "array", items: { $ref: "#/$defs/Tree" } } } },
  },
  properties: {
    folder: { type: "string", title: "Folder", description: "where the images are" },
    size: { type: "integer", minimum: 1 },
    ratio: { type: "number", default: 1.5 },
    keep: { type: "boolean", default: true },
    sure: { anyOf: [{ type: "boolean" }, { type: "null" }], default: null },
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
    steps: { type: "array", items: { $ref: "#/$defs/Step" } },
    crop: { anyOf: [{ $ref: "#/$defs/Crop" }, { type: "null" }], default: null },
    tree: { $ref: "#/$defs/Tree" },
  },
};
const fields = fieldsOf(SCHEMA);
const byName = Object.fromEntries(fields.map((field) => [field.name, field]));
const untouched = () => blankFields({ fields });
const typed = (change) => ({ ...untouched(), folder: "photos", size: "256", ...change });

test("each type gets its kind of field, anything unusual is JSON", () => {
  assert.deepEqual(Object.fromEntries(fields.map(({ name, shape }) => [name, shape.kind])), {
    folder: "text", size: "integer", ratio: "number", keep: "boolean", sure: "choice", format: "choice", wrapped: "choice",
    level: "choice", only: "choice", urls: "lines", counts: "lines", limit: "integer", label: "text", headers: "json",
    either: "union", anything: "json", nested: "list", steps: "list", crop: "object", tree: "object",
  });
});

test("a model that holds itself ends as JSON", () => {
  const below = byName.tree.shape.fields.find(({ name }) => name === "below").shape;
  assert.equal(below.kind, "list");
  assert.equal(below.item.kind, "json");
});

test("defaults are filled in, required fields are marked, descriptions help", () => {
  const begin = untouched();
  assert.equal(begin.ratio, "1.5");
  assert.equal(begin.keep, true);
  assert.equal(begin.format, "webp");
  assert.equal(begin.counts, "1\n2");
  assert.equal(begin.limit, "");
  assert.equal(begin.headers, '{\n  "a": 1\n}');
  assert.equal(begin.crop, undefined, "left out until it is wanted");
  assert.deepEqual(begin.steps, []);
  assert.deepEqual(fields.filter((field) => field.required).map((field) => field.name), ["folder", "size", "urls", "steps"]);
  assert.equal(byName.folder.shape.help, "where the images are");
  assert.equal(boundsText(byName.size.shape.bounds), "at least 1");
});

test("a task without arguments has no fields", () => {
  assert.deepEqual(fieldsOf({ type: "object", properties: {} }), []);
  assert.deepEqual(fieldsOf(undefined), []);
});

test("what was typed becomes values of the right type; what was left empty is left to the server", () => {
  const { args, errors } = readFields(fields, typed({ urls: "http://a/\n\n http://b/ ", level: "2", sure: "no" }));
  assert.deepEqual(errors, []);
  assert.deepEqual(args, {
    folder: "photos", size: 256, ratio: 1.5, keep: true, sure: false, format: "webp", wrapped: "jpeg", level: 2,
    urls: ["http://a/", "http://b/"], counts: [1, 2], label: "hello", headers: { a: 1 }, steps: [],
  });
});

test("what is inside of what is read too, however deep", () => {
  const steps = [{ name: "cut", crop: { x: "4", width: "10" } }, { name: "save", crop: undefined }];
  const { args, errors } = readFields(fields, typed({ steps, crop: { x: "", width: "3" }, either: { option: 1, typed: "7" } }));
  assert.deepEqual(errors, []);
  assert.deepEqual(args.steps, [{ name: "cut", crop: { x: 4, width: 10 } }, { name: "save" }]);
  assert.deepEqual(args.crop, { width: 3 });
  assert.equal(args.either, "7");
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
  const wrong = {
    folder: "", size: "1.5", ratio: "much", counts: "1\ntwo", headers: "{", limit: "99999999999999999",
    steps: [{ name: "", crop: { x: "", width: "wide" } }],
  };
  const { errors } = readFields(fields, typed(wrong));
  assert.deepEqual(errors.map((error) => error.field), [
    "args.folder", "args.size", "args.ratio", "args.counts.1", "args.limit", "args.headers", "args.steps.0.name", "args.steps.0.crop.width",
  ]);
  assert.equal(errors[0].message, "is required");
});

test("an error finds its place, deep ones the nearest above them", () => {
  const form = typed({ steps: [{ name: "cut", crop: undefined }] });
  const places = placesOf(fields, form);
  const { at, rest } = placeErrors([
    { field: "args.size", message: "too small" },
    { field: "args.urls.0", message: "no URL" },
    { field: "args.steps.0.name", message: "too long" },
    { field: "args.steps.0.crop.width", message: "missing" },
    { field: "args.headers.a.b", message: "not a text" },
    { field: "args.unknown", message: "what is that" },
    { field: "task", message: "unknown" },
    { message: "busy" },
  ], places);
  assert.deepEqual(Object.fromEntries(at), {
    "args.size": "too small", "args.urls": "line 1: no URL", "args.steps.0.name": "too long",
    "args.steps.0.crop": "width: missing", "args.headers": "a.b: not a text",
  });
  assert.deepEqual(rest, ["args.unknown: what is that", "task: unknown", "busy"]);
});

test("values go into a form and come out the same", () => {
  const args = {
    folder: "photos", size: 256, ratio: 2.5, keep: false, sure: true, format: "jpeg", wrapped: "webp", level: 1, only: "x", urls: ["a"],
    counts: [3], limit: 4, label: "x", headers: { b: [1, { c: null }] }, either: "word", anything: [1, 2], nested: [["a"]],
    steps: [{ name: "cut", crop: { x: 1, width: 2 } }], crop: { x: 0, width: 9 }, tree: { name: "root", below: [{ name: "leaf" }] },
  };
  const { args: back, errors } = readFields(fields, fill({ kind: "object", fields }, args));
  assert.deepEqual(errors, []);
  assert.deepEqual(back, args);
});

test("arguments that were left out are shown with their defaults", () => {
  const { args } = readFields(fields, fill({ kind: "object", fields }, { folder: "f", size: 1, urls: [], steps: [], limit: null, crop: null }));
  assert.equal(args.format, "webp");
  assert.equal("limit" in args, false);
  assert.equal("crop" in args, false);
});
