// What was typed into a form, and the value it stands for. Pure.
//
// For each kind of shape there is what is typed: a text (text, integer, number, lines, json), true or false (boolean), the
// label of a choice, an array (list), a map (object), `{option, typed}` (union); undefined for what is left out.

import { print } from "./codec.js";

/** What a form shows first: the default, or nothing. */
export function blank(shape, required = true) {
  if (shape.initial !== undefined && shape.initial !== null) return fill(shape, shape.initial);
  const leaving = !required || (shape.nullable && shape.hasDefault);
  return (BLANK[shape.kind] ?? (() => ""))(shape, leaving);
}

const BLANK = {
  boolean: () => false,
  object: (shape, leaving) => (leaving ? undefined : blankFields(shape)),
  list: (shape, leaving) => (leaving ? undefined : Array.from({ length: shape.least }, () => blank(shape.item))),
  union: (shape, leaving) => (leaving ? undefined : { option: 0, typed: blank(shape.options[0].shape) }),
};

/** An object that was left out and is now wanted. */
export function blankFields(shape) {
  return Object.fromEntries(shape.fields.map((field) => [field.name, blank(field.shape, field.required)]));
}

/** What one would have typed for this value. */
export function fill(shape, value) {
  if (value === undefined) return blank(shape, false);
  if (value === null && shape.kind !== "json") return LEFT_OUT[shape.kind] ?? "";
  return (FILL[shape.kind] ?? String)(value, shape);
}

const LEFT_OUT = { object: undefined, list: undefined, union: undefined, boolean: false };

const FILL = {
  text: (value) => (typeof value === "string" ? value : print(value)),
  integer: (value) => String(value),
  number: (value) => String(value),
  boolean: (value) => value === true,
  choice: (value, shape) => shape.choices.find((choice) => same(choice.value, value))?.label ?? "",
  lines: (value) => (Array.isArray(value) ? value.join("\n") : ""),
  json: (value) => print(value),
  list: (value, shape) => (Array.isArray(value) ? value.map((item) => fill(shape.item, item)) : []),
  object: (value, shape) => fillFields(value, shape),
  union: (value, shape) => {
    const option = Math.max(0, shape.options.findIndex((one) => fits(one.shape, value)));
    return { option, typed: fill(shape.options[option].shape, value) };
  },
};

function fillFields(value, shape) {
  const known = value !== null && typeof value === "object" ? value : {};
  return Object.fromEntries(shape.fields.map(({ name, required, shape: one }) => {
    return [name, name in known ? fill(one, known[name]) : blank(one, required)];
  }));
}

function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function fits(shape, value) {
  const test = {
    text: () => typeof value === "string",
    integer: () => Number.isInteger(value),
    number: () => typeof value === "number",
    boolean: () => typeof value === "boolean",
    choice: () => shape.choices.some((choice) => same(choice.value, value)),
    lines: () => Array.isArray(value),
    list: () => Array.isArray(value),
    object: () => isMap(value) && shape.fields.every(({ name, required }) => !required || name in value)
      && Object.keys(value).every((key) => shape.fields.some(({ name }) => name === key)),
  }[shape.kind];
  return test ? test() : true;
}

function isMap(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** Fields and what was typed (`{name: typed}`) to arguments. Errors come back as the server would name them. */
export function readFields(fields, typed, prefix = "args.") {
  const errors = [];
  const args = readMap(fields, typed, prefix, errors);
  return { args, errors };
}

function readMap(fields, typed, prefix, errors) {
  const values = {};
  for (const { name, required, shape } of fields) {
    const value = readOne(shape, typed?.[name], required, prefix + name, errors);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function readOne(shape, typed, required, path, errors) {
  try {
    if (typed === undefined) return leaveOut(shape, required);
    if (typeof typed !== "string") return READ[shape.kind](typed, shape, path, errors);
    const text = shape.kind === "text" ? typed : typed.trim();
    return text === "" ? readEmpty(shape, required) : READ[shape.kind](text, shape, path, errors);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    errors.push({ field: path, message: error.message });
    return undefined;
  }
}

class Wrong extends Error {}

function leaveOut(shape, required) {
  if (required && shape.nullable) return null;
  if (required) throw new Wrong("is required");
  return shape.nullable && shape.hasDefault && (shape.initial ?? null) !== null ? null : undefined;
}

// Empty means "leave it to the server", but for a text whose default was wiped out on purpose.
function readEmpty(shape, required) {
  const wiped = shape.hasDefault && (shape.initial ?? "") !== "";
  if (required && shape.kind === "lines") return [];
  if (required && shape.nullable) return null;
  if (required) throw new Wrong("is required");
  if (shape.nullable && wiped) return null;
  if (shape.kind === "text" && wiped) return "";
  return shape.kind === "lines" && wiped ? [] : undefined;
}

const READ = {
  text: (text) => text,
  integer: readInteger,
  number: readNumber,
  boolean: (typed) => typed === true,
  choice: (text, shape) => shape.choices.find((choice) => choice.label === text)?.value,
  lines: (text, shape, path, errors) => {
    const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
    return lines.map((line, index) => readOne(shape.item, line, true, `${path}.${index}`, errors));
  },
  json: readJson,
  object: (typed, shape, path, errors) => readMap(shape.fields, typed, `${path}.`, errors),
  list: (typed, shape, path, errors) => typed.map((item, index) => readOne(shape.item, item, true, `${path}.${index}`, errors)),
  union: ({ option, typed }, shape, path, errors) => readOne(shape.options[option].shape, typed, true, path, errors),
};

function readInteger(text) {
  if (!/^[+-]?\d+$/.test(text)) throw new Wrong(`“${text}” is not a whole number`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Wrong("is larger than a web page can send exactly");
  return value;
}

function readNumber(text) {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Wrong(`“${text}” is not a number`);
  return value;
}

function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Wrong("is not JSON");
  }
}

/**
 * Errors sorted to the places of a form: `at` maps a path to its message, `rest` is what belongs to none. `places` are the
 * paths that can show one; an error deeper than any goes to the nearest above it, with the rest of its path said.
 */
export function placeErrors(errors, places) {
  const at = new Map();
  const rest = [];
  for (const { field = "", message } of errors) {
    const place = nearest(field, places);
    if (place === null) rest.push(field ? `${field}: ${message}` : message);
    else if (!at.has(place)) at.set(place, field === place ? message : `${insideOf(field, place)}: ${message}`);
  }
  return { at, rest };
}

function nearest(field, places) {
  for (let path = field; path !== ""; path = path.slice(0, Math.max(0, path.lastIndexOf(".")))) {
    if (places.has(path)) return path;
  }
  return null;
}

function insideOf(field, place) {
  const inside = field.slice(place.length + 1);
  return /^\d+$/.test(inside) ? `line ${Number(inside) + 1}` : inside;
}

/** All paths of a form that can show an error, as it is filled now. */
export function placesOf(fields, typed, prefix = "args.") {
  return new Set(fields.flatMap(({ name, shape }) => placesIn(shape, typed?.[name], prefix + name)));
}

function placesIn(shape, typed, path) {
  if (typed === undefined || typed === null) return [path];
  if (shape.kind === "object") return [path, ...placesOf(shape.fields, typed, `${path}.`)];
  if (shape.kind === "list") return [path, ...typed.flatMap((item, index) => placesIn(shape.item, item, `${path}.${index}`))];
  if (shape.kind === "union") return placesIn(shape.options[typed.option].shape, typed.typed, path);
  return [path];
}
