// Which rows of a list are chosen. Pure.

import { hasEnded } from "./job.js";

export class Selection {
  constructor() {
    this.ids = new Set();
    this.last = null; // where the next range begins
  }

  has(id) {
    return this.ids.has(id);
  }

  get size() {
    return this.ids.size;
  }

  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.last = id;
  }

  /** All from the last one to this one, as a list shows them. */
  extend(id, order) {
    const [a, b] = [order.indexOf(this.last), order.indexOf(id)];
    if (a < 0 || b < 0) return this.toggle(id);
    for (const one of order.slice(Math.min(a, b), Math.max(a, b) + 1)) this.ids.add(one);
    this.last = id;
  }

  all(order) {
    this.ids = new Set(order);
  }

  clear() {
    this.ids.clear();
    this.last = null;
  }

  /** Those that can be cancelled and those that can be run again, of what a list holds. */
  split(jobs) {
    const chosen = [...this.ids].map((id) => jobs.get(id)).filter(Boolean);
    return {
      going: chosen.filter((job) => !hasEnded(job) && job.state !== "cancelling").map((job) => job.id),
      ended: chosen.filter(hasEnded).map((job) => job.id),
    };
  }
}
