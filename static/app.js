// The page, wired: one connection, one store, the views. Frames change data at once; the screen follows at most once per
// animation frame.

import * as api from "./api.js";
import { Connection, Phase } from "./protocol.js";
import { feedFilter, readRoute, writeRoute } from "./route.js";
import { LOG_LINES, Store } from "./store.js";
import { DetailView } from "./views/detail.js";
import { FeedView } from "./views/feed.js";
import { Announcer, HeaderView } from "./views/header.js";
import { SubmitView } from "./views/submit.js";

const FEED_LIMIT = 100;
const TICK_MS = 1000; // "12 s ago" must grow without news
const TASKS_AGAIN_MS = 5000;
const NARROW = matchMedia("(max-width: 60rem)"); // as in style.css

const store = new Store();
const connection = new Connection({ url: streamUrl(), onFrames: take, onStatus: statusChanged });
const actions = { go, submit, cancel: (id) => api.cancel(id), rerun, close: () => go({ job: null, submit: false }) };
const feedView = new FeedView(document, actions);
const submitView = new SubmitView(document, actions);
const detailView = new DetailView(document, actions);
const views = [new HeaderView(document), feedView, submitView, detailView, new Announcer(document)];

let route = readRoute(location.hash);
let frameAsked = false;

function streamUrl() {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/stream`;
}

// --- data in

function take(frames) {
  const now = Date.now();
  for (const frame of frames) store.apply(frame, now);
  if (frames.some((frame) => frame.type === "welcome")) loadTasks(); // a restarted server may have other tasks
  if (frames.some((frame) => frame.type === "end")) loadWhole();
  render();
}

function statusChanged() {
  render();
}

async function loadTasks() {
  try {
    store.tasks = await api.listTasks();
    store.tasksError = null;
  } catch (problem) {
    store.tasksError = problem.message;
    if (connection.status.phase === Phase.LIVE) setTimeout(loadTasks, TASKS_AGAIN_MS); // else the next welcome does it
  }
  render();
}

// Frames carry no arguments, and no result that is too large for them.
async function loadWhole() {
  const id = store.watch?.id;
  try {
    store.setWhole(await api.getJob(id));
  } catch {
    return; // the subscription says what is wrong with the job, in its own frame
  }
  render();
}

// --- what the visitor wants

function go(change) {
  location.hash = writeRoute({ ...route, ...change });
}

async function submit(body) {
  const job = await api.submit(body);
  go({ job: job.id, submit: false });
}

async function rerun(id) {
  const job = await api.rerun(id);
  go({ job: job.id });
}

function followRoute() {
  const before = route;
  route = readRoute(location.hash);
  if (route.state !== before.state || route.task !== before.task) openFeed();
  if (route.job !== before.job) openJob();
  renderNow();
  moveFocus(before);
}

function openFeed() {
  if (store.feed.sub !== null) connection.unsubscribe(store.feed.sub);
  store.openFeed(connection.subscribe({ feed: feedFilter(route), limit: FEED_LIMIT }));
}

function openJob() {
  if (store.watch) connection.unsubscribe(store.watch.sub);
  store.closeWatch();
  if (route.job === null) return;
  store.openWatch(connection.subscribe({ job: route.job, log: LOG_LINES }), route.job);
  loadWhole();
}

function moveFocus(before) {
  if (route.job !== null && route.job !== before.job) detailView.focus();
  else if (route.submit && !before.submit) submitView.focus();
  else if (route.job === null && before.job !== null) feedView.focusRow(before.job);
}

// --- screen

function render() {
  if (frameAsked) return;
  frameAsked = true;
  requestAnimationFrame(renderNow);
}

function renderNow() {
  frameAsked = false;
  document.body.dataset.pane = route.job ? "job" : route.submit ? "submit" : "none";
  document.title = store.watch?.job ? `${store.watch.job.task} · Windsock` : "Windsock";
  const state = { store, route, now: shownTime(), status: connection.status, narrow: NARROW.matches };
  for (const view of views) view.render(state);
}

// Offline, the clock stands still too: nobody knows whether a job is still running "so far".
function shownTime() {
  const { phase, since } = connection.status;
  const here = phase === Phase.OFFLINE || phase === Phase.REFUSED ? since : Date.now();
  return here + store.clockOffsetMs;
}

function closeOnEscape(event) {
  if (event.key === "Escape" && (route.job || route.submit) && !event.defaultPrevented) actions.close();
}

function visibilityChanged() {
  connection.setHidden(document.hidden);
  if (!document.hidden) connection.wake();
}

addEventListener("hashchange", followRoute);
addEventListener("online", () => connection.wake());
addEventListener("keydown", closeOnEscape);
document.addEventListener("visibilitychange", visibilityChanged);
NARROW.addEventListener("change", render);
setInterval(render, TICK_MS);

connection.setHidden(document.hidden);
openFeed();
openJob();
connection.start();
renderNow();
