// What is shown, as the hash of the URL: `#/jobs?state=running&task=sleep`, `#/jobs/01JD…`, `#/submit?task=sleep`. So
// links, reload and Back just work. Pure.

import { STATES } from "./job.js";

export const FILTERS = Object.freeze(["state", "task", "queue", "tag", "parent"]);
const VIEWS = new Set(["overview", "jobs", "job", "submit", "nodes"]);

/** `{view, filter, job, task, from}`: what a hash asks for; anything unknown is the overview. */
export function readRoute(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const asked = new URLSearchParams(query);
  const [first, second] = path.split("/").map(decode);
  if (first === "jobs" && second) return route({ view: "job", job: second });
  if (first === "jobs") return route({ view: "jobs", filter: readFilter(asked) });
  if (first === "submit") return route({ view: "submit", task: asked.get("task"), from: asked.get("from") });
  return route({ view: VIEWS.has(first) ? first : "overview" });
}

function route(given) {
  return { view: "overview", filter: {}, job: null, task: null, from: null, ...given };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

function readFilter(asked) {
  const filter = {};
  for (const name of FILTERS) {
    const values = asked.getAll(name).filter((value) => value !== "" && (name !== "state" || STATES.includes(value)));
    if (values.length > 0) filter[name] = [...new Set(values)];
  }
  return filter;
}

export const overviewHref = "#/";
export const nodesHref = "#/nodes";

export function jobHref(id) {
  return `#/jobs/${encodeURIComponent(id)}`;
}

/** The list; `filter` is a map of arrays, empty ones left out. */
export function jobsHref(filter = {}) {
  const query = new URLSearchParams();
  for (const name of FILTERS) for (const value of [filter[name] ?? []].flat()) query.append(name, value);
  return String(query) ? `#/jobs?${query}` : "#/jobs";
}

export function submitHref({ task = null, from = null } = {}) {
  const query = new URLSearchParams();
  if (task) query.set("task", task);
  if (from) query.set("from", from);
  return String(query) ? `#/submit?${query}` : "#/submit";
}

/** A filter with one value in or out. */
export function toggled(filter, name, value) {
  const values = filter[name] ?? [];
  const next = values.includes(value) ? values.filter((one) => one !== value) : [...values, value];
  return withValues(filter, name, next);
}

export function withValues(filter, name, values) {
  const next = { ...filter, [name]: values };
  if (values.length === 0) delete next[name];
  return next;
}

/** The same as text: two filters are equal when these are. */
export function filterKey(filter) {
  return jobsHref(filter);
}
