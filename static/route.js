// What is shown, as the hash of the URL: `#state=running&task=sleep&job=01JD…`. So links, reload and Back just work.

import { STATES } from "./store.js";

export function readRoute(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const state = STATES.includes(query.get("state")) ? query.get("state") : null;
  const job = query.get("job") || null;
  return { state, task: query.get("task") || null, job, submit: job === null && query.get("open") === "submit" };
}

export function writeRoute({ state = null, task = null, job = null, submit = false }) {
  const query = new URLSearchParams();
  if (state) query.set("state", state);
  if (task) query.set("task", task);
  if (job) query.set("job", job);
  else if (submit) query.set("open", "submit");
  return `#${query}`;
}

/** The filter of a feed subscription. */
export function feedFilter({ state, task }) {
  return { ...(state && { state }), ...(task && { task }) };
}
