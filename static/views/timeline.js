// What happened to a job, from its submit to its end, attempt by attempt.

import { clockWithSeconds, duration, elapsed, fullTime } from "../format.js";
import { hasEnded, isHeld } from "../job.js";
import { html } from "./html.js";

export function Timeline({ page, watch }) {
  const { job } = watch;
  const lines = watch.attempts.lines(job).filter((line) => line.started_at !== null || line.ended_at !== null || line.attempt === job.attempt);
  return html`<section class="card part" aria-labelledby="timeline-title">
    <h2 id="timeline-title">Timeline</h2>
    <ol class="timeline">
      <${Step} state="queued" at=${job.created_at} title="Submitted" more=${waitText(job, lines[0])} />
      ${lines.flatMap((line) => attemptSteps(line, job, page.now))}
    </ol>
  </section>`;
}

function waitText(job, first) {
  const from = Math.max(job.created_at, job.attempt === 1 ? (job.scheduled_at ?? 0) : 0);
  return first?.attempt === 1 && first.started_at ? `waited ${duration(first.started_at - from)}` : "";
}

function attemptSteps(line, job, now) {
  const present = line.attempt === job.attempt;
  if (present && !isHeld(job) && !hasEnded(job)) return [waiting(line, job, now)];
  const several = job.attempt > 1 ? `Attempt ${line.attempt} ` : "";
  const steps = [];
  if (line.started_at) steps.push(html`<${Step} key=${`from${line.attempt}`} state="running" at=${line.started_at} title=${several ? `${several}started` : "Started"} more=${line.node ? `on ${line.node}` : ""} />`);
  if (present && isHeld(job)) steps.push(html`<${Step} key="now" state=${job.state} now=${true} title=${job.state === "cancelling" ? "Asked to end" : "Running"} more=${elapsed(now - (job.started_at ?? job.updated_at))} />`);
  else steps.push(ending(line, several, present));
  return steps;
}

function waiting(line, job, now) {
  const when = job.state === "scheduled" && job.scheduled_at !== null ? `due at ${clockWithSeconds(job.scheduled_at)}` : elapsed(now - job.updated_at);
  const title = job.attempt > 1 ? `Waits for attempt ${line.attempt}` : job.state === "scheduled" ? "Scheduled" : "Waits in its queue";
  return html`<${Step} key="now" state=${job.state} now=${true} title=${title} more=${when} />`;
}

const ENDS = { succeeded: "Succeeded", failed: "Failed", cancelled: "Cancelled", lost: "Lost or given back" };

function ending(line, several, last) {
  const took = line.started_at && line.ended_at ? `after ${duration(line.ended_at - line.started_at)}` : "";
  const word = ENDS[line.outcome] ?? line.outcome;
  const title = several && !last ? `${several}${word.toLowerCase()}` : word;
  return html`<${Step} key=${`to${line.attempt}`} state=${line.outcome} at=${line.ended_at} title=${title} more=${took} message=${last ? "" : line.message} />`;
}

function Step({ state, at, title, more, message, now = false }) {
  return html`<li class="step" data-state=${state} data-now=${now ? "" : undefined}>
    <span class="step-title">${title}</span>
    <span class="step-at">${at ? html`<time dateTime=${new Date(at).toISOString()} title=${fullTime(at)}>${clockWithSeconds(at)}</time>` : now ? "now" : ""}</span>
    ${more && html`<span class="step-more">${more}</span>`}
    ${message && html`<span class="step-message">${message}</span>`}
  </li>`;
}
