// The feed: keyed rows, the filter by task, and what to do when there is nothing to show.

import { feedFilter, writeRoute } from "../route.js";
import { el, placeChildren, setAttribute, setHidden } from "./dom.js";
import { Row } from "./row.js";

export class FeedView {
  #rows = new Map(); // job id -> Row
  #taskNames = null;
  #emptyKind = null;

  constructor(page, { go }) {
    this.list = page.querySelector("#rows");
    this.empty = page.querySelector("#empty");
    this.select = page.querySelector("#task-filter");
    this.select.addEventListener("change", () => go({ task: this.select.value || null }));
    this.list.addEventListener("keydown", (event) => this.#moveFocus(event));
  }

  render({ store, route, now }) {
    const jobs = store.feedOrder();
    this.#renderRows(jobs, route, now);
    this.#renderEmpty(store.feed, jobs.length, route);
    this.#renderTasks(store.tasks, route.task);
    setAttribute(this.list, "aria-busy", !store.feed.loaded);
  }

  /** Gives the keyboard back to the row whose detail was closed. */
  focusRow(id) {
    this.#rows.get(id)?.link.focus({ preventScroll: true });
  }

  #renderRows(jobs, route, now) {
    const refuge = this.#refugeFor(new Set(jobs.map((job) => job.id)));
    placeChildren(this.list, jobs.map((job) => this.#showRow(job, route, now)));
    for (const id of this.#rows.keys()) if (!this.#rows.get(id).node.isConnected) this.#rows.delete(id);
    refuge?.focus({ preventScroll: true });
  }

  #showRow(job, route, now) {
    if (!this.#rows.has(job.id)) this.#rows.set(job.id, new Row(job));
    const row = this.#rows.get(job.id);
    row.show(job, now, writeRoute({ ...route, job: job.id }), route.job === job.id);
    return row.node;
  }

  // A row that leaves while it has the focus would drop the keyboard user at the top of the page.
  #refugeFor(staying) {
    const row = [...this.#rows.values()].find((candidate) => candidate.link === document.activeElement);
    if (!row || staying.has(row.id)) return null;
    const neighbours = [...this.list.children].map((node) => this.#rowOf(node));
    const after = neighbours.slice(neighbours.indexOf(row)).find((candidate) => staying.has(candidate.id));
    return after?.link ?? document.querySelector("#feed-title");
  }

  #rowOf(node) {
    return [...this.#rows.values()].find((row) => row.node === node);
  }

  #moveFocus(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const target = step && event.target.closest(".row")?.[step];
    if (!target) return;
    event.preventDefault();
    target.querySelector("a").focus();
  }

  #renderTasks(tasks, selected) {
    const names = [...new Set([...(tasks ?? []).map((task) => task.name), ...(selected ? [selected] : [])])].sort();
    if (String(names) !== this.#taskNames) {
      this.#taskNames = String(names);
      this.select.replaceChildren(el("option", { value: "" }, "all"), ...names.map((name) => el("option", { value: name }, name)));
    }
    if (this.select.value !== (selected ?? "")) this.select.value = selected ?? "";
  }

  #renderEmpty(feed, count, route) {
    const kind = emptyKind(feed, count, route);
    setHidden(this.empty, kind === null);
    if (kind === this.#emptyKind) return;
    this.#emptyKind = kind;
    this.empty.replaceChildren(...(EMPTY[kind]?.(feed) ?? []));
  }
}

function emptyKind(feed, count, route) {
  if (count > 0) return null;
  if (feed.error) return "refused";
  if (!feed.loaded) return null;
  return Object.keys(feedFilter(route)).length > 0 ? "filtered" : "first";
}

const EMPTY = {
  first: () => [
    el("img", { src: "static/icon.svg", alt: "", width: "56", height: "56" }),
    el("h2", {}, "No jobs yet"),
    el("p", {}, "Submit one with the form, or from a terminal:"),
    el("pre.shell", { tabindex: "0" }, curlLine()),
    el("p", {}, "It appears here at once and moves while it runs."),
  ],
  filtered: () => [
    el("h2", {}, "No job matches"),
    el("p", {}, "Jobs appear here as soon as they do. ", el("a", { href: "#" }, "Show all jobs")),
  ],
  refused: (feed) => [el("h2", {}, "The feed was refused"), el("p", {}, feed.error.message ?? feed.error.code)],
};

// Quoted and broken so that it can be pasted into a shell as it stands.
function curlLine() {
  return `curl --json '{"task": "sleep", "args": {"seconds": 20}}' \\\n  ${location.origin}/api/jobs`;
}
