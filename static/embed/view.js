// The bar as elements of a shadow tree: built once, then changed only where something is new. No markup is parsed, no
// style attribute is written.

import { print } from "../codec.js";
import { said } from "./face.js";
import { styleSheet } from "./style.js";

const SVG = "http://www.w3.org/2000/svg";
const RING = "M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13z";
const DISC = "M8 .75a7.25 7.25 0 1 0 0 14.5a7.25 7.25 0 1 0 0-14.5z";
// What is cut out of a disc is drawn in the other direction.
const ICONS = {
  arc: ["M8 1.5a6.5 6.5 0 1 1-6.5 6.5", ""],
  clock: [`${RING}M8 4.5v3.75l2.25 1.5`, ""],
  check: ["", `${DISC}m3.5 4.6 1.15 1.05L7 12.2 3.6 8.8l1.1-1.1 2.2 2.2z`],
  cross: ["", `${DISC}m2.9 3.3 1.05 1.05L9.1 8l2.85 2.9-1.05 1.05L8 9.1l-2.9 2.85L4.05 10.9 6.9 8 4.05 5.1 5.1 4.05 8 6.9z`],
  slash: [`${RING}M3.6 12.4l8.8-8.8`, ""],
  alert: [`${RING}M8 4.5v4M8 11.25v.1`, ""],
};
const ICON_OF = {
  connecting: "arc", running: "arc", cancelling: "arc", reconnecting: "arc",
  queued: "clock", scheduled: "clock", succeeded: "check", failed: "cross", refused: "cross", cancelled: "slash",
  offline: "alert", stalled: "alert", "not-found": "alert", missing: "alert",
};
export const END_SLOTS = ["succeeded", "failed", "cancelled"];

function make(document, name, part, attributes = {}) {
  const element = document.createElement(name);
  if (part) element.setAttribute("part", part);
  if (part) element.className = part;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Its direction is that of its own words, its place that of the page's.
function makeText(document, part, attributes = {}) {
  const element = make(document, "span", part, attributes);
  element.append(document.createElement("bdi"));
  return element;
}

/** Owns the shadow tree. `render` is cheap where nothing changed. */
export class View {
  #parts;
  #shown = {}; // by name, what was written last
  #part = null;

  constructor(root, { onCancel }) {
    const { ownerDocument: document } = root.host;
    root.adoptedStyleSheets = [styleSheet()];
    this.#parts = build(document);
    root.append(this.#parts.box);
    this.#parts.cancel.addEventListener("click", () => {
      if (this.#parts.cancel.getAttribute("aria-disabled") !== "true") onCancel();
    });
  }

  /** Shows a face; `name` is the job's for people, `trouble` what went wrong with a cancel, `cancel` whether to offer one. */
  render(face, { name, words, cancel, trouble }) {
    const { box, name: label, state, amount, detail, pace } = this.#parts;
    this.#set("state", face.state, () => this.#showState(face.state));
    this.#flag(box, "data-moving", face.moving);
    this.#flag(box, "data-dim", face.dim);
    this.#flag(box, "data-trouble", Boolean(trouble));
    this.#text(label, "name", name);
    this.#text(state, "word", face.word);
    this.#text(amount, "amount", face.amount);
    this.#text(detail, "detail", trouble || face.detail);
    this.#text(pace, "pace", face.pace);
    this.#set("title", trouble || face.detail, (title) => (detail.title = title));
    this.#showPart(face);
    this.#showCancel(face, { name, words, cancel });
  }

  #showState(state) {
    const { box, icon, slots } = this.#parts;
    box.dataset.state = state;
    const [line, solid] = ICONS[ICON_OF[state]];
    icon.children[0].setAttribute("d", line);
    icon.children[1].setAttribute("d", solid);
    for (const [name, slot] of Object.entries(slots)) slot.hidden = name !== state;
  }

  // A new attempt begins anew: then the bar jumps, it never slides back.
  #showPart(face) {
    const { box, track, bar } = this.#parts;
    const back = face.part === null || (this.#part !== null && face.part < this.#part);
    this.#flag(box, "data-jump", back);
    this.#part = face.part;
    this.#set("size", `${100 * (face.part ?? 0)}%`, (size) => bar.style.setProperty("inline-size", size));
    this.#set("now", face.part === null ? null : Math.floor(100 * face.part), (now) => {
      if (now === null) track.removeAttribute("aria-valuenow");
      else track.setAttribute("aria-valuenow", now);
    });
    this.#set("said", said(face), (text) => track.setAttribute("aria-valuetext", text));
  }

  #showCancel(face, { name, words, cancel }) {
    const button = this.#parts.cancel;
    const ending = face.state === "cancelling";
    this.#set("button", cancel && (face.cancellable || ending), (shown) => (button.hidden = !shown));
    this.#set("ending", ending, () => button.setAttribute("aria-disabled", ending));
    this.#set("cancel", words.cancel, (text) => (button.textContent = text));
    this.#set("cancelOf", words.cancelOf(name), (text) => button.setAttribute("aria-label", text));
  }

  /** Says an end to a screen reader, once. */
  announce(text) {
    this.#parts.live.textContent = text;
  }

  /** The last `most` rows of a log; 0 shows none. */
  renderLog(rows, most, words) {
    const { log } = this.#parts;
    log.hidden = most === 0 || rows.length === 0;
    if (log.hidden) return;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    this.#set("log", words.log, (text) => log.setAttribute("aria-label", text));
    log.firstChild.replaceChildren(...rows.slice(-most).map((row) => line(log.ownerDocument, row, words)));
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  #text(element, key, text) {
    this.#set(key, text, () => (element.firstChild.textContent = text));
  }

  #flag(element, name, on) {
    this.#set(name, on, () => element.toggleAttribute(name, on));
  }

  #set(key, value, write) {
    if (this.#shown[key] === value) return;
    this.#shown[key] = value;
    write(value);
  }
}

function line(document, { entry, from, to }, words) {
  const item = document.createElement("li");
  const text = document.createElement("bdi");
  text.textContent = entry === undefined ? words.gap({ from, to }) : (entry.text ?? print(entry.value, 0));
  item.append(text);
  item.dataset.level = entry === undefined ? "gap" : (entry.level ?? "value");
  return item;
}

function build(document) {
  const parts = {
    box: make(document, "div", "box", { role: "group", "aria-labelledby": "name" }),
    head: make(document, "div", "head"),
    icon: buildIcon(document),
    name: makeText(document, "name", { id: "name" }),
    state: makeText(document, "state"),
    amount: makeText(document, "amount"),
    cancel: make(document, "button", "cancel", { type: "button" }),
    track: make(document, "div", "track", { role: "progressbar", "aria-labelledby": "name", "aria-valuemin": 0, "aria-valuemax": 100 }),
    bar: make(document, "div", "bar"),
    foot: make(document, "div", "foot"),
    detail: makeText(document, "detail"),
    pace: makeText(document, "pace"),
    log: make(document, "div", "log", { role: "log", "aria-live": "off", tabindex: 0, hidden: "" }),
    live: make(document, "span", "", { role: "status" }),
    slots: Object.fromEntries(END_SLOTS.map((name) => [name, make(document, "slot", "", { name, hidden: "" })])),
  };
  parts.live.className = "unseen";
  parts.head.append(parts.icon, parts.name, parts.state, parts.amount, parts.cancel);
  parts.track.append(parts.bar);
  parts.foot.append(parts.detail, parts.pace);
  parts.log.append(document.createElement("ol"));
  parts.box.append(parts.head, parts.track, parts.foot, parts.log, ...Object.values(parts.slots), parts.live);
  return parts;
}

function buildIcon(document) {
  const icon = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["class", "icon"], ["part", "icon"], ["viewBox", "0 0 16 16"], ["aria-hidden", "true"]]) icon.setAttribute(name, value);
  icon.append(document.createElementNS(SVG, "path"), document.createElementNS(SVG, "path"));
  icon.lastChild.setAttribute("class", "solid");
  icon.lastChild.setAttribute("fill-rule", "evenodd");
  return icon;
}
