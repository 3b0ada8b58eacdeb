// The wire as text: one message is one JSON array of frames, in both directions.

export const SUBPROTOCOL = "windsock.v1.json";

// A double holds integers exactly up to 2^53; ids of other systems are often longer. Only text with such a run of
// digits takes the slow road, so that ordinary messages keep the plain parser.
const LONG_DIGITS = /\d{16}/;

function keepExact(key, value, context) {
  const exact = typeof value !== "number" || Number.isSafeInteger(value) || !/^-?\d+$/.test(context?.source ?? "");
  return exact ? value : BigInt(context.source);
}

/** JSON text to a value; long integers become BigInt where the engine can show us their digits. */
export function parse(text) {
  return LONG_DIGITS.test(text) ? JSON.parse(text, keepExact) : JSON.parse(text);
}

/** A value as JSON text for people, BigInt included; `indent` 0 keeps it on one line. */
export function print(value, indent = 2) {
  const raw = (_, item) => (typeof item === "bigint" ? (JSON.rawJSON?.(String(item)) ?? String(item)) : item);
  return JSON.stringify(value, raw, indent) ?? "null";
}

/** Frames to the text of one message. */
export function encode(frames) {
  return JSON.stringify(frames);
}

/** The text of one message to its frames. Throws a SyntaxError for anything that is not an array of frames. */
export function decode(text) {
  if (typeof text !== "string") throw new SyntaxError("a message of this subprotocol is text");
  return framesOf(parse(text));
}

/** How messages are written where nothing else is asked for; `msgpack.js` has the other one. */
export const JSON_CODEC = Object.freeze({ subprotocol: SUBPROTOCOL, encode, decode });

/** A decoded message as what it has to be. Throws a SyntaxError. */
export function framesOf(value) {
  if (!Array.isArray(value) || !value.every(isFrame)) throw new SyntaxError("a message is an array of frames");
  return value;
}

function isFrame(value) {
  return value !== null && typeof value === "object" && typeof value.type === "string";
}

/**
 * The version inside a cursor (`epoch.version.offset`), or null where there is none.
 * Cursors are handed back as they came; only the order of two summaries is read from them.
 */
export function versionOf(cursor) {
  const parts = typeof cursor === "string" ? cursor.split(".") : [];
  const version = parts.length === 3 ? Number(parts[1]) : NaN;
  return Number.isFinite(version) ? version : null;
}
