// A log cut into pages for the screen: what a search and the chosen levels leave of it, without looking at every line
// each time one is added. Pure.

const PAGE = 100; // offsets of a page
export const LEVELS = Object.freeze(["debug", "info", "warning", "error", "value"]);

/** What a line is: its level, or `value` for an emitted one. */
export function levelOf(entry) {
  if (entry.text === undefined) return "value";
  return entry.level === "critical" ? "error" : entry.level;
}

/** The text of a line, as it is shown and searched. */
export function textOf(entry) {
  if (entry.text !== undefined) return entry.text;
  return JSON.stringify(entry.value, (_, item) => (typeof item === "bigint" ? String(item) : item));
}

/** Remembers the pages of one log; a page whose rows and wishes are the same is the same object. */
export class LogPages {
  #pages = new Map(); // key -> page
  #wish = "";

  /** Pages in order, `{key, rows, shown}`; `levels` is a Set of the hidden ones, `query` what a line must contain. */
  of(rows, { hidden, query }) {
    const wish = JSON.stringify([[...hidden].sort(), query]);
    if (wish !== this.#wish) this.#pages.clear();
    this.#wish = wish;
    const kept = new Map();
    const needle = query.toLowerCase();
    for (const [key, part] of cut(rows)) kept.set(key, this.#page(key, part, hidden, needle));
    this.#pages = kept;
    return [...kept.values()];
  }

  #page(key, rows, hidden, needle) {
    const held = this.#pages.get(key);
    if (held?.size === rows.length && held.first === rows[0] && held.last === rows.at(-1)) return held;
    const shown = rows.filter((row) => isShown(row, hidden, needle));
    return { key, size: rows.length, first: rows[0], last: rows.at(-1), shown };
  }
}

function cut(rows) {
  const parts = new Map();
  for (const row of rows) {
    const key = Math.floor((row.offset ?? row.from) / PAGE);
    const part = parts.get(key);
    if (part) part.push(row);
    else parts.set(key, [row]);
  }
  return parts;
}

// A gap is shown whatever is searched: what is missing might have matched.
function isShown(row, hidden, needle) {
  if (row.entry === undefined) return true;
  if (hidden.has(levelOf(row.entry))) return false;
  return needle === "" || textOf(row.entry).toLowerCase().includes(needle);
}

/** A text cut at what was searched: `[{text, hit}]`. */
export function marked(text, query) {
  if (query === "") return [{ text, hit: false }];
  const [low, needle] = [text.toLowerCase(), query.toLowerCase()];
  const parts = [];
  let at = 0;
  for (let found = low.indexOf(needle); found >= 0; found = low.indexOf(needle, at)) {
    if (found > at) parts.push({ text: text.slice(at, found), hit: false });
    parts.push({ text: text.slice(found, found + needle.length), hit: true });
    at = found + needle.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at), hit: false });
  return parts;
}
