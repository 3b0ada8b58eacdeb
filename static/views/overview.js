// How it goes, on one screen: four figures, five charts of the last minutes, what runs and what failed.

import { count, elapsed, ms, plural, short } from "../format.js";
import { jobHref, jobsHref, nodesHref, submitHref } from "../route.js";
import { Chart } from "./chart.js";
import { html } from "./html.js";
import { Ago, Bar, Empty, Pace, Pre, progressWords } from "./parts.js";

const SHOWN = 5; // jobs of each brief list

export default function Overview({ page }) {
  const { stats } = page.store;
  const shared = { stats, now: page.now, spanMs: stats.span(page.now), theme: page.ui.theme.value };
  return html`
    <div class="view-head"><h1 tabindex="-1">Overview</h1><${Fleet} page=${page} /></div>
    <${Figures} page=${page} />
    <div class="charts">
      <${Chart} ...${shared} title="Jobs per second" least=${2} lines=${[
        { name: "submitted", series: "submitted", colour: "--queued" },
        { name: "succeeded", series: "succeeded", colour: "--succeeded", fill: true },
        { name: "failed", series: "failed", colour: "--failed", fill: true },
      ]} />
      <${Chart} ...${shared} title="Jobs waiting and running" least=${4} lines=${[
        { name: "queued", series: "queued", colour: "--scheduled", fill: true },
        { name: "running", series: "running", colour: "--running", fill: true },
      ]} />
    </div>
    <div class="charts three">
      <${Chart} ...${shared} title="Pick-up time" unit="ms" least=${5} lines=${percentiles("pickup")} />
      <${Chart} ...${shared} title="Run time" unit="ms" least=${20} lines=${percentiles("run")} />
      <${Chart} ...${shared} title="Loop lateness" unit="ms" least=${5} lines=${[
        { name: "now", series: "loop_lag_ms", colour: "--accent", fill: true },
      ]} />
    </div>
    <div class="lists">
      <${Running} page=${page} />
      <${Failed} page=${page} />
    </div>`;
}

function percentiles(of) {
  return [
    { name: "p50", series: `${of}_p50`, colour: "--running", fill: true },
    { name: "p99", series: `${of}_p99`, colour: "--scheduled" },
  ];
}

function Fleet({ page }) {
  const { latest } = page.store.stats;
  if (latest === null) return null;
  const link = html`<a href=${nodesHref}>${plural(latest.nodes, "node")}</a>`;
  return html`<p class="fleet">${link} · ${plural(latest.clients, "client")} · ${plural(latest.subscriptions ?? 0, "subscription")}</p>`;
}

function Figures({ page }) {
  const { latest } = page.store.stats;
  const counts = page.store.feed("running")?.counts ?? null;
  const rate = latest && latest.succeeded + latest.failed + latest.cancelled;
  const known = (value) => (value === null || value === undefined ? "–" : short(value));
  const waiting = latest && latest.queued;
  return html`<ul class="figures">
    <${Figure} href=${jobsHref()} name="Jobs a second" state="succeeded" value=${known(rate === null ? null : Number(rate.toFixed(1)))}
      more=${latest ? `${short(latest.submitted)} submitted a second` : "waiting for the first second"} />
    <${Figure} href=${jobsHref({ state: ["queued", "scheduled"] })} name="Waiting" state="queued" value=${known(waiting)}
      more=${latest ? (latest.scheduled ? `and ${short(latest.scheduled)} scheduled for later` : "none scheduled for later") : ""} />
    <${Figure} href=${jobsHref({ state: ["running", "cancelling"] })} name="Running" state="running" value=${known(latest?.running)}
      more=${Number.isFinite(latest?.pickup_ms?.p50) ? `picked up in ${ms(latest.pickup_ms.p50)}` : ""} />
    <${Figure} href=${jobsHref({ state: ["failed"] })} name="Failed" state="failed" value=${known(counts?.failed)}
      more=${counts ? `of ${short(ended(counts))} that ended` : ""} />
  </ul>`;
}

function ended(counts) {
  return (counts.succeeded ?? 0) + (counts.failed ?? 0) + (counts.cancelled ?? 0);
}

function Figure({ href, name, state, value, more }) {
  return html`<li><a class="figure card" href=${href} data-state=${state}>
    <span class="figure-name"><span class="dot" aria-hidden="true"></span>${name}</span>
    <span class="figure-value">${value}</span>
    <span class="figure-more">${more || " "}</span></a></li>`;
}

function Running({ page }) {
  const feed = page.store.feed("running");
  const jobs = longest(feed);
  const more = (page.store.stats.latest?.running ?? 0) - jobs.length;
  return html`<section class="card" aria-labelledby="running-title">
    <div class="card-head"><h2 id="running-title">Running now</h2>
      ${more > 0 && html`<a href=${jobsHref({ state: ["running", "cancelling"] })}>${count(more)} more</a>`}</div>
    ${jobs.length > 0 ? html`<ul class="brief">${jobs.map((job) => html`<${RunningRow} key=${job.id} job=${job} now=${page.now} />`)}</ul>`
      : feed?.loaded ? html`<${Idle} page=${page} counts=${feed.counts} />` : html`<p class="loading">Loading …</p>`}
  </section>`;
}

// Those that have run longest: short ones would only flicker past.
function longest(feed) {
  const jobs = [...(feed?.jobs.values() ?? [])].filter((job) => job.started_at !== null);
  return jobs.sort((a, b) => a.started_at - b.started_at || (a.id < b.id ? -1 : 1)).slice(0, SHOWN);
}

function RunningRow({ job, now }) {
  const { done, ahead } = progressWords(job, now);
  return html`<li class="brief-row">
    <div class="brief-line"><a class="cover" href=${jobHref(job.id)}>${job.task}</a><${Pace} job=${job} /><span class="brief-end">${ahead || `for ${elapsed(now - (job.started_at ?? job.updated_at))}`}</span></div>
    <${Bar} job=${job} />
    <div class="brief-line dim"><span class="cut">${done || "no progress told so far"}</span></div>
  </li>`;
}

function Idle({ page, counts }) {
  const never = counts && Object.values(counts).every((number) => number === 0);
  if (!never) return html`<p class="quiet">Nothing runs at the moment.</p>`;
  const task = page.store.tasks?.[0]?.name ?? "sleep";
  return html`<${Empty} title="No jobs yet" mark=${true}>
    <p><a href=${submitHref()}>Submit one with the form</a>, or from a terminal:</p>
    <${Pre} kind="shell" label="A command that submits a job" text=${`windsock submit ${task} --watch --url ${location.origin}`} />
    <p>It appears here at once and moves while it runs.</p>
  <//>`;
}

function Failed({ page }) {
  const feed = page.store.feed("failed");
  const ids = (feed?.ids() ?? []).slice(0, SHOWN);
  return html`<section class="card" aria-labelledby="failed-title">
    <div class="card-head"><h2 id="failed-title">Failed last</h2>
      ${ids.length > 0 && html`<a href=${jobsHref({ state: ["failed"] })}>All failed</a>`}</div>
    ${ids.length > 0 ? html`<ul class="brief">${ids.map((id) => html`<${FailedRow} key=${id} job=${feed.jobs.get(id)} now=${page.now} />`)}</ul>`
      : html`<p class="quiet">${feed?.loaded ? "No job has failed." : "Loading …"}</p>`}
  </section>`;
}

function FailedRow({ job, now }) {
  return html`<li class="brief-row">
    <div class="brief-line"><a class="cover" href=${jobHref(job.id)}>${job.task}</a><span class="brief-end"><${Ago} at=${job.finished_at} now=${now} /></span></div>
    <div class="brief-line dim"><span class="cut">${[`attempt ${job.attempt}`, ...job.tags, job.node && `on ${job.node}`].filter(Boolean).join(" · ")}</span></div>
  </li>`;
}
