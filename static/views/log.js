// The log of the open job: grows at the bottom, is cut at the top, follows unless the reader scrolled up.

import { clockWithSeconds, count, fullTime, gapText, plural } from "../format.js";
import { print } from "../codec.js";
import { el, setAttribute, setHidden, setText } from "./dom.js";

const NEAR_END_PX = 24;

export class LogView {
  #log = null;
  #resets = 0;
  #shown = []; // the rows that have a node, in the order of the nodes

  constructor() {
    this.size = el("span.log-size");
    this.whole = el("a", { target: "_blank", rel: "noreferrer" }, "Whole log");
    this.cut = el("p.log-cut", { hidden: true });
    this.lines = el("ol.log-lines");
    this.nothing = el("p.help.log-nothing");
    // A region that scrolls must be reachable by keyboard. Not role=log: it would read every line aloud.
    this.box = el("div.log", { tabindex: "0", role: "region", "aria-label": "Log" }, this.cut, this.lines, this.nothing);
    this.node = el("section.log-section", {}, el("div.part-head", {}, el("h3", {}, "Log"), this.size, this.whole), this.box);
  }

  render(watch, logPath) {
    const following = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END_PX;
    const anew = this.#log !== watch.log || this.#resets !== watch.log.resets;
    if (anew) this.#forget(watch.log);
    const changed = this.#sync(watch.log.rows);
    this.#renderWords(watch, logPath);
    if (anew || (changed && following)) this.box.scrollTop = this.box.scrollHeight;
  }

  #forget(log) {
    this.#log = log;
    this.#resets = log.resets;
    this.#shown = [];
    this.lines.replaceChildren();
  }

  // Rows are only ever added below and cut above, so the difference is found from the two ends.
  #sync(rows) {
    const last = this.#shown.at(-1);
    const from = last === undefined ? 0 : rows.lastIndexOf(last) + 1;
    const cut = rows.length === 0 ? this.#shown.length : Math.max(0, this.#shown.indexOf(rows[0]));
    const overrun = from === 0 && last !== undefined; // everything shown was cut meanwhile
    if (overrun) this.lines.replaceChildren();
    else for (let index = 0; index < cut; index += 1) this.lines.firstElementChild.remove();
    this.lines.append(...rows.slice(from).map(lineOf));
    this.#shown = rows.slice();
    return from < rows.length;
  }

  #renderWords({ log, live, job }, logPath) {
    setHidden(this.cut, log.before === 0);
    setText(this.cut, `${plural(log.before, "earlier line")} not shown here`);
    setText(this.size, log.next === null ? "" : plural(log.next - 1, "line"));
    setHidden(this.nothing, log.rows.length > 0);
    setText(this.nothing, !live ? "Loading …" : job?.finished_at ? "The task logged nothing." : "Nothing logged so far.");
    setAttribute(this.whole, "href", logPath);
    setHidden(this.whole, log.next === null);
  }
}

function lineOf(row) {
  if (row.entry === undefined) return el("li.log-gap", {}, gapText(row));
  const { at, level, text, value } = row.entry;
  const kind = text === undefined ? "value" : level;
  return el("li.log-line", { "data-level": kind },
    el("time", { datetime: new Date(at).toISOString(), title: `${fullTime(at)} · line ${count(row.offset)}` }, clockWithSeconds(at)),
    el("span.level", {}, kind),
    el("span.log-text", {}, text ?? oneLine(value)));
}

function oneLine(value) {
  return typeof value === "object" && value !== null ? print(value).replace(/\s*\n\s*/g, " ") : print(value);
}
