// The filters of the list. Each is in the URL: a link, a reload and Back show the same list again.

import { count } from "../format.js";
import { STATES } from "../job.js";
import { jobsHref, jobHref, toggled, withValues } from "../route.js";
import { html, useEffect, useRef } from "./html.js";
import { shortId } from "../format.js";

export function Filters({ page, feed }) {
  const bar = useRef(null);
  useEffect(() => {
    const search = (event) => {
      if (event.detail !== "search") return;
      event.preventDefault();
      bar.current.querySelector("select").focus();
    };
    addEventListener("wish", search);
    return () => removeEventListener("wish", search);
  }, []);
  return html`<div class="filters" ref=${bar}>
    <${States} page=${page} counts=${feed?.counts ?? null} />
    <div class="filter-fields">
      <${Choice} page=${page} name="task" label="Task" known=${(page.store.tasks ?? []).map((task) => task.name)} />
      <${Choice} page=${page} name="queue" label="Queue" known=${queues(page.store)} />
      <${Tag} page=${page} />
      <${Parent} page=${page} />
    </div>
  </div>`;
}

function queues(store) {
  return [...new Set(["default", ...(store.tasks ?? []).map((task) => task.options?.queue).filter(Boolean)])];
}

function States({ page, counts }) {
  const { filter } = page.route;
  const chosen = filter.state ?? [];
  const total = counts && Object.values(counts).reduce((sum, number) => sum + number, 0);
  // Cancelling lasts a moment: its place would be a zero nearly always.
  const shown = STATES.filter((state) => state !== "cancelling" || counts?.cancelling > 0 || chosen.includes(state));
  return html`<nav class="states" aria-label="Show jobs by state">
    <${State} href=${jobsHref(withValues(filter, "state", []))} state="all" number=${total} current=${chosen.length === 0} />
    ${shown.map((state) => html`<${State} key=${state} state=${state} current=${chosen.includes(state)}
      href=${jobsHref(toggled(filter, "state", state))} number=${counts && (counts[state] ?? 0)} />`)}
  </nav>`;
}

function State({ href, state, number, current }) {
  return html`<a class="state" data-state=${state} href=${href} aria-current=${current ? "true" : undefined}>
    <span class="label"><span class="dot" aria-hidden="true"></span>${state}</span>
    <span class="number">${number === null ? "–" : count(number)}</span></a>`;
}

function Choice({ page, name, label, known }) {
  const { filter } = page.route;
  const values = filter[name] ?? [];
  const names = [...new Set([...known, ...values])].sort();
  const shown = values.length > 1 ? "several" : (values[0] ?? "");
  const change = (event) => page.actions.go(jobsHref(withValues(filter, name, event.target.value === "" ? [] : [event.target.value])));
  return html`<label class="filter">${label}
    <select value=${shown} onChange=${change} data-set=${values.length > 0 ? "" : undefined}>
      <option value="">all</option>
      ${values.length > 1 && html`<option value="several">${values.join(", ")}</option>`}
      ${names.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
    </select></label>`;
}

function Tag({ page }) {
  const { filter } = page.route;
  const set = (event) => {
    event.preventDefault();
    const text = new FormData(event.target.closest("form")).get("tag").trim();
    const href = jobsHref(withValues(filter, "tag", text === "" ? [] : [text]));
    if (href !== location.hash) page.actions.go(href);
  };
  return html`<form class="filter" onSubmit=${set}><label for="filter-tag">Tag</label>
    <input id="filter-tag" name="tag" type="search" placeholder="any" autocomplete="off" spellcheck="false" key=${(filter.tag ?? []).join()}
      defaultValue=${(filter.tag ?? []).join(", ")} data-set=${filter.tag ? "" : undefined} onChange=${set} /></form>`;
}

function Parent({ page }) {
  const { filter } = page.route;
  if (!filter.parent) return null;
  return html`<p class="filter-chip">children of <a href=${jobHref(filter.parent[0])}><code>${shortId(filter.parent[0])}</code></a>
    <a class="chip-remove" href=${jobsHref(withValues(filter, "parent", []))} aria-label="Not only the children of this job">×</a></p>`;
}
