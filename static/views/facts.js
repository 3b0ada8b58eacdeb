// What a job was submitted with, and where it stands: arguments and plain facts.

import { fullTime } from "../format.js";
import { print } from "../codec.js";
import { jobHref, jobsHref } from "../route.js";
import { html } from "./html.js";
import { CopyButton, Pre } from "./parts.js";
import { shorten } from "./data.js";

export function Facts({ page, watch }) {
  const { job, whole } = watch;
  const facts = factsOf(job, whole).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html`<section class="card part" aria-labelledby="args-title">
      <div class="part-head"><h2 id="args-title">Arguments</h2>
        ${whole && html`<${CopyButton} text=${print(whole.args)} label="Arguments" actions=${page.actions} quiet=${true} />`}</div>
      ${!whole ? html`<p class="dim">Loading …</p>` : Object.keys(whole.args ?? {}).length === 0 ? html`<p class="dim">None.</p>`
        : html`<${Pre} label="Arguments" text=${shorten(print(whole.args))} />`}
    </section>
    <section class="card part" aria-labelledby="facts-title"><h2 id="facts-title">Facts</h2>
      <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    </section>`;
}

function factsOf(job, whole) {
  const rerunOf = whole?.rerun_of ?? job.rerun_of;
  const time = (at) => at && fullTime(at);
  return [
    ["queue", html`<a href=${jobsHref({ queue: [job.queue] })}>${job.queue}</a>`],
    ["node", job.node],
    ["attempt", String(job.attempt)],
    ["max attempts", html`<span title="Attempts that may be lost with their worker">${job.max_attempts}</span>`],
    ["priority", job.priority ? String(job.priority) : null],
    ["tags", job.tags.length > 0 && html`<span class="tags">${job.tags.map((tag) => html`<a class="tag" key=${tag} href=${jobsHref({ tag: [tag] })}>${tag}</a>`)}</span>`],
    ["created", time(job.created_at)],
    ["due", time(job.scheduled_at)],
    ["started", time(job.started_at)],
    ["finished", time(job.finished_at)],
    ["runs again", rerunOf && html`<a href=${jobHref(rerunOf)}><code>${rerunOf}</code></a>`],
    ["checkpoint", whole?.checkpoint !== undefined && whole?.checkpoint !== null && html`<code>${shorten(print(whole.checkpoint), 400)}</code>`],
  ].filter(([, value]) => value !== false);
}
