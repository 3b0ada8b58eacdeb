// One field of the submit form: label, control, help, and the error beside it.

import { el, setAttribute, setText } from "./dom.js";

export class FieldView {
  constructor(field, prefix) {
    this.field = field;
    this.id = `${prefix}-${field.name}`;
    this.control = CONTROLS[field.kind](field);
    this.error = el("p.field-error", { id: `${this.id}-error` });
    this.help = el("p.help", { id: `${this.id}-help` }, helpText(field));
    this.node = el("div.field", { "data-kind": field.kind }, ...this.#parts());
    setAttribute(this.control, "id", this.id);
    setAttribute(this.control, "name", field.name);
    setAttribute(this.control, "aria-required", field.required);
    this.showError("");
  }

  #parts() {
    const mark = this.field.required ? el("span.required", {}, " required") : null;
    const label = el("label", { for: this.id }, this.field.name, mark);
    const help = this.help.textContent ? this.help : null;
    const order = this.field.kind === "boolean" ? [this.control, label] : [label, this.control];
    return [...order, help, this.error].filter((part) => part !== null);
  }

  get raw() {
    return this.field.kind === "boolean" ? this.control.checked : this.control.value;
  }

  set raw(value) {
    if (this.field.kind === "boolean") this.control.checked = value;
    else this.control.value = value;
  }

  showError(message) {
    setText(this.error, message);
    this.error.hidden = message === "";
    setAttribute(this.control, "aria-invalid", message ? "true" : null);
    const described = [this.help.isConnected || this.help.textContent ? this.help.id : null, message ? this.error.id : null];
    setAttribute(this.control, "aria-describedby", described.filter(Boolean).join(" ") || null);
  }
}

function helpText(field) {
  const shape = { lines: "one per line", json: "JSON" }[field.kind];
  return [field.help, shape].filter(Boolean).join(" · ");
}

function textInput(field, mode) {
  return el("input", { type: "text", inputmode: mode, value: field.initial, autocomplete: "off", spellcheck: "false" });
}

function textArea(field, rows) {
  return el("textarea", { rows, spellcheck: "false", autocomplete: "off" }, field.initial);
}

const CONTROLS = {
  text: (field) => textInput(field, null),
  // Not type=number: it hides what was typed when that is no number, so the error could not be shown.
  integer: (field) => textInput(field, "numeric"),
  number: (field) => textInput(field, "decimal"),
  boolean: (field) => el("input", { type: "checkbox", checked: field.initial }),
  choice: (field) => choiceSelect(field),
  lines: (field) => textArea(field, "4"),
  json: (field) => textArea(field, "3"),
};

function choiceSelect(field) {
  const blank = field.required || field.hasDefault ? [] : [el("option", { value: "" }, "–")];
  const options = field.choices.map(({ label }) => el("option", { value: label, selected: label === field.initial }, label));
  return el("select", {}, ...blank, ...options);
}
