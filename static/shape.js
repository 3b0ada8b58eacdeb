// From a task's JSON Schema to the shape of a form: a tree of what can be filled in. Pure.
//
// A shape is `{kind, title, help, nullable, hasDefault, initial, …}`. Kinds: text, integer, number, boolean, choice
// (`choices`), lines (an array of plain values, one in each line: `item`), list (an array of anything: `item`), object
// (`fields`: `{name, required, shape}`), union (`options`), json (whatever else: typed as JSON).

import { count } from "./format.js";

const PLAIN = new Set(["text", "integer", "number"]);
const SIMPLE = { string: "text", integer: "integer", number: "number", boolean: "boolean" };
const DEEPEST = 6; // levels of objects and lists that become fields; below it is JSON

/** Options of a submit that are not arguments; the same machinery draws them. */
export const OPTIONS = Object.freeze({
  type: "object",
  properties: {
    delay_s: { type: "number", title: "Delay", description: "seconds to wait before it is queued", minimum: 0 },
    priority: { type: "integer", title: "Priority", description: "−10 to 10, higher first", minimum: -10, maximum: 10 },
    queue: { type: "string", title: "Queue", description: "another than the task's own" },
    tags: { type: "array", title: "Tags", items: { type: "string" } },
  },
});

export function shapeOf(schema, root = schema, above = []) {
  const { part, nullable, refs } = resolve(schema ?? {}, root, above);
  const given = schema?.default ?? part.default;
  const shape = {
    kind: kindOf(part, refs),
    help: schema?.description ?? part.description ?? "",
    nullable,
    hasDefault: "default" in (schema ?? {}),
    initial: given,
    bounds: boundsOf(part),
  };
  return { ...shape, ...inside(shape.kind, part, nullable, root, refs) };
}

/** The fields of a task's arguments. */
export function fieldsOf(schema) {
  const shape = shapeOf({ type: "object", ...schema });
  return shape.fields ?? [];
}

function inside(kind, part, nullable, root, refs) {
  if (kind === "object") return { fields: objectFields(part, root, refs) };
  if (kind === "choice") return { choices: choicesOf(part) };
  if (kind === "boolean" && nullable) return { kind: "choice", choices: choicesOf({ enum: [true, false] }) };
  if (kind === "list") return listOf(part, root, refs);
  if (kind === "union") return { options: (part.anyOf ?? part.oneOf).map((one) => optionOf(one, root, refs)) };
  return {};
}

function objectFields(part, root, refs) {
  const required = new Set(part.required ?? []);
  return Object.entries(part.properties ?? {}).map(([name, one]) => ({
    name,
    required: required.has(name),
    shape: shapeOf(one, root, refs),
  }));
}

function listOf(part, root, refs) {
  const item = shapeOf(part.items ?? {}, root, refs);
  const plain = PLAIN.has(item.kind) && !item.nullable;
  return { kind: plain ? "lines" : part.items ? "list" : "json", item, least: part.minItems ?? 0 };
}

function optionOf(one, root, refs) {
  const shape = shapeOf(one, root, refs);
  const { part } = resolve(one, root, refs);
  return { label: part.title ?? one.title ?? WORDS[shape.kind] ?? shape.kind, shape };
}

const WORDS = { text: "text", integer: "whole number", number: "number", boolean: "yes or no", lines: "several", list: "several" };

// Pydantic writes `X | None` as anyOf with null, and models and enums as references into $defs.
function resolve(schema, root, above) {
  let [part, nullable, refs] = [schema, false, above];
  for (let steps = 0; steps < 20; steps += 1) {
    const others = (part.anyOf ?? part.oneOf)?.filter((option) => option.type !== "null");
    if (part.$ref) {
      refs = [...refs, part.$ref];
      part = lookUp(part.$ref, root);
    } else if (part.allOf?.length === 1) [part] = part.allOf;
    else if (others?.length === 1) {
      nullable ||= (part.anyOf ?? part.oneOf).length > 1;
      [part] = others;
    } else if (others && others.length < (part.anyOf ?? part.oneOf).length) {
      nullable = true;
      part = { anyOf: others };
    } else break;
  }
  return { part, nullable, refs };
}

function lookUp(reference, root) {
  const keys = reference.replace(/^#\//, "").split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  return keys.reduce((node, key) => node?.[key], root) ?? {};
}

function kindOf(part, refs) {
  const endless = new Set(refs).size < refs.length || refs.length > DEEPEST;
  if (part.enum || part.const !== undefined) return "choice";
  if (endless) return "json";
  if (part.type === "object") return part.properties && !part.additionalProperties ? "object" : "json";
  if (part.type === "array") return part.prefixItems ? "json" : "list";
  if (part.anyOf ?? part.oneOf) return "union";
  return SIMPLE[part.type] ?? "json";
}

function choicesOf(part) {
  const label = (value) => (typeof value === "string" ? value : typeof value === "boolean" ? (value ? "yes" : "no") : JSON.stringify(value));
  return (part.enum ?? [part.const]).map((value) => ({ value, label: label(value) }));
}

function boundsOf(part) {
  return { min: part.minimum ?? part.exclusiveMinimum, max: part.maximum ?? part.exclusiveMaximum, longest: part.maxLength };
}

/** "16 to 4096", "at least 0"; "" without bounds. */
export function boundsText({ min, max } = {}) {
  if (min !== undefined && max !== undefined) return `${count(min)} to ${count(max)}`;
  if (min !== undefined) return `at least ${count(min)}`;
  return max === undefined ? "" : `at most ${count(max)}`;
}
