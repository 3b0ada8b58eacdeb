// One job, whole: how far it is, what it says, what became of it, and what can be done with it.

import { reportPath } from "../api.js";
import { duration, elapsed, leftText, paceText, percent, progressText, roughly, shortId, stepText, timing } from "../format.js";
import { hasEnded, isHeld } from "../job.js";
import { jobHref, jobsHref, submitHref } from "../route.js";
import { Children } from "./children.js";
import { Failure, Values } from "./data.js";
import { Facts } from "./facts.js";
import { html, useEffect, useState } from "./html.js";
import { Insight } from "./insight.js";
import { LogView } from "./log.js";
import { ActionButton, Badge, Bar, CopyButton, Empty, Pace } from "./parts.js";
import { Timeline } from "./timeline.js";
import { Warnings } from "./warnings.js";

export default function Job({ page }) {
  const { watch } = page.store;
  if (watch === null) return null;
  if (watch.job === null || watch.error?.code === "not_found") return html`<${Missing} page=${page} watch=${watch} />`;
  return html`<article class="job" key=${watch.id}>
    <${Head} page=${page} watch=${watch} />
    <${Standing} page=${page} watch=${watch} />
    <div class="job-columns">
      <div class="job-main">
        <${Failure} watch=${watch} />
        <${Warnings} watch=${watch} />
        <${Values} watch=${watch} page=${page} />
        <${Children} page=${page} watch=${watch} />
        <${LogView} page=${page} watch=${watch} />
        <${Insight} page=${page} watch=${watch} />
      </div>
      <aside class="job-side" aria-label="About this job">
        <${Timeline} page=${page} watch=${watch} />
        <${Facts} page=${page} watch=${watch} />
      </aside>
    </div>
  </article>`;
}

function Missing({ page, watch }) {
  if (watch.error === null) return html`<div class="view-head"><h1 tabindex="-1">Job</h1></div><p class="loading card" role="status">Loading …</p>`;
  const gone = watch.error.code === "not_found";
  return html`<div class="view-head"><h1 tabindex="-1">Job</h1></div>
    <section class="card"><${Empty} title=${gone ? "This job is not here" : "This job cannot be shown"}>
      <p>${gone ? "It is not kept any more, was deleted, or never was." : (watch.error.message ?? watch.error.code)}</p>
      <p><code>${watch.id}</code></p><p><a href=${page.ui.listHref.value}>To the list of jobs</a></p><//></section>`;
}

function Head({ page, watch }) {
  const { job } = watch;
  const [problem, setProblem] = useState("");
  useEffect(() => onAgain(() => page.actions.go(submitHref({ from: job.id }))), [job.id]);
  const act = { onProblem: (error) => setProblem(error.message) };
  const ended = hasEnded(job);
  const gone = watch.error !== null;
  return html`<header class="job-head">
    <nav class="crumbs" aria-label="Where this is"><a href=${page.ui.listHref.value}>Jobs</a> <span aria-hidden="true">/</span> <a href=${jobsHref({ task: [job.task] })}>${job.task}</a>
      ${job.parent && html` <span aria-hidden="true">/</span> child of <a href=${jobHref(job.parent)}><code>${shortId(job.parent)}</code></a>`}</nav>
    <div class="job-title">
      <h1 tabindex="-1">${job.task}</h1><${Badge} state=${job.state} /><${Pace} job=${job} />
      <div class="actions">
        ${!ended && html`<${ActionButton} key="cancel" kind="danger" disabled=${job.state === "cancelling" || gone} action=${() => page.actions.cancel(job.id)} ...${act}>
          ${job.state === "cancelling" ? "Cancelling …" : "Cancel"}<//>`}
        ${ended && html`<${ActionButton} key="rerun" disabled=${gone} action=${() => page.actions.rerun(job.id)} ...${act}>Run again<//>`}
        <a class="button" href=${submitHref({ from: job.id })}>Edit and run again</a>
        <a class="button" href=${reportPath(job.id)} download=${`windsock-${job.task}-${job.id}.html`}>Save report</a>
        ${ended && html`<${Delete} page=${page} job=${job} act=${act} />`}
      </div>
    </div>
    <p class="job-id"><code>${job.id}</code><${CopyButton} text=${job.id} label="Id" actions=${page.actions} quiet=${true}>Copy id<//></p>
    ${problem && html`<p class="form-error" role="alert">${problem}</p>`}
  </header>`;
}

function onAgain(go) {
  const wish = (event) => event.detail === "again" && (event.preventDefault(), go());
  addEventListener("wish", wish);
  return () => removeEventListener("wish", wish);
}

// What is deleted does not come back: it asks once more, in its own place.
function Delete({ page, job, act }) {
  const [sure, setSure] = useState(false);
  if (!sure) return html`<button type="button" class="button quiet" onClick=${() => setSure(true)}>Delete</button>`;
  return html`<${ActionButton} kind="danger" action=${() => page.actions.remove(job.id)} ...${act} onBlur=${() => setSure(false)}>Delete for good<//>`;
}

/** How far it is, in large. */
function Standing({ page, watch }) {
  const { job } = watch;
  const figures = standingFigures(job, watch.whole, page.now);
  return html`<section class="standing card" aria-label="How far it is" data-state=${job.state}>
    ${job.bar !== null || isHeld(job) ? html`<div class="standing-bar"><${Bar} job=${job} label="Progress" />
      <span class="standing-percent">${job.bar === null ? "" : percent(job.bar)}</span></div>` : null}
    <div class="standing-line">
      <p class="standing-words">${[stepText(job.progress), progressText(job.progress)].filter(Boolean).join(" · ") || silence(job)}</p>
      <dl class="standing-figures">${figures.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    </div>
  </section>`;
}

function silence(job) {
  const words = hasEnded(job) ? "It told no progress." : isHeld(job) ? "It has not said how far it is." : "It has not begun.";
  return html`<span class="dim">${words}</span>`;
}

function standingFigures(job, whole, now) {
  const figures = [];
  const add = (name, value) => value && figures.push([name, value]);
  if (isHeld(job)) {
    add("running for", elapsed(now - (job.started_at ?? job.updated_at)));
    add("rate", paceText(job));
    add("remaining", leftText(job, now).replace(/ left$/, ""));
  } else if (hasEnded(job)) {
    add("took", job.started_at === null ? "not started" : duration(job.finished_at - job.started_at));
    add("ended", timing(job, now).second);
  } else {
    add("waiting for", job.state === "queued" ? elapsed(now - job.updated_at) : "");
    add("due", job.state === "scheduled" ? timing(job, now).first : "");
    add("before it", job.state === "queued" && whole?.position !== undefined ? `about ${whole.position}` : "");
    add("starts", job.state === "queued" && Number.isFinite(whole?.start_in_s) ? `in about ${roughly(whole.start_in_s)}` : "");
  }
  return figures;
}
