// Which subscriptions stand: those that what is shown asks for, and no others. It speaks to a connection and writes into a
// store; it knows no DOM.

import { Feed } from "./feed.js";
import { Watch } from "./watch.js";
import { filterKey } from "./route.js";

export const LIST_LIMIT = 500; // the most that a subscription gives
const LOG_LINES = 2000;
const MOST_ROWS = 20; // rows behind the window that are watched each for itself

/**
 * The lists that a route asks for: name -> {filter, limit}. `parents` are jobs whose children are shown, `list` is the
 * filter of the list that was looked at last: it stays open behind a job, so that Back finds it as it was.
 */
export function wantedFeeds(route, { parents = [], list = null } = {}) {
  const wanted = new Map();
  const shown = route.view === "jobs" ? route.filter : route.view === "job" ? list : null;
  if (shown !== null) wanted.set(listName(shown), { filter: shown, limit: LIST_LIMIT });
  if (route.view === "overview") {
    wanted.set("running", { filter: { state: ["running", "cancelling"] }, limit: 100 });
    wanted.set("failed", { filter: { state: ["failed"] }, limit: 6 });
  }
  if (route.view === "job") for (const id of parents) wanted.set(childrenName(id), { filter: { parent: [id] }, limit: 200 });
  return wanted;
}

export function listName(filter) {
  return `list ${filterKey(filter)}`;
}

export function childrenName(id) {
  return `children ${id}`;
}

/** Owns the numbers of the subscriptions of one store. */
export class Live {
  constructor(connection, store) {
    this.connection = connection;
    this.store = store;
  }

  /** The figures: always, so that the charts are full whenever they are looked at. */
  openStats() {
    this.store.statsSub = this.connection.subscribe({ stats: true });
  }

  /** Makes the lists what they should be. */
  openFeeds(wanted) {
    for (const [name, feed] of this.store.feeds) if (!wanted.has(name)) this.#closeFeed(name, feed);
    for (const [name, { filter, limit }] of wanted) if (!this.store.feeds.has(name)) this.#openFeed(name, filter, limit);
  }

  #closeFeed(name, feed) {
    this.store.feeds.delete(name);
    if (feed.sub !== null) this.connection.unsubscribe(feed.sub);
  }

  #openFeed(name, filter, limit) {
    const feed = new Feed(filter, limit);
    feed.sub = this.connection.subscribe({ feed: filter, limit });
    this.store.feeds.set(name, feed);
  }

  /** Opens a job, or none. */
  openJob(id) {
    const { store, connection } = this;
    if (store.watch?.id === id) return;
    if (store.watch !== null && store.watch.sub !== null) connection.unsubscribe(store.watch.sub);
    store.watch = null;
    if (id === null) return;
    store.watch = new Watch(id, LOG_LINES, store.held(id));
    store.watch.sub = connection.subscribe({ job: id, log: LOG_LINES });
  }

  /** Rows behind the window that are in sight and have not ended: each is watched for itself while it is looked at. */
  watchRows(ids) {
    const { store, connection } = this;
    const wanted = new Set(ids.slice(0, MOST_ROWS));
    for (const [sub, id] of store.rows) {
      if (wanted.delete(id)) continue;
      store.rows.delete(sub);
      connection.unsubscribe(sub);
    }
    for (const id of wanted) store.rows.set(connection.subscribe({ job: id }), id);
  }
}
