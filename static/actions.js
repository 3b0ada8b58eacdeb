// What a visitor can do and what has to be read for it: views call these, they call the server and write into the store.

import * as api from "./api.js";
import { hasEnded } from "./job.js";
import { Phase } from "./protocol.js";
import { jobHref } from "./route.js";

const PAGE = 500;
const AT_ONCE = 6; // requests of one bulk action that are on their way together
const TOAST_MS = 4000;
const LOOK_EVERY_MS = 2500;
const TASKS_AGAIN_MS = 5000;

/** Owns no data: `store` is written to, `show` asks for the screen to follow. */
export class Actions {
  #toastTimer = null;
  #lookTimer = null;
  #inSight = null;
  #tasksTimer = null;
  #asked = 0;
  #answered = new Map(); // question -> which of those asked was answered last

  constructor({ store, live, ui, show, go, openFeeds }) {
    Object.assign(this, { store, live, ui, show, go, openFeeds });
  }

  /** A short word about what was done, seen and heard. */
  say(text) {
    clearTimeout(this.#toastTimer);
    this.ui.toast.value = text;
    this.#toastTimer = setTimeout(() => (this.ui.toast.value = ""), TOAST_MS);
  }

  async submit(body) {
    const job = await api.submit(body);
    this.go(jobHref(job.id));
  }

  async cancel(id) {
    const job = await api.cancel(id);
    if (this.store.watch?.id === id) this.store.watch.take(job);
    this.show();
  }

  async rerun(id) {
    const job = await api.rerun(id);
    this.go(jobHref(job.id));
    this.say("Runs again, as a new job");
  }

  async remove(id) {
    await api.remove(id);
    for (const feed of this.store.feeds.values()) feed.drop(id);
    this.go(this.ui.listHref.value);
    this.say("Deleted");
  }

  /** Cancels or reruns many; `told(done, failed)` after each. Answers how many could not be done. */
  async each(name, ids, told = () => {}) {
    const waiting = [...ids];
    let [done, failed] = [0, 0];
    const work = async () => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
        await api[name](id).catch(() => (failed += 1));
        told((done += 1), failed);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return failed;
  }

  /** Frames carry no arguments, and no result that is too large for them. */
  async loadWhole() {
    const { watch } = this.store;
    if (watch === null) return;
    watch.asking += 1;
    try {
      watch.setWhole(await api.getJob(watch.id));
    } catch {
      return; // the subscription says what is wrong with the job, in its own frame
    } finally {
      watch.asking -= 1;
    }
    this.show();
  }

  /** The same where it is not here: who asked while the server was away was not answered. */
  async loadMissing() {
    if (this.store.watch?.lacksWhole) await this.loadWhole();
  }

  async loadTasks() {
    clearTimeout(this.#tasksTimer);
    const isNews = this.#ask("tasks");
    try {
      const tasks = await api.listTasks();
      if (isNews()) Object.assign(this.store, { tasks, tasksError: null });
    } catch (problem) {
      if (isNews()) this.#tasksFailed(problem);
    }
    this.show();
  }

  // Without a connection the next welcome asks.
  #tasksFailed(problem) {
    this.store.tasksError = problem.message;
    const { phase } = this.live.connection.status;
    if (phase === Phase.LIVE || phase === Phase.CATCHING_UP) this.#tasksTimer = setTimeout(() => this.loadTasks(), TASKS_AGAIN_MS);
  }

  async loadNodes() {
    const isNews = this.#ask("nodes");
    try {
      const nodes = await api.listNodes();
      if (isNews()) Object.assign(this.store, { nodes, nodesError: null });
    } catch (problem) {
      if (isNews()) this.store.nodesError = problem.message;
    }
    this.show();
  }

  // What is asked again and again may be answered in another order: an answer says whether no later one was here before it.
  #ask(question) {
    const number = (this.#asked += 1);
    return () => {
      if (number < (this.#answered.get(question) ?? 0)) return false;
      this.#answered.set(question, number);
      return true;
    };
  }

  /** One more page behind a list. */
  async readOn(feed) {
    if (feed.reading || feed.readFrom === null) return;
    const { resets } = feed;
    feed.reading = true;
    this.show();
    try {
      const page = await api.listJobs(feed.filter, PAGE, feed.readFrom);
      if (feed.resets === resets) feed.addPage(page.jobs, page.next);
    } catch (problem) {
      this.say(`Older jobs could not be read: ${problem.message}`);
    } finally {
      feed.reading = false;
      this.show();
    }
  }

  /**
   * Rows in sight that the list itself does not keep up to date. Each costs the server a command, and it takes twenty a
   * second: somebody who scrolls fast is followed at the next look.
   */
  watchRows(feed, ids) {
    this.#inSight = { feed, ids };
    if (this.#lookTimer !== null) return;
    this.#look();
    this.#lookTimer = setTimeout(() => {
      const seen = this.#inSight;
      this.#lookTimer = null;
      if (seen.ids !== ids) this.watchRows(seen.feed, seen.ids);
    }, LOOK_EVERY_MS);
  }

  /** The list is not shown any more. */
  leaveRows() {
    this.#inSight = { feed: null, ids: [] };
    this.#look();
  }

  #look() {
    const { feed, ids } = this.#inSight;
    const stands = [...this.store.feeds.values()].includes(feed);
    const going = stands ? ids.filter((id) => feed.behind.has(id) && !hasEnded(feed.jobs.get(id))) : [];
    this.live.watchRows(going);
  }

  /** Log lines from before the first that is held; as many as one request gives. */
  async loadEarlier(watch) {
    const limit = 5000;
    const { log } = watch;
    const { resets } = log;
    log.growing += 1;
    try {
      const page = await api.readLog(watch.id, Math.max(0, log.before - limit), limit);
      if (log.resets !== resets) return; // these lines may be those that were taken back
      log.prepend(page.entries);
      log.trimmedTo = page.first - 1; // nothing is kept from before there
    } finally {
      log.growing -= 1;
    }
    this.show();
  }

  async loadProfiles(watch) {
    const isNews = this.#ask("profiles");
    const profiles = await api.listProfiles(watch.id).catch(() => watch.profiles ?? []);
    if (isNews()) watch.profiles = profiles;
    this.show();
  }

  /** Shows or hides the children of a child. */
  toggleChildren(id) {
    if (!this.ui.opened.delete(id)) this.ui.opened.add(id);
    this.openFeeds();
    this.show();
  }
}
