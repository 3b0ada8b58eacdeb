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

/** A value as JSON text for people, BigInt included. */
export function print(value) {
  const raw = (_, item) => (typeof item === "bigint" ? (JSON.rawJSON?.(String(item)) ?? String(item)) : item);
  return JSON.stringify(value, raw, 2) ?? "null";
}

/** Frames to the text of one message. */
export function encode(frames) {
  return JSON.stringify(frames);
}

/** The text of one message to its frames. Throws a SyntaxError for anything that is not an array of frames. */
export function decode(text) {
  if (typeof text !== "string") throw new SyntaxError("a message of this subprotocol is text");
  const frames = parse(text);
  if (!Array.isArray(frames) || !frames.every(isFrame)) throw new SyntaxError("a message is an array of frames");
  return frames;
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
