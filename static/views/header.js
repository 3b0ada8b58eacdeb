// The connection in words, the counts per state, and the ends said to a screen reader.

import { connectionText, count, endsText } from "../format.js";
import { writeRoute } from "../route.js";
import { STATES } from "../store.js";
import { el, setAttribute, setHidden, setText } from "./dom.js";

const ANNOUNCE_EVERY_MS = 1500;

export class HeaderView {
  constructor(page) {
    this.connection = page.querySelector("#connection");
    this.word = this.connection.querySelector(".word");
    this.notice = page.querySelector("#notice");
    this.submit = page.querySelector("#open-submit");
    this.states = new Map([null, ...STATES].map((state) => [state, stateLink(state)]));
    page.querySelector("#states").append(...[...this.states.values()].map(({ node }) => node));
  }

  render({ store, route, status }) {
    const { word, detail } = connectionText(status, store.stale);
    setAttribute(this.connection, "data-phase", word === "stale" ? "stale" : status.phase);
    setText(this.word, word);
    setText(this.notice, detail);
    setHidden(this.notice, detail === "");
    setAttribute(this.submit, "href", writeRoute({ ...route, job: null, submit: true }));
    this.#renderStates(store.feed.counts, route);
  }

  #renderStates(counts, route) {
    for (const [state, { node, number }] of this.states) {
      setText(number, counts ? count(state ? (counts[state] ?? 0) : sum(counts)) : "–");
      setAttribute(node, "href", writeRoute({ ...route, state }));
      setAttribute(node, "aria-current", route.state === state ? "true" : null);
      // Cancelling lasts a moment: its place would be a zero nearly always.
      setHidden(node, state === "cancelling" && !counts?.cancelling && route.state !== state);
    }
  }
}

function stateLink(state) {
  const number = el("span.number", {}, "–");
  const label = el("span.label", {}, el("span.dot", { "aria-hidden": "true" }), state ?? "all");
  return { node: el("a.state", { "data-state": state ?? "all" }, number, label), number };
}

function sum(counts) {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}

/** Says which jobs ended, politely and not more often than can be listened to. */
export class Announcer {
  #waiting = [];
  #saidAt = -Infinity;

  constructor(page) {
    this.node = page.querySelector("#announcer");
  }

  render({ store, now }) {
    this.#waiting.push(...store.ended.take());
    if (this.#waiting.length === 0 || now - this.#saidAt < ANNOUNCE_EVERY_MS) return;
    setText(this.node, endsText(this.#waiting.splice(0)));
    this.#saidAt = now;
  }
}
