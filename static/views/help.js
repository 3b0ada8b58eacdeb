// The dialog behind "?": the keys, and how the page looks.

import { html, useEffect, useRef } from "./html.js";

const KEYS = [
  ["Anywhere", [["g o", "overview"], ["g j", "jobs"], ["g n", "nodes"], ["s", "submit a job"], ["?", "this help"], ["Esc", "close, or back"]]],
  ["Jobs", [["j / k", "next, previous job"], ["Enter", "open it"], ["x", "select it"], ["/", "to the filters"]]],
  ["One job", [["/", "search the log"], ["f", "follow the log"], ["r", "edit and run again"]]],
];
const THEMES = [["system", "as the system"], ["light", "light"], ["dark", "dark"]];

export function Help({ page }) {
  const dialog = useRef(null);
  const { help, theme, shortcuts } = page.ui;
  const open = help.value;
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return html`<dialog ref=${dialog} class="help-dialog" aria-labelledby="help-title" onClose=${() => (help.value = false)}>
    <div class="card-head"><h2 id="help-title">Keyboard and theme</h2>
      <button type="button" class="button quiet" onClick=${() => (help.value = false)}>Close</button></div>
    <div class="help-body">
      ${KEYS.map(([title, keys]) => html`<section key=${title}><h3>${title}</h3><dl class="keys">
        ${keys.map(([key, words]) => html`<div key=${key}><dt>${key.split(" ").map((one) => (one === "/" && key !== "/" ? " / " : html`<kbd>${one}</kbd>`))}</dt><dd>${words}</dd></div>`)}</dl></section>`)}
      <section><h3>This browser</h3>
        <label class="check"><input type="checkbox" checked=${shortcuts.value} onChange=${(event) => (shortcuts.value = event.target.checked)} /> Keys of a single letter</label>
        <fieldset class="choices"><legend>Theme</legend>
          ${THEMES.map(([value, label]) => html`<label key=${value} class="check"><input type="radio" name="theme" value=${value}
            checked=${theme.value === value} onChange=${() => (theme.value = value)} /> ${label}</label>`)}
        </fieldset>
      </section>
    </div>
  </dialog>`;
}
