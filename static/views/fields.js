// The fields of a form, as deep as the shape goes: label, control, help, and the error beside it.

import { blank, blankFields } from "../entry.js";
import { boundsText } from "../shape.js";
import { html } from "./html.js";

/** `typed` is a map of what stands in the fields; `change` gets the whole of it anew. */
export function Fields({ fields, typed, change, prefix, errors }) {
  return html`<div class="fields">${fields.map((field) => html`<${Field} key=${field.name} field=${field} path=${prefix + field.name}
    typed=${typed?.[field.name]} change=${(value) => change({ ...typed, [field.name]: value })} errors=${errors} />`)}</div>`;
}

const GROUPS = { object: Group, list: List, union: Union };

function Field({ field, path, typed, change, errors }) {
  const { shape, name, required } = field;
  const parts = { label: name, required, shape, path, typed, change, errors };
  if (GROUPS[shape.kind]) return html`<${GROUPS[shape.kind]} ...${parts} />`;
  return html`<${Plain} ...${parts} />`;
}

function Plain({ label, required, shape, path, typed, change, errors }) {
  const id = idOf(path);
  const error = errors.get(path);
  const help = helpText(shape);
  const described = [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  const attributes = { id, name: path, "aria-required": required ? "true" : undefined, "aria-invalid": error ? "true" : undefined, "aria-describedby": described };
  const control = CONTROLS[shape.kind]({ shape, required, typed, change, attributes });
  const name = html`<label for=${id}>${label}${required && shape.kind !== "boolean" && html` <span class="required">required</span>`}</label>`;
  return html`<div class="field" data-kind=${shape.kind}>
    ${shape.kind === "boolean" ? [control, name] : [name, control]}
    ${help && html`<p class="help" id=${`${id}-help`}>${help}</p>`}
    ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
  </div>`;
}

function idOf(path) {
  return `field-${path.replaceAll(".", "-")}`;
}

function helpText(shape) {
  const form = { lines: "one per line", json: "JSON" }[shape.kind];
  return [shape.help, boundsText(shape.bounds), form].filter(Boolean).join(" · ");
}

const QUIET = { autocomplete: "off", spellcheck: "false" };

function line(mode) {
  return ({ typed, change, attributes }) => html`<input type="text" inputmode=${mode} value=${typed} ...${QUIET} ...${attributes} onInput=${(event) => change(event.target.value)} />`;
}

function area(rows) {
  return ({ typed, change, attributes }) => html`<textarea rows=${Math.max(rows, Math.min(12, String(typed).split("\n").length))} value=${typed} ...${QUIET} ...${attributes} onInput=${(event) => change(event.target.value)}></textarea>`;
}

const CONTROLS = {
  text: line("text"),
  // Not type=number: it hides what was typed when that is no number, so the error could not be shown.
  integer: line("numeric"),
  number: line("decimal"),
  boolean: ({ typed, change, attributes }) => html`<input type="checkbox" checked=${typed} ...${attributes} onChange=${(event) => change(event.target.checked)} />`,
  choice: Choice,
  lines: area(3),
  json: area(3),
};

function Choice({ shape, required, typed, change, attributes }) {
  const blankWanted = !required || typed === "";
  return html`<select value=${typed} ...${attributes} onChange=${(event) => change(event.target.value)}>
    ${blankWanted && html`<option value="">–</option>`}
    ${shape.choices.map(({ label }) => html`<option key=${label} value=${label}>${label}</option>`)}</select>`;
}

function Frame({ label, required, shape, path, errors, children, tools }) {
  const error = errors.get(path);
  return html`<fieldset class="group" data-kind=${shape.kind} aria-describedby=${error ? `${idOf(path)}-error` : undefined}>
    <legend>${label}${required && html` <span class="required">required</span>`}</legend>
    <div class="group-tools">${tools}</div>
    ${shape.help && html`<p class="help">${shape.help}</p>`}
    ${children}
    ${error && html`<p class="field-error" id=${`${idOf(path)}-error`} tabindex="-1" aria-invalid="true">${error}</p>`}
  </fieldset>`;
}

function LeaveOut({ required, label, typed, add, change }) {
  if (required && typed !== undefined) return null;
  return typed === undefined
    ? html`<button type="button" class="button small" onClick=${() => change(add())} aria-label=${`Fill in ${label}`}>Fill in</button>`
    : html`<button type="button" class="button quiet small" onClick=${() => change(undefined)} aria-label=${`Leave out ${label}`}>Leave out</button>`;
}

function Group(props) {
  const { label, shape, path, typed, change, errors } = props;
  const tools = html`<${LeaveOut} ...${props} add=${() => blankFields(shape)} />`;
  return html`<${Frame} ...${props} tools=${tools}>
    ${typed !== undefined && html`<${Fields} fields=${shape.fields} typed=${typed} change=${change} prefix=${`${path}.`} errors=${errors} />`}
    ${typed !== undefined && shape.fields.length === 0 && html`<p class="help">${label} has no fields.</p>`}
  <//>`;
}

function List(props) {
  const { label, required, shape, path, typed, change, errors } = props;
  const tools = html`<${LeaveOut} ...${props} add=${() => [blank(shape.item)]} />`;
  const items = typed ?? [];
  const put = (index, value) => change(items.map((item, place) => (place === index ? value : item)));
  return html`<${Frame} ...${props} required=${required} tools=${tools}>
    ${items.map((item, index) => html`<div class="item" key=${index}>
      <${Field} field=${{ name: `${label} ${index + 1}`, required: true, shape: shape.item }} path=${`${path}.${index}`} typed=${item} change=${(value) => put(index, value)} errors=${errors} />
      <button type="button" class="button quiet small" aria-label=${`Remove ${label} ${index + 1}`} onClick=${() => change(items.filter((_, place) => place !== index))}>Remove</button></div>`)}
    ${typed !== undefined && html`<button type="button" class="button small" onClick=${() => change([...items, blank(shape.item)])}>Add ${label}</button>`}
  <//>`;
}

function Union(props) {
  const { label, shape, path, typed, change, errors } = props;
  const tools = html`<${LeaveOut} ...${props} add=${() => ({ option: 0, typed: blank(shape.options[0].shape) })} />`;
  if (typed === undefined) return html`<${Frame} ...${props} tools=${tools} />`;
  const choose = (event) => {
    const option = Number(event.target.value);
    change({ option, typed: blank(shape.options[option].shape) });
  };
  return html`<${Frame} ...${props} tools=${tools}>
    <div class="field"><label for=${`${idOf(path)}-kind`}>Kind of ${label}</label>
      <select id=${`${idOf(path)}-kind`} value=${typed.option} onChange=${choose}>${shape.options.map((option, index) => html`<option key=${index} value=${index}>${option.label}</option>`)}</select></div>
    <${Field} key=${typed.option} field=${{ name: label, required: true, shape: shape.options[typed.option].shape }} path=${path} typed=${typed.typed}
      change=${(value) => change({ ...typed, typed: value })} errors=${errors} />
  <//>`;
}
