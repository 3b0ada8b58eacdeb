// What went wrong without ending the job: who blocked the loop, which attempt failed, what does not end.

import { clockWithSeconds, duration, fullTime } from "../format.js";
import { html } from "./html.js";
import { Pre } from "./parts.js";

const TITLES = { blocked_loop: "Blocked the loop", retry: "Attempt failed", not_ending: "Does not end", stalled: "Stalled" };

export function Warnings({ watch }) {
  const warnings = watch.job.warnings ?? [];
  if (warnings.length === 0) return null;
  const whole = watch.whole?.warnings ?? [];
  return html`<section class="card warnings" aria-labelledby="warnings-title"><h2 id="warnings-title">Warnings</h2>
    <ul>${[...warnings].reverse().map((warning) => html`<${Warning} key=${`${warning.kind}${warning.at}`} warning=${{ ...stackOf(warning, whole), ...warning }} />`)}</ul></section>`;
}

// Stacks travel in the whole job only.
function stackOf(warning, whole) {
  return whole.find((one) => one.kind === warning.kind && one.at === warning.at) ?? {};
}

function Warning({ warning }) {
  const { kind, at, attempt, message, seconds, where, stack } = warning;
  const title = TITLES[kind] ?? kind.replaceAll("_", " ");
  const about = [seconds !== undefined && `for ${duration(1000 * seconds)}`, where && `at ${where}`].filter(Boolean).join(" ");
  return html`<li class="warning"><p class="warning-line"><strong>${title}</strong>${about && !message && html` <span>${about}</span>`}
      <span class="warning-at">${attempt && `attempt ${attempt} · `}<time title=${fullTime(at)}>${clockWithSeconds(at)}</time></span></p>
    ${message && html`<p class="warning-message">${message}</p>`}
    ${stack && html`<details><summary>Stack</summary><${Pre} kind="trace" label="Stack" text=${stack} /></details>`}</li>`;
}
