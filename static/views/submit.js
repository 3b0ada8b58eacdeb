// The form that submits a job. Its fields are made from the task's JSON Schema.

import { OPTIONS, fieldOfError, fieldsOf, readFields } from "../schema.js";
import { el, setAttribute, setHidden, setText } from "./dom.js";
import { FieldView } from "./field.js";

export class SubmitView {
  #tasks = null;
  #task = null;
  #typed = new Map(); // task name -> what was typed, so that looking at another task loses nothing
  #views = [];

  constructor(page, { submit, close }) {
    this.root = page.querySelector("#submit");
    this.submitJob = submit;
    this.select = el("select", { id: "submit-task", onchange: () => this.#choose(this.select.value) });
    this.summary = el("p.summary");
    this.fields = el("div.fields");
    this.options = fieldsOf(OPTIONS).map((field) => new FieldView(field, "option"));
    this.failure = el("p.form-error", { role: "alert", hidden: true });
    this.button = el("button.button.primary", { type: "submit" }, "Submit");
    this.form = this.#form();
    this.nothing = el("p.help", {}, "Loading the tasks …");
    this.title = el("h2", { id: "submit-title", tabindex: "-1" }, "Submit a job");
    const back = el("button.button.quiet.phone-only", { type: "button", onclick: close }, "Back");
    this.root.append(el("div.card-head", {}, this.title, back), this.nothing, this.form);
  }

  #form() {
    return el("form.submit-form", { novalidate: true, onsubmit: (event) => this.#onSubmit(event) },
      el("div.field", {}, el("label", { for: "submit-task" }, "Task"), this.select, this.summary),
      this.fields,
      el("details.more", {}, el("summary", {}, "More options"), ...this.options.map((view) => view.node)),
      this.failure,
      this.button);
  }

  render({ store, route, narrow }) {
    setHidden(this.root, route.job !== null || (narrow && !route.submit));
    setHidden(this.form, !store.tasks?.length);
    setHidden(this.nothing, Boolean(store.tasks?.length));
    setText(this.nothing, emptyText(store));
    if (store.tasks && store.tasks !== this.#tasks) this.#showTasks(store.tasks);
  }

  focus() {
    this.title.focus();
  }

  #showTasks(tasks) {
    const same = JSON.stringify(tasks) === JSON.stringify(this.#tasks);
    this.#tasks = tasks;
    if (same || tasks.length === 0) return;
    this.select.replaceChildren(...tasks.map(({ name }) => el("option", { value: name }, name)));
    const keep = tasks.some(({ name }) => name === this.#task?.name);
    this.#choose(keep ? this.#task.name : tasks[0].name);
  }

  #choose(name) {
    if (this.#task) this.#typed.set(this.#task.name, this.#raw(this.#views));
    this.#task = this.#tasks.find((task) => task.name === name);
    this.select.value = name;
    setText(this.summary, this.#task.summary ?? "");
    this.#views = fieldsOf(this.#task.arguments).map((field) => new FieldView(field, "arg"));
    this.fields.replaceChildren(...this.#views.map((view) => view.node));
    const typed = this.#typed.get(name) ?? {};
    for (const view of this.#views) if (view.field.name in typed) view.raw = typed[view.field.name];
    this.#showErrors([]);
  }

  #raw(views) {
    return Object.fromEntries(views.map((view) => [view.field.name, view.raw]));
  }

  #read() {
    const args = readFields(this.#views.map((view) => view.field), this.#raw(this.#views));
    const options = readFields(this.options.map((view) => view.field), this.#raw(this.options), "");
    return { body: { task: this.#task.name, args: args.args, ...options.args }, errors: [...args.errors, ...options.errors] };
  }

  async #onSubmit(event) {
    event.preventDefault();
    const { body, errors } = this.#read();
    this.#showErrors(errors);
    if (errors.length > 0) return;
    setAttribute(this.button, "disabled", true); // a second press would be a second job
    try {
      await this.submitJob(body);
    } catch (problem) {
      this.#showErrors(problem.errors ?? [], failureText(problem));
    } finally {
      setAttribute(this.button, "disabled", null);
    }
  }

  // Each message at its field; what belongs to none is said above the button.
  #showErrors(errors, failure = "") {
    const views = [...this.#views, ...this.options];
    for (const view of views) view.showError("");
    const others = errors.filter((error) => !this.#showAtField(error)).map(({ field, message }) => `${field}: ${message}`);
    const placed = errors.length > others.length;
    const text = others.length > 0 ? others.join("\n") : placed ? "" : failure;
    setText(this.failure, text);
    setHidden(this.failure, text === "");
    views.find((view) => view.error.textContent !== "")?.control.focus();
  }

  #showAtField(error) {
    const view = this.#viewOf(error);
    if (!view) return false;
    view.showError(messageAt(error, view.field));
    if (this.options.includes(view)) this.form.querySelector("details").open = true;
    return true;
  }

  #viewOf(error) {
    const own = fieldOfError(error, this.#views.map((view) => view.field));
    if (own) return this.#views.find((view) => view.field.name === own);
    const option = fieldOfError(error, this.options.map((view) => view.field), "");
    return this.options.find((view) => view.field.name === option);
  }
}

function emptyText({ tasks, tasksError }) {
  if (tasks) return "No tasks are loaded. Start the server with --tasks FILE.";
  return tasksError ? `The tasks could not be loaded: ${tasksError}` : "Loading the tasks …";
}

// "args.urls.0" is the first line of its field, "args.options.depth" a key inside it.
function messageAt({ field, message }, { name, kind }) {
  const inside = field.split(`${name}.`)[1];
  if (!inside) return message;
  return kind === "lines" && /^\d+$/.test(inside) ? `line ${Number(inside) + 1}: ${message}` : `${inside}: ${message}`;
}

function failureText(problem) {
  if (problem.status === 0) return `${problem.message} See whether the job is in the feed before you submit it again.`;
  return problem.message;
}
