// The page, wired: one connection, one store, the views. Frames change data at once; the screen follows at most once per
// animation frame.

import { Actions } from "./actions.js";
import { Keys, isTyping } from "./keys.js";
import { Live, wantedFeeds } from "./live.js";
import { recall, remember, sessionStorageOrNull } from "./prefs.js";
import { Connection, Phase } from "./protocol.js";
import { jobsHref, nodesHref, overviewHref, readRoute, submitHref } from "./route.js";
import { Store } from "./store.js";
import { percent } from "./format.js";
import { html, render, signal } from "./views/html.js";
import { Shell } from "./views/shell.js";

const TICK_MS = 1000; // "12 s ago" must grow without news
const VIEWS = {
  overview: () => import("./views/overview.js"),
  jobs: () => import("./views/jobs.js"),
  job: () => import("./views/job.js"),
  submit: () => import("./views/submit.js"),
  nodes: () => import("./views/nodes.js"),
};

const store = new Store();
const connection = new Connection({ url: streamUrl(), onFrames: take, onStatus: show });
const live = new Live(connection, store);
const frame = signal(0);
const ui = {
  toast: signal(""),
  help: signal(false),
  theme: signal(recall("theme", "system")),
  shortcuts: signal(recall("shortcuts", true)),
  listHref: signal(jobsHref()),
  opened: new Set(), // jobs whose children are shown, besides the open one
  cameFrom: null, // the job that was open before: its row gets the focus
  scroll: new Map(), // where each list was left
};
const keys = new Keys();
const views = {};
let route = readRoute(location.hash);
let listFilter = route.view === "jobs" ? route.filter : null;
let frameAsked = false;
const actions = new Actions({ store, live, ui, show, go, openFeeds });

function streamUrl() {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/stream`;
}

// --- data in

function take(frames) {
  const now = Date.now();
  for (const one of frames) store.apply(one, now);
  if (frames.some((one) => one.type === "welcome")) welcomed();
  if (store.watch && frames.some((one) => one.type === "end")) actions.loadWhole();
  openFeeds(); // a job may have got its first child
  showTitle();
  show();
}

function welcomed() {
  actions.loadTasks(); // a restarted server may have other ones
  actions.loadMissing();
}

function openFeeds() {
  const parents = store.watch?.job?.children?.total > 0 ? [route.job, ...ui.opened] : [];
  live.openFeeds(wantedFeeds(route, { parents, list: listFilter }));
}

// --- where to

function go(href) {
  location.hash = href;
}

async function followRoute() {
  const before = route;
  ui.scroll.set(before.view === "jobs" ? jobsHref(before.filter) : before.view, scrollY);
  ui.cameFrom = before.job;
  route = readRoute(location.hash);
  if (route.view === "jobs") [listFilter, ui.listHref.value] = [route.filter, jobsHref(route.filter)];
  if (route.job !== before.job) ui.opened.clear();
  openRoute();
  await loadView();
  showNow();
  requestAnimationFrame(() => arrive(before));
}

function openRoute() {
  live.openJob(route.job);
  openFeeds();
  if (route.view !== "jobs") actions.leaveRows();
  if (route.job !== null) actions.loadWhole();
  if (route.view === "nodes") actions.loadNodes();
  showTitle();
}

async function loadView() {
  const { view } = route;
  try {
    views[view] ??= (await VIEWS[view]()).default;
  } catch {
    ui.toast.value = "This part of the page could not be loaded; reload it.";
  }
  show();
}

// A new view is read from its heading on; a list that is come back to, from the row that was left.
function arrive(before) {
  if (before.view === route.view && before.job === route.job) return;
  const row = route.view === "jobs" && ui.cameFrom ? document.getElementById(`row-${ui.cameFrom}`) : null;
  const focus = row ?? document.querySelector("main h1");
  focus?.focus({ preventScroll: true });
  if (row === null && route.view !== "jobs") scrollTo(0, 0);
}

// --- screen

function show() {
  if (frameAsked) return;
  frameAsked = true;
  requestAnimationFrame(showNow);
}

function showNow() {
  frameAsked = false;
  frame.value += 1;
}

// Also in a hidden tab, where there are no animation frames: its title is all that is seen of it.
function showTitle() {
  const job = store.watch?.job;
  const bar = job && job.bar !== null && job.state === "running" ? `${percent(job.bar)} ` : "";
  const name = { jobs: "Jobs", nodes: "Nodes", submit: "Submit a job", job: job ? `${bar}${job.task} ${job.state}` : "Job" }[route.view];
  const title = name ? `${name} · Windsock` : "Windsock";
  if (document.title !== title) document.title = title;
}

// Offline, the clock stands still too: nobody knows whether a job is still running "so far".
function shownTime() {
  const { phase, since } = connection.status;
  const here = phase === Phase.OFFLINE || phase === Phase.REFUSED ? since : Date.now();
  return here + store.clockOffsetMs;
}

function Root() {
  const page = { store, route, status: connection.status, now: shownTime(), actions, ui, frame: frame.value };
  return html`<${Shell} page=${page} view=${views[route.view]} />`;
}

// --- the browser

const WISHES = {
  overview: () => go(overviewHref),
  jobs: () => go(ui.listHref.value),
  nodes: () => go(nodesHref),
  submit: () => go(submitHref()),
  help: () => (ui.help.value = !ui.help.value),
  escape: (event) => {
    if (route.view === "job" && !event.target.closest?.("dialog")) go(ui.listHref.value);
  },
};

function keyPressed(event) {
  if (event.defaultPrevented || (isTyping(event.target) && event.key !== "Escape")) return;
  const wish = keys.meaning(event, event.timeStamp);
  if (wish === null || (wish !== "escape" && !ui.shortcuts.value)) return;
  if (ui.help.value && wish !== "help") return;
  if (isTyping(event.target)) event.target.blur();
  else if (WISHES[wish]) WISHES[wish](event);
  else if (!dispatchEvent(new CustomEvent("wish", { detail: wish, cancelable: true }))) event.preventDefault();
  if (wish === "help" || wish === "submit") event.preventDefault();
}

function visibilityChanged() {
  connection.setHidden(document.hidden);
  if (!document.hidden) connection.wake();
}

function showTheme() {
  document.documentElement.dataset.theme = ui.theme.value;
}

ui.theme.subscribe((theme) => (remember("theme", theme), showTheme()));
ui.shortcuts.subscribe((on) => remember("shortcuts", on));
addEventListener("hashchange", followRoute);
addEventListener("online", () => connection.wake());
addEventListener("keydown", keyPressed);
addEventListener("pagehide", () => remember("stats", store.stats.save(), sessionStorageOrNull()));
document.addEventListener("visibilitychange", visibilityChanged);
setInterval(show, TICK_MS);

history.scrollRestoration = "manual";
store.stats.restore(recall("stats", null, sessionStorageOrNull()), Date.now());
connection.setHidden(document.hidden);
live.openStats();
openRoute();
connection.start();
await loadView();
render(html`<${Root} />`, document.getElementById("page"));
