// What a job gave: its result, what it emitted on the way, or its error.

import { bytes, count, plural, clockWithSeconds } from "../format.js";
import { print } from "../codec.js";
import { html } from "./html.js";
import { CopyButton, Pre } from "./parts.js";

const SHOWN_CHARACTERS = 20_000;
const PARTIALS = 50; // emitted values that are shown, the last ones

export function shorten(text, most = SHOWN_CHARACTERS) {
  const over = text.length - most;
  return over <= 0 ? text : `${text.slice(0, most)}\n… ${plural(over, "character")} more`;
}

export function Failure({ watch }) {
  const error = watch.job.error ?? watch.whole?.error ?? null;
  if (watch.job.state !== "failed" || error === null) return null;
  return html`<section class="card failure" aria-labelledby="failure-title">
    <h2 id="failure-title">Error <code>${error.code}</code></h2>
    <p class="failure-message">${error.message}</p>
    ${error.traceback && html`<details open><summary>Traceback</summary><${Pre} kind="trace" label="Traceback" text=${shorten(error.traceback)} /></details>`}
  </section>`;
}

export function Values({ watch, page }) {
  const { job, whole } = watch;
  const result = "result" in job ? job.result : whole?.result;
  const waiting = job.state === "succeeded" && result === undefined;
  return html`
    ${job.state === "succeeded" && html`<section class="card part" aria-labelledby="result-title">
      <div class="part-head"><h2 id="result-title">Result</h2>
        <span class="dim">${job.result_bytes > 1000 ? bytes(job.result_bytes) : ""}</span>
        ${!waiting && html`<${CopyButton} text=${print(result)} label="Result" actions=${page.actions} quiet=${true} />`}</div>
      ${waiting ? html`<p class="dim">Loading …</p>` : result === null ? html`<p class="dim">It returned nothing.</p>` : html`<${Pre} label="Result" text=${shorten(print(result))} />`}
    </section>`}
    <${Partials} watch=${watch} />`;
}

// Emitted values stand in the log too; here they are by themselves.
function Partials({ watch }) {
  const rows = watch.log.values;
  if (rows.length === 0) return null;
  const shown = rows.slice(-PARTIALS);
  return html`<section class="card part" aria-labelledby="partials-title">
    <details><summary><h2 id="partials-title">Partial results</h2> <span class="dim">${count(rows.length)}${rows.length > shown.length ? `, the last ${shown.length}` : ""}</span></summary>
      <ol class="partials" tabindex="0" aria-label="Partial results">${shown.map(({ offset, entry }) => html`<li key=${offset}><time>${clockWithSeconds(entry.at)}</time><code>${shorten(oneLine(entry.value), 2000)}</code></li>`)}</ol>
    </details></section>`;
}

export function oneLine(value) {
  return typeof value === "object" && value !== null ? print(value).replace(/\s*\n\s*/g, " ") : print(value);
}
