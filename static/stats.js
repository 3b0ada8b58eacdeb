// How it went in the last minutes, a second at a time, as arrays that a chart can draw. Pure.

export const SERIES = Object.freeze([
  "submitted", "started", "succeeded", "failed", "cancelled", "queued", "scheduled", "running",
  "clients", "nodes", "loop_lag_ms", "pickup_p50", "pickup_p99", "run_p50", "run_p99",
]);
const GAP_MS = 8000; // that nobody told of: the line must not run through; a hidden page is told every 5 s

/** Owns the seconds that are kept; `at` and each of `series` are arrays of equal length. */
export class Stats {
  constructor(keepMs = 5 * 60_000) {
    this.keepMs = keepMs;
    this.latest = null; // the last frame
    this.at = [];
    this.series = Object.fromEntries(SERIES.map((name) => [name, []]));
  }

  /** One stats frame; `now` in ms. */
  push(frame, now) {
    const last = this.at.at(-1);
    if (last !== undefined && now - last > GAP_MS) this.#add(last + 1, () => null);
    const values = valuesOf(frame);
    this.#add(now, (name) => values[name] ?? null);
    this.latest = frame;
    this.#forget(now);
  }

  /** How far back a chart of it goes at `now`: what is there, but a minute at least. */
  span(now) {
    return Math.min(this.keepMs, Math.max(60_000, now - (this.at[0] ?? now)));
  }

  /** What is kept as a plain value, and back: a reload of the page must not empty the charts. */
  save() {
    return { at: this.at, series: this.series };
  }

  restore(saved, now) {
    const fits = Array.isArray(saved?.at) && SERIES.every((name) => saved.series?.[name]?.length === saved.at.length);
    if (!fits || this.at.length > 0) return;
    this.at = saved.at;
    this.series = Object.fromEntries(SERIES.map((name) => [name, saved.series[name]]));
    this.#forget(now);
  }

  #add(at, valueOf) {
    this.at.push(at);
    for (const name of SERIES) this.series[name].push(valueOf(name));
  }

  #forget(now) {
    const kept = this.at.findIndex((at) => at >= now - this.keepMs);
    const over = kept < 0 ? this.at.length : kept;
    if (over === 0) return;
    this.at.splice(0, over);
    for (const name of SERIES) this.series[name].splice(0, over);
  }
}

function valuesOf(frame) {
  return {
    ...frame,
    pickup_p50: frame.pickup_ms?.p50,
    pickup_p99: frame.pickup_ms?.p99,
    run_p50: frame.run_ms?.p50,
    run_p99: frame.run_ms?.p99,
  };
}
