// A job's log as one client holds it: put together by offset, every hole named, bounded from the top.

/** Rows in order: `{offset, entry}` for a line, `{from, to, why}` for a gap. */
export class JobLog {
  constructor(limit) {
    this.limit = limit;
    this.rows = [];
    this.next = null; // the offset that must come next; null: whatever comes first
    this.resets = 0; // how often lines already shown were taken back: a view then draws anew
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

  /** The store went back: everything from this offset on is not what happened. */
  dropFrom(offset) {
    const kept = this.rows.filter((row) => (row.offset ?? row.from) < offset);
    const last = kept.at(-1);
    if (last?.to >= offset) kept[kept.length - 1] = { ...last, to: offset - 1 };
    if (kept.length !== this.rows.length) this.resets += 1;
    this.rows = kept;
    this.next = kept.length > 0 ? offset : null;
  }

  /** How many lines lie before the first row: never sent, or let go to stay within the limit. */
  get before() {
    const [first] = this.rows;
    return first === undefined ? 0 : (first.offset ?? first.from) - 1;
  }

  #push(row, last) {
    this.rows.push(row);
    this.next = last + 1;
  }

  #bound() {
    const excess = this.rows.length - this.limit;
    if (excess > 0) this.rows.splice(0, excess);
  }
}
