// The jobs that this one spawned, as a tree: each that has children of its own can be opened.

import { plural, progressText, stepText } from "../format.js";
import { childrenName } from "../live.js";
import { jobHref, jobsHref } from "../route.js";
import { html } from "./html.js";
import { Badge, Bar, Pace } from "./parts.js";

const SHOWN = 100;

export function Children({ page, watch }) {
  const { job } = watch;
  if (!(job.children?.total > 0)) return null;
  return html`<section class="card part" aria-labelledby="children-title">
    <div class="part-head"><h2 id="children-title">Children</h2><span class="dim">${totals(job.children)}</span>
      <a class="part-link" href=${jobsHref({ parent: [job.id] })}>As a list</a></div>
    <${Branch} page=${page} id=${job.id} depth=${0} />
  </section>`;
}

function totals({ total, ended = 0, failed = 0, cancelled = 0, running = 0 }) {
  const parts = [`${ended} of ${total} ended`, running > 0 && `${running} running`, failed > 0 && `${failed} failed`, cancelled > 0 && `${cancelled} cancelled`];
  return parts.filter(Boolean).join(" · ");
}

function Branch({ page, id, depth }) {
  const feed = page.store.feed(childrenName(id));
  if (feed?.error) return html`<p class="dim">The children cannot be shown: ${feed.error.message ?? feed.error.code}</p>`;
  if (!feed?.loaded) return html`<p class="dim">Loading …</p>`;
  const ids = feed.ids().toReversed().slice(0, SHOWN); // first spawned, first shown
  const more = feed.jobs.size - ids.length;
  return html`<ul class="tree" style=${{ "--depth": depth }}>${ids.map((child) => html`<${Child} key=${child} page=${page} job=${feed.jobs.get(child)} depth=${depth} />`)}
    ${more > 0 && html`<li class="dim">${plural(more, "more child", "more children")}: <a href=${jobsHref({ parent: [id] })}>as a list</a></li>`}</ul>`;
}

function Child({ page, job, depth }) {
  const parent = job.children?.total > 0;
  const open = page.ui.opened.has(job.id);
  return html`<li class="child" data-state=${job.state}>
    <div class="child-line">
      <span class="child-name">${parent ? html`<button type="button" class="twist" aria-expanded=${open} aria-label=${`Children of ${job.task}`} onClick=${() => page.actions.toggleChildren(job.id)}>${open ? "▾" : "▸"}</button>` : html`<span class="twist"></span>`}
        <a class="cut" href=${jobHref(job.id)}>${job.task}</a><${Pace} job=${job} /></span>
      <span class="child-words cut">${[stepText(job.progress), progressText(job.progress)].filter(Boolean).join(" · ")}</span>
      <span class="child-bar"><${Bar} job=${job} /></span>
      <${Badge} state=${job.state} />
    </div>
    ${parent && open && html`<${Branch} page=${page} id=${job.id} depth=${depth + 1} />`}
  </li>`;
}
