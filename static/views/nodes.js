// The processes that are alive: what they serve, what their workers do, how late their loops are.

import { count, elapsed, ms, plural } from "../format.js";
import { html, useEffect } from "./html.js";
import { Empty } from "./parts.js";

const AGAIN_MS = 2000;
const LATE_MS = 100; // from here on lateness is worth a colour

export default function Nodes({ page }) {
  const { nodes, nodesError } = page.store;
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && page.actions.loadNodes(), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const sorted = [...(nodes ?? [])].sort((a, b) => (b.serves ? 1 : 0) - (a.serves ? 1 : 0) || a.name.localeCompare(b.name) || a.started_at - b.started_at);
  return html`<div class="view-head"><h1 tabindex="-1">Nodes</h1><p class="fleet">${nodes ? totals(nodes) : ""}</p></div>
    ${nodesError && html`<p class="notice" role="status">The nodes cannot be read: ${nodesError}${nodes ? " What is shown is old." : ""}</p>`}
    ${nodes === null && !nodesError && html`<p class="loading card" role="status">Loading …</p>`}
    ${nodes?.length === 0 && html`<section class="card"><${Empty} title="No node is alive"><p>They appear with their first beat.</p><//></section>`}
    <ul class="nodes">${sorted.map((node) => html`<${Node} key=${node.id} node=${node} now=${page.now} here=${node.name === page.store.node} />`)}</ul>`;
}

function totals(nodes) {
  const slots = nodes.flatMap((node) => Object.values(node.worker?.lanes ?? {})).reduce((sum, lane) => sum + lane.slots, 0);
  const running = nodes.reduce((sum, node) => sum + runningOf(node.worker), 0);
  return `${plural(nodes.length, "process", "processes")} · ${count(running)} of ${plural(slots, "slot")} in use`;
}

// `running` may be a number, or the ids of the jobs.
function runningOf(worker) {
  const running = worker?.running ?? 0;
  return Array.isArray(running) ? running.length : running;
}

function duties(node) {
  if (node.serves) return node.worker ? "serves and works" : "serves";
  return node.worker ? "works" : "keeps workers";
}

function Node({ node, now, here }) {
  const late = node.loop_lag_ms >= LATE_MS;
  return html`<li class="node card">
    <div class="node-head"><h2>${node.name}</h2>
      <span class="chip">${duties(node)}</span>
      ${here && html`<span class="chip">this page</span>`}${node.draining && html`<span class="chip warn">draining</span>`}</div>
    <p class="node-where"><code>${node.host}</code> · pid ${node.pid} · up ${elapsed(now - node.started_at)} · ${node.version}${node.redis_version ? ` · Redis ${node.redis_version}` : ""}</p>
    <dl class="node-figures">
      <div data-late=${late ? "" : undefined}><dt>loop lateness</dt><dd>${ms(node.loop_lag_ms)}${late && html` <span class="warned">late</span>`}</dd></div>
      ${node.serves && html`<div><dt>clients</dt><dd>${count(node.clients ?? 0)}</dd></div><div><dt>subscriptions</dt><dd>${count(node.subscriptions ?? 0)}</dd></div>`}
      ${node.worker && html`<div><dt>running</dt><dd>${count(runningOf(node.worker))}</dd></div>`}
      ${node.worker?.abandoned > 0 && html`<div><dt>abandoned</dt><dd>${count(node.worker.abandoned)}</dd></div>`}
    </dl>
    ${node.worker && html`<${Lanes} worker=${node.worker} />`}
    <${ChildProcesses} children=${node.children} />
  </li>`;
}

const KINDS = { coroutine: "coroutines", thread: "threads", process: "processes" };

function Lanes({ worker }) {
  return html`<ul class="lanes">${Object.entries(worker.lanes ?? {}).map(([kind, lane]) => html`<li key=${kind} class="lane">
    <span class="lane-name">${KINDS[kind] ?? kind}</span>
    <meter min="0" max=${lane.slots} value=${lane.running} aria-label=${`${KINDS[kind] ?? kind} in use`}></meter>
    <span class="lane-use">${count(lane.running)} / ${count(lane.slots)}</span>
    <span class="lane-tasks cut" title=${(lane.tasks ?? []).join(", ")}>${(lane.tasks ?? []).join(", ")}</span></li>`)}</ul>
    ${worker.queues && html`<p class="node-queues">${queuesText([worker.queues].flat())}</p>`}`;
}

function queuesText(queues) {
  return queues.includes("*") ? "takes from all queues" : `takes from ${queues.join(", ")}`;
}

function ChildProcesses({ children }) {
  if (!Array.isArray(children) || children.length === 0) return null;
  return html`<p class="node-queues">worker processes: ${children.map(childText).join(", ")}</p>`;
}

function childText({ number, pid, state, restarts }) {
  const again = restarts > 0 ? `, started again ${plural(restarts, "time")}` : "";
  return `${number} (${state === "running" ? `pid ${pid}` : state}${again})`;
}
