// A job's log as one client holds it: put together by offset, every hole named, bounded from the top.

import { levelOf } from "./log_pages.js";

/** Rows in order: `{offset, entry}` for a line, `{from, to, why}` for a gap. */
export class JobLog {
  constructor(limit) {
    this.limit = limit;
    this.rows = [];
    this.next = null; // the offset that must come next; null: whatever comes first
    this.resets = 0; // how often lines already shown were taken back: a view then draws anew
    this.values = []; // the rows that are emitted values, of those held
    this.levels = {}; // how many lines of each level were seen
    this.growing = 0; // readings of earlier lines that are under way: what they join to must not be let go
    this.trimmedTo = 0; // the last offset that the store does not keep, as far as that is known
  }

  /** A contiguous run of entries. What is already here is skipped; a hole the server did not declare becomes a gap. */
  append(first, entries) {
    if (this.next !== null && first > this.next) this.addGap(this.next, first - 1, "lost");
    const known = this.next === null ? 0 : Math.max(0, this.next - first);
    for (let index = known; index < entries.length; index += 1) {
      this.#push({ offset: first + index, entry: entries[index] }, first + index);
    }
    this.#bound();
  }

  /** Offsets that will not come here. */
  addGap(from, to, why) {
    const start = this.next === null ? from : Math.max(from, this.next);
    if (start > to) return;
    this.#push({ from: start, to, why }, to);
    this.#bound();
  }

  /** Entries from before the first row, as `GET …/log` answers them: each with its `offset`. */
  prepend(entries) {
    const first = this.rows[0];
    const end = first === undefined ? Infinity : (first.offset ?? first.from);
    const rows = entries.filter((entry) => entry.offset < end).map(({ offset, ...entry }) => ({ offset, entry }));
    if (rows.length === 0) return;
    this.limit += rows.length; // the reader asked for them: they are not cut off at once
    this.rows = [...rows, ...this.rows];
    this.values = this.rows.filter(isValue);
    for (const row of rows) this.#countLevel(row);
    this.next ??= rows.at(-1).offset + 1;
  }

  /** The store went back: everything from this offset on is not what happened. */
  dropFrom(offset) {
    const kept = this.rows.filter((row) => (row.offset ?? row.from) < offset);
    const last = kept.at(-1);
    if (last?.to >= offset) kept[kept.length - 1] = { ...last, to: offset - 1 };
    if (kept.length !== this.rows.length) this.resets += 1;
    this.rows = kept;
    this.values = kept.filter(isValue);
    this.next = kept.length > 0 ? offset : null;
  }

  /** How many lines lie before the first row: never sent, or let go to stay within the limit. */
  get before() {
    const [first] = this.rows;
    return first === undefined ? 0 : (first.offset ?? first.from) - 1;
  }

  #push(row, last) {
    this.rows.push(row);
    if (isValue(row)) this.values.push(row);
    this.#countLevel(row);
    this.next = last + 1;
  }

  #countLevel({ entry }) {
    if (entry === undefined) return;
    const level = levelOf(entry);
    this.levels[level] = (this.levels[level] ?? 0) + 1;
  }

  #bound() {
    const excess = this.rows.length - this.limit;
    if (excess <= 0 || this.growing > 0) return;
    this.rows.splice(0, excess);
    const first = this.rows[0].offset ?? this.rows[0].from;
    while (this.values.length > 0 && this.values[0].offset < first) this.values.shift();
  }
}

function isValue({ entry }) {
  return entry !== undefined && entry.text === undefined;
}
