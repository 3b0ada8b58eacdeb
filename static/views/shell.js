// What surrounds every view: the name, the ways, the connection in words, what is said aloud, the help.

import { connectionText, endsText } from "../format.js";
import { jobsHref, nodesHref, overviewHref, submitHref } from "../route.js";
import { Help } from "./help.js";
import { html, useErrorBoundary, useRef } from "./html.js";

const ANNOUNCE_EVERY_MS = 4000; // not more often than can be listened to

export function Shell({ page, view }) {
  const skip = (event) => {
    event.preventDefault();
    document.querySelector("main h1")?.focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Top} page=${page} />
    <${Notice} page=${page} />
    <main id="main"><${Guarded} key=${page.route.view} page=${page} view=${view} /></main>
    <${Announcer} page=${page} />
    <p class="toast" role="status">${page.ui.toast.value && html`<span>${page.ui.toast.value}</span>`}</p>
    <${Help} page=${page} />`;
}

// A fault in one view must not take the ways to the others with it.
function Guarded({ page, view: View }) {
  const [error, reset] = useErrorBoundary((fault) => console.error(fault));
  if (error) {
    return html`<section class="card empty" role="alert"><h1 tabindex="-1">This view failed</h1>
      <p>${String(error.message ?? error)}</p><button type="button" class="button" onClick=${reset}>Try again</button></section>`;
  }
  return View ? html`<${View} page=${page} />` : html`<p class="loading" role="status">Loading …</p>`;
}

function Top({ page }) {
  return html`<header class="top">
    <a class="brand" href=${overviewHref}><img src="static/icon.svg" alt="" width="28" height="28" /><span>Windsock</span></a>
    <nav class="ways" aria-label="Views">
      <${Way} page=${page} href=${overviewHref} views=${["overview"]}>Overview<//>
      <${Way} page=${page} href=${page.ui.listHref.value} views=${["jobs", "job"]}>Jobs<//>
      <${Way} page=${page} href=${nodesHref} views=${["nodes"]}>Nodes<//>
    </nav>
    <${Connection} page=${page} />
    <button type="button" class="button quiet icon" aria-label="Keyboard and theme" title="Keyboard and theme (?)" onClick=${() => (page.ui.help.value = true)}>?</button>
    <a class="button primary" href=${submitHref()} aria-current=${page.route.view === "submit" ? "page" : undefined}>Submit<span class="on-wide">${"\u00a0a job"}</span></a>
  </header>`;
}

function Way({ page, href, views, children }) {
  const here = views.includes(page.route.view);
  const exact = here && page.route.view === views[0];
  return html`<a class="way" href=${here && views.length === 1 ? href : exact ? jobsHref(page.route.filter) : href}
    aria-current=${exact ? "page" : here ? "true" : undefined}>${children}</a>`;
}

function Connection({ page }) {
  const { word } = connectionText(page.status, page.store.stale);
  const phase = word === "stale" ? "stale" : page.status.phase;
  return html`<p class="connection" id="connection" role="status" data-phase=${phase}>
    <span class="lamp" aria-hidden="true"></span><span class="word">${word}</span></p>`;
}

function Notice({ page }) {
  const { detail } = connectionText(page.status, page.store.stale);
  return html`<p class="notice" role="status" hidden=${detail === ""}>${detail}</p>`;
}

/** Says which jobs ended, politely. Progress is never said. */
function Announcer({ page }) {
  const said = useRef({ at: -Infinity, waiting: [], text: "" }).current;
  said.waiting.push(...page.store.ended.take());
  if (said.waiting.length > 0 && page.now - said.at >= ANNOUNCE_EVERY_MS) {
    said.text = endsText(said.waiting.splice(0));
    said.at = page.now;
  }
  return html`<p class="unseen" id="announcer" role="status" aria-live="polite">${said.text}</p>`;
}
