// What the form would submit, as a command to copy.

import { WAYS } from "../commands.js";
import { recall, remember } from "../prefs.js";
import { html, useState } from "./html.js";
import { CopyButton, Pre } from "./parts.js";

export function CommandLines({ body, actions, valid }) {
  const [way, setWay] = useState(() => (WAYS[recall("way", "")] ? recall("way", "") : "curl"));
  const text = WAYS[way](body, location.origin);
  const choose = (name) => (setWay(name), remember("way", name));
  return html`<section class="card part commands" aria-labelledby="commands-title">
    <div class="part-head"><h2 id="commands-title">The same elsewhere</h2>
      <${CopyButton} text=${text} label=${`${way} command`} actions=${actions}>Copy<//></div>
    <fieldset class="tabs"><legend class="unseen">Written for</legend>${Object.keys(WAYS).map((name) => html`<label key=${name} class="tab">
      <input type="radio" name="way" value=${name} checked=${name === way} onChange=${() => choose(name)} /><span>${name}</span></label>`)}</fieldset>
    <${Pre} kind="shell" label=${`The submit for ${way}`} text=${text} />
    ${!valid && html`<p class="help">Some fields are not filled in yet.</p>`}
  </section>`;
}
