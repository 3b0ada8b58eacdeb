// Looking into a job that runs: where its code stands now, and where its time goes.

import { getStack, profilePath, startProfile } from "../api.js";
import { bytes, clockWithSeconds, plural } from "../format.js";
import { isHeld } from "../job.js";
import { html, useEffect, useState } from "./html.js";
import { ActionButton, Pre } from "./parts.js";

const SECONDS = [2, 10, 30];

export function Insight({ page, watch }) {
  const running = isHeld(watch.job);

  const profiles = watch.profiles ?? [];
  const [problem, setProblem] = useState("");
  const onProblem = (error) => setProblem(error.status === 404 || error.status === 405 ? "This server cannot do that." : error.message);

  useEffect(() => void page.actions.loadProfiles(watch), [watch.id, watch.job.state]);
  if (!running && profiles.length === 0) return null;
  return html`<section class="card part" aria-labelledby="insight-title"><h2 id="insight-title">Inside</h2>
    ${problem && html`<p class="form-error" role="alert">${problem}</p>`}
    ${running && html`<${Stack} id=${watch.id} onProblem=${onProblem} clear=${() => setProblem("")} />`}
    ${running && html`<${Profiling} page=${page} watch=${watch} onProblem=${onProblem} />`}
    ${profiles.length > 0 && html`<${Profiles} watch=${watch} profiles=${profiles} />`}
  </section>`;
}

function Stack({ id, onProblem, clear }) {
  const [stack, setStack] = useState(null);
  const take = async () => (clear(), setStack(await getStack(id)));
  return html`<div class="stack">
    <div class="inside-line"><p>Where its code stands at this moment.</p><${ActionButton} kind="small" action=${take} onProblem=${onProblem}>${stack ? "Take the stack again" : "Take the stack"}<//></div>
    ${stack && html`<p class="dim">attempt ${stack.attempt} on ${stack.node} · ${clockWithSeconds(stack.at)}${stack.idle_s > 1 ? ` · waits since ${Math.round(stack.idle_s)} s` : ""}</p>
      <ol class="frames" tabindex="0" aria-label="Stack, innermost last">${(stack.frames ?? []).map((frame, index) => html`<li key=${index}>
        <span class="frame-at">${frame.file}:${frame.line} <b>${frame.function}</b></span>${frame.code && html`<code>${frame.code}</code>`}</li>`)}</ol>
      ${!stack.frames?.length && html`<${Pre} kind="trace" label="Stack" text=${stack.text ?? ""} />`}`}
  </div>`;
}

function Profiling({ page, watch, onProblem }) {
  const [seconds, setSeconds] = useState(SECONDS[1]);
  const [until, setUntil] = useState(null);
  const start = async () => {
    const answer = await startProfile(watch.id, Number(seconds));
    const wait = 1000 * (answer.seconds ?? seconds) + 1500;
    setUntil(page.now + wait);
    setTimeout(() => (setUntil(null), page.actions.loadProfiles(watch)), wait);
  };
  return html`<div class="inside-line"><p>Where its time goes: samples of its stack, as a flame graph.</p>
    <label class="filter">for <select aria-label="Profile for" value=${seconds} onChange=${(event) => setSeconds(Number(event.target.value))}>${SECONDS.map((one) => html`<option key=${one} value=${one}>${one} s</option>`)}</select></label>
    <${ActionButton} kind="small" action=${start} disabled=${until !== null} onProblem=${onProblem}>${until === null ? "Profile" : "Profiling …"}<//></div>`;
}

function Profiles({ watch, profiles }) {
  return html`<ul class="profiles">${profiles.map((profile) => html`<${Profile} key=${profile.number} id=${watch.id} profile=${profile} />`)}</ul>`;
}

// The graph is a page of its own without scripts; here it stands in a frame that may do nothing.
function Profile({ id, profile }) {
  const { number, kind, at, seconds, samples, bytes: size } = profile;
  const [open, setOpen] = useState(false);
  const page = profilePath(id, number, "html");
  const about = [kind, clockWithSeconds(at), seconds && `${Math.round(10 * seconds) / 10} s`, samples && plural(samples, "sample"), size && bytes(size)];
  return html`<li><div class="inside-line">
      <button type="button" class="button small" aria-expanded=${open} onClick=${() => setOpen(!open)}>Flame graph ${number}</button>
      <span class="dim profile-about">${about.filter(Boolean).join(" · ")}</span>
      <a class="dim" href=${page} target="_blank" rel="noreferrer">Open</a>
      <a class="dim" href=${profilePath(id, number, kind === "cprofile" ? "pstats" : "json")} download>${kind === "cprofile" ? "pstats" : "speedscope"}</a></div>
    ${open && html`<iframe class="flame" src=${page} sandbox="" title=${`Flame graph ${number}`}></iframe>`}</li>`;
}
