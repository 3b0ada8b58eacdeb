// The list of jobs: filters that stand in the URL, rows without end, and what can be done with many of them.

import { count, plural } from "../format.js";
import { listName } from "../live.js";
import { jobsHref, submitHref } from "../route.js";
import { Selection } from "../selection.js";
import { Filters } from "./filters.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Empty, Pre } from "./parts.js";
import { JobTable } from "./table.js";

export default function Jobs({ page }) {
  const { route, store } = page;
  const feed = store.feed(listName(route.filter));
  const key = jobsHref(route.filter);
  const selection = useSelection(key);
  const total = feed?.counts ? totalOf(feed.counts, route.filter.state) : null;
  return html`
    <div class="view-head"><h1 tabindex="-1">Jobs</h1>
      <p class="fleet">${feed?.loaded ? (total === null ? plural(feed.jobs.size, "job") + " shown" : plural(total, "job")) : " "}</p></div>
    <${Filters} page=${page} feed=${feed} />
    <section class="card feed" aria-label="Jobs, newest first" aria-busy=${!feed?.loaded}>
      ${feed?.error ? html`<${Empty} title="The list was refused"><p>${feed.error.message ?? feed.error.code}</p><//>`
        : !feed?.loaded ? html`<${Skeleton} />`
        : feed.jobs.size === 0 ? html`<${NoJobs} page=${page} />`
        : html`<${JobTable} key=${key} page=${page} feed=${feed} selection=${selection} />`}
    </section>
    <${Bulk} page=${page} feed=${feed} selection=${selection} />`;
}

// One for each filter: what is chosen must be in sight.
function useSelection(key) {
  const held = useRef(null);
  if (held.current?.key !== key) held.current = { key, selection: new Selection() };
  return held.current.selection;
}

function totalOf(counts, states) {
  return Object.entries(counts).reduce((sum, [state, number]) => (states && !states.includes(state) ? sum : sum + number), 0);
}

// Shown only when loading takes long enough to be seen.
function Skeleton() {
  return html`<div class="skeleton" role="status" aria-label="Loading the jobs">${Array.from({ length: 8 }, (_, index) => html`<span key=${index}></span>`)}</div>`;
}

function NoJobs({ page }) {
  if (Object.keys(page.route.filter).length > 0) {
    return html`<${Empty} title="No job matches"><p>Jobs appear here as soon as they do. <a href=${jobsHref()}>Show all jobs</a></p><//>`;
  }
  return html`<${Empty} title="No jobs yet" mark=${true}>
    <p><a href=${submitHref()}>Submit one with the form</a>, or from a terminal:</p>
    <${Pre} kind="shell" label="A command that submits a job" text=${curlLine()} />
    <p>It appears here at once and moves while it runs.</p><//>`;
}

// Quoted and broken so that it can be pasted into a shell as it stands.
function curlLine() {
  return `curl --json '{"task": "sleep", "args": {"seconds": 20}}' \\\n  ${location.origin}/api/jobs`;
}

const DONE = { cancel: "asked to end", rerun: "run again" };

function Bulk({ page, feed, selection }) {
  const [busy, setBusy] = useState(null);
  useEffect(() => {
    const clear = (event) => {
      if (event.key !== "Escape" || selection.size === 0 || event.target.closest?.("dialog")) return;
      selection.clear();
      page.actions.show();
    };
    addEventListener("keydown", clear);
    return () => removeEventListener("keydown", clear);
  }, [selection]);
  if (!feed || (selection.size === 0 && busy === null)) return null;
  const { going, ended } = selection.split(feed.jobs);
  const run = async (name, ids) => {
    setBusy(`0 of ${count(ids.length)} …`);
    const failed = await page.actions.each(name, ids, (done) => setBusy(`${count(done)} of ${count(ids.length)} …`));
    setBusy(null);
    selection.clear();
    page.actions.say(`${plural(ids.length - failed, "job")} ${DONE[name]}${failed ? `, ${count(failed)} could not be` : ""}`);
    page.actions.show();
  };
  return html`<div class="bulk" role="region" aria-label="Selected jobs">
    <span class="bulk-words" role="status">${busy ?? `${count(selection.size)} selected`}</span>
    <button type="button" class="button danger" disabled=${busy !== null || going.length === 0} onClick=${() => run("cancel", going)}>Cancel${some(going)}</button>
    <button type="button" class="button" disabled=${busy !== null || ended.length === 0} onClick=${() => run("rerun", ended)}>Run again${some(ended)}</button>
    <button type="button" class="button quiet" onClick=${() => (selection.clear(), page.actions.show())}>Clear</button>
  </div>`;
}

function some(ids) {
  return ids.length > 0 ? ` ${count(ids.length)}` : "";
}
