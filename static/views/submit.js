// The form that submits a job, made from the task's JSON Schema; and the same submit as a command.

import { getJob } from "../api.js";
import { OPTIONS, fieldsOf } from "../shape.js";
import { blankFields, fill, placeErrors, placesOf, readFields } from "../entry.js";
import { ago } from "../format.js";
import { addRecent, recentOf } from "../prefs.js";
import { submitHref } from "../route.js";
import { CommandLines } from "./commands.js";
import { Fields } from "./fields.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Empty } from "./parts.js";

const OPTION_FIELDS = fieldsOf(OPTIONS);
const drafts = new Map(); // task -> what was typed, so that looking at something else loses nothing

export default function Submit({ page }) {
  const { tasks, tasksError } = page.store;
  const { from } = page.route;
  const [origin, problem] = useOrigin(from);
  const head = html`<div class="view-head"><h1 tabindex="-1">${from ? "Edit and run again" : "Submit a job"}</h1></div>`;
  if (!tasks || (from && origin === null && !problem)) return html`${head}<p class="loading card" role="status">${tasksError ? `The tasks could not be loaded: ${tasksError}` : "Loading …"}</p>`;
  if (tasks.length === 0) return html`${head}<section class="card"><${Empty} title="No tasks are loaded"><p>Start the server with <code>--tasks FILE</code>.</p><//></section>`;
  const name = origin?.task ?? page.route.task;
  const task = tasks.find((one) => one.name === name) ?? tasks[0];
  return html`${head}
    ${problem && html`<p class="notice" role="alert">The job to start from cannot be read: ${problem}</p>`}
    ${origin && task.name !== origin.task && html`<p class="notice" role="alert">The task ${origin.task} is not loaded here.</p>`}
    <${Form} key=${`${task.name} ${origin?.id ?? ""}`} page=${page} task=${task} tasks=${tasks} origin=${origin?.task === task.name ? origin : null} />`;
}

// The job whose values the form begins with.
function useOrigin(id) {
  const [state, setState] = useState({ id: null, job: null, problem: "" });
  useEffect(() => {
    let here = true;
    if (id) getJob(id).then((job) => here && setState({ id, job, problem: "" }), (error) => here && setState({ id, job: null, problem: error.message }));
    return () => (here = false);
  }, [id]);
  return state.id === id && id ? [state.job, state.problem] : [null, ""];
}

function Form({ page, task, tasks, origin }) {
  const fields = fieldsOf(task.arguments);
  const form = useRef(null);
  const [typed, setTyped] = useState(() => beginning(task, fields, origin));
  const [options, setOptions] = useState(() => blankFields({ fields: OPTION_FIELDS }));
  const [errors, setErrors] = useState({ at: new Map(), rest: [] });
  const [busy, setBusy] = useState(false);
  const [open, setOpen] = useState(false);
  useEffect(() => void drafts.set(task.name, typed), [typed]);
  const wanted = read(task, fields, typed, options);
  const show = (list) => {
    const placed = placeErrors(list, new Set([...placesOf(fields, typed), ...placesOf(OPTION_FIELDS, options, "")]));
    if (OPTION_FIELDS.some(({ name }) => [...placed.at.keys()].some((place) => place.split(".")[0] === name))) setOpen(true);
    setErrors(placed);
    if (list.length > 0) setTimeout(() => form.current?.querySelector("[aria-invalid=true], .form-error")?.focus(), 0);
  };
  const submit = async (event) => {
    event.preventDefault();
    show(wanted.errors);
    if (wanted.errors.length > 0 || busy) return;
    setBusy(true); // a second press would be a second job
    try {
      await page.actions.submit(wanted.body);
      addRecent(task.name, wanted.body.args, Date.now());
      drafts.delete(task.name);
    } catch (problem) {
      show(problem.errors?.length > 0 ? problem.errors : [{ field: "", message: failureText(problem) }]);
    }
    setBusy(false);
  };
  return html`<div class="submit-columns">
    <form class="card submit-form" ref=${form} noValidate onSubmit=${submit} aria-label="Submit a job">
      <${TaskChoice} page=${page} task=${task} tasks=${tasks} />
      <${Recent} task=${task} fields=${fields} now=${page.now} use=${(args) => setTyped(fill({ kind: "object", fields }, args))} />
      <${Fields} fields=${fields} typed=${typed} change=${setTyped} prefix="args." errors=${errors.at} />
      ${fields.length === 0 && html`<p class="dim">This task takes no arguments.</p>`}
      <details class="more" open=${open} onToggle=${(event) => setOpen(event.target.open)}><summary>More options</summary>
        <${Fields} fields=${OPTION_FIELDS} typed=${options} change=${setOptions} prefix="" errors=${errors.at} />
      </details>
      ${errors.rest.length > 0 && html`<p class="form-error" role="alert" tabindex="-1">${errors.rest.join("\n")}</p>`}
      <div class="submit-line"><button type="submit" class="button primary" disabled=${busy}>${busy ? "Submitting …" : "Submit"}</button></div>
    </form>
    <${CommandLines} body=${wanted.body} actions=${page.actions} valid=${wanted.errors.length === 0} />
  </div>`;
}

function beginning(task, fields, origin) {
  if (origin) return fill({ kind: "object", fields }, origin.args ?? {});
  return drafts.get(task.name) ?? blankFields({ fields });
}

function read(task, fields, typed, options) {
  const args = readFields(fields, typed);
  const more = readFields(OPTION_FIELDS, options, "");
  return { body: { task: task.name, args: args.args, ...more.args }, errors: [...args.errors, ...more.errors] };
}

function TaskChoice({ page, task, tasks }) {
  return html`<div class="field"><label for="submit-task">Task</label>
    <select id="submit-task" value=${task.name} onChange=${(event) => page.actions.go(submitHref({ task: event.target.value }))}>
      ${tasks.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}</select>
    ${task.summary && html`<p class="help">${task.summary}</p>`}</div>`;
}

function Recent({ task, use, now }) {
  const recent = recentOf(task.name);
  if (recent.length === 0) return null;
  const choose = (event) => {
    const one = recent[Number(event.target.value)];
    event.target.value = "";
    if (one) use(one.args);
  };
  return html`<div class="field recent"><label for="submit-recent">Recent values</label>
    <select id="submit-recent" onChange=${choose}><option value="">choose …</option>
      ${recent.map(({ at, args }, index) => html`<option key=${at} value=${index}>${`${ago(now - at)}: ${brief(args)}`}</option>`)}</select></div>`;
}

function brief(args) {
  const text = Object.entries(args).map(([name, value]) => `${name} = ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
  return text.length > 80 ? `${text.slice(0, 80)} …` : text || "no arguments";
}

function failureText(problem) {
  if (problem.status === 0) return `${problem.message} See whether the job is in the list before you submit it again.`;
  return problem.message;
}

