// What several views show: a state as word and mark, a bar, a time, something to copy, an empty place.

import { ago, clock, fullTime, leftText, paceText, percent, plural, progressText, stepText } from "../format.js";
import { hasEnded, isHeld } from "../job.js";
import { html, useState } from "./html.js";

/** The state as word and colour, never colour alone. */
export function Badge({ state }) {
  return html`<span class="badge" data-state=${state}><span class="dot" aria-hidden="true"></span>${state}</span>`;
}

const PACES = { slow: "slow", stalled: "stalled" };

/** What is unusual about how it goes: a word beside the state. */
export function Pace({ job }) {
  const word = isHeld(job) ? PACES[job.pace] : undefined;
  if (word === undefined) return null;
  const why = word === "stalled" ? "Nothing has moved for several times the usual step" : "Runs longer than nearly all jobs of its task";
  return html`<span class="chip warn" title=${why}>${word}</span>`;
}

/** A running job that has not said how far gets the bar of unknown length; a waiting one gets none. */
export function Bar({ job, label = `Progress of ${job.task}` }) {
  const unknown = job.bar === null && isHeld(job);
  if (job.bar === null && !unknown) return null;
  const text = unknown ? undefined : percent(job.bar);
  return html`<progress max="1" value=${unknown ? undefined : job.bar} key=${unknown} data-state=${job.state}
    data-ended=${hasEnded(job) ? "" : undefined} aria-label=${label} aria-valuetext=${text}></progress>`;
}

/** "37 / 120 images · cat.png" and what is left. */
export function progressWords(job, now) {
  const done = [stepText(job.progress), progressText(job.progress)].filter(Boolean).join(" · ");
  const warnings = job.warnings?.length ? plural(job.warnings.length, "warning") : "";
  const ahead = isHeld(job) ? [paceText(job), leftText(job, now)].filter(Boolean).join(" · ") : "";
  return { done, ahead, warnings };
}

/** A moment, as "12 min ago" with the full time behind it. */
export function Ago({ at, now }) {
  return html`<time dateTime=${new Date(at).toISOString()} title=${fullTime(at)}>${ago(now - at)}</time>`;
}

export function Clock({ at }) {
  return html`<time dateTime=${new Date(at).toISOString()} title=${fullTime(at)}>${clock(at)}</time>`;
}

/** Puts a text on the clipboard, where the browser lets us (not on plain HTTP from another machine). */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

export function CopyButton({ text, label, children, actions, quiet = false }) {
  const press = async () => actions.say((await copy(text)) ? `${label} copied` : "The browser does not let this page copy");
  return html`<button type="button" class=${quiet ? "button quiet small" : "button small"} onClick=${press}>${children ?? "Copy"}</button>`;
}

export function Empty({ title, children, mark = false }) {
  return html`<div class="empty">
    ${mark && html`<img src="static/icon.svg" alt="" width="56" height="56" />`}
    <h2>${title}</h2>${children}
  </div>`;
}

/** A button whose work takes a moment: it cannot be pressed twice, and says what went wrong. */
export function ActionButton({ action, kind = "", disabled = false, children, onProblem, ...more }) {
  const [busy, setBusy] = useState(false);
  const press = async () => {
    setBusy(true);
    try {
      await action();
    } catch (problem) {
      onProblem(problem);
    } finally {
      setBusy(false);
    }
  };
  return html`<button type="button" class=${`button ${kind}`} disabled=${busy || disabled} onClick=${press} ...${more}>${children}</button>`;
}

/** A block of text that scrolls by itself, so it must be reachable by keyboard. */
export function Pre({ text, label, kind = "json" }) {
  return html`<pre class=${kind} tabindex="0" role="group" aria-label=${label}>${text}</pre>`;
}
