// The log of the open job: by level, searched, followed unless the reader scrolled up.

import { logPath } from "../api.js";
import { clockWithSeconds, count, fullTime, gapText, plural } from "../format.js";
import { hasEnded } from "../job.js";
import { LEVELS, LogPages, levelOf, marked, textOf } from "../log_pages.js";
import { Component, html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const NEAR_END_PX = 24;

export function LogView({ page, watch }) {
  const box = useRef(null);
  const search = useRef(null);
  const pages = useRef(null);
  pages.current ??= new LogPages();
  const [query, setQuery] = useState("");
  const [hidden, setHidden] = useState(new Set());
  const [following, setFollowing] = useState(true);
  const { log } = watch;
  const parts = pages.current.of(log.rows, { hidden, query });
  const matching = parts.reduce((sum, { shown }) => sum + shown.length, 0);
  const scrolled = useFollow(box, following, setFollowing, log, matching);
  useKeys(search, () => setFollowing(true));
  const toggle = (level) => setHidden((held) => new Set(held.has(level) ? [...held].filter((one) => one !== level) : [...held, level]));
  return html`<section class="card log-part" aria-labelledby="log-title">
    <div class="log-head"><h2 id="log-title">Log</h2><span class="dim">${sizeText(log, matching, query, hidden)}</span>
      <input class="log-search" type="search" placeholder="Search" aria-label="Search the log" ref=${search} value=${query} autocomplete="off" spellcheck="false"
        onInput=${(event) => setQuery(event.target.value)} onKeyDown=${(event) => event.key === "Escape" && (event.stopPropagation(), setQuery(""), event.target.blur())} />
      <${Levels} log=${log} hidden=${hidden} toggle=${toggle} />
      ${log.next !== null && html`<a class="log-whole" href=${logPath(watch.id)} target="_blank" rel="noreferrer">Raw</a>`}
    </div>
    <div class="log" tabindex="0" role="group" aria-label="Lines of the log" ref=${box} onScroll=${scrolled}>
      <${Cut} page=${page} watch=${watch} />
      <ol class="log-lines" key=${log.resets}>${parts.map((part) => html`<${LogPage} key=${part.key} part=${part} query=${query} />`)}</ol>
      ${matching === 0 && html`<p class="log-nothing">${nothingText(watch, log)}</p>`}
    </div>
    ${!following && !hasEnded(watch.job) && html`<button type="button" class="follow button small" onClick=${() => setFollowing(true)}>Follow ↓</button>`}
  </section>`;
}

// Not role=log: it would read every line aloud. Lines that are drawn or fold anew move the end away from the reader, who
// did not: only scrolling up, away from the end, is a wish to read.
function useFollow(box, following, setFollowing, log, matching) {
  const top = useRef(0);
  const pin = () => following && box.current?.scrollTo(0, box.current.scrollHeight);
  useLayoutEffect(pin, [following, log.next, matching]);
  useEffect(() => {
    const sizes = new ResizeObserver(pin);
    for (const one of [box.current, box.current.querySelector(".log-lines")]) sizes.observe(one);
    return () => sizes.disconnect();
  }, [following, log.resets]);
  return ({ target }) => {
    const nearEnd = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR_END_PX;
    if (nearEnd) setFollowing(true);
    else if (target.scrollTop < top.current) setFollowing(false);
    top.current = target.scrollTop;
  };
}

function useKeys(search, follow) {
  useEffect(() => {
    const wish = (event) => {
      if (event.detail === "search") search.current.focus();
      else if (event.detail === "follow") follow();
      else return;
      event.preventDefault();
    };
    addEventListener("wish", wish);
    return () => removeEventListener("wish", wish);
  }, []);
}

function sizeText(log, matching, query, hidden) {
  if (log.next === null) return "";
  const all = plural(log.next - 1, "line");
  return query || hidden.size > 0 ? `${count(matching)} of ${all}` : all;
}

function nothingText({ live, job }, log) {
  if (log.rows.length > 0) return "No line matches.";
  if (!live) return "Loading …";
  return hasEnded(job) ? "The task logged nothing." : "Nothing logged so far.";
}

function Levels({ log, hidden, toggle }) {
  const there = LEVELS.filter((level) => log.levels[level] > 0);
  if (there.length < 2) return null;
  return html`<fieldset class="levels"><legend class="unseen">Levels</legend>${there.map((level) => html`<label key=${level} class="level-choice" data-level=${level}>
    <input type="checkbox" checked=${!hidden.has(level)} onChange=${() => toggle(level)} />${level}</label>`)}</fieldset>`;
}

function Cut({ page, watch }) {
  const [busy, setBusy] = useState(false);
  const { log } = watch;
  if (log.before <= (log.trimmedTo ?? 0)) return log.trimmedTo > 0 ? html`<p class="log-cut">${plural(log.trimmedTo, "earlier line")} not kept</p>` : null;
  const load = async () => {
    setBusy(true);
    await page.actions.loadEarlier(watch).catch((problem) => page.actions.say(problem.message));
    setBusy(false);
  };
  return html`<p class="log-cut">${plural(log.before, "earlier line")} <button type="button" class="button small" disabled=${busy} onClick=${load}>${busy ? "Loading …" : "Load"}</button></p>`;
}

/** A hundred lines; drawn anew only when one of them is new, or another search is made. */
class LogPage extends Component {
  shouldComponentUpdate(next) {
    return next.part !== this.props.part || next.query !== this.props.query;
  }

  render({ part, query }) {
    if (part.shown.length === 0) return null;
    return html`<li class="log-page" style=${{ "--lines": part.shown.length }}><ol>${part.shown.map((row) => lineOf(row, query))}</ol></li>`;
  }
}

function lineOf(row, query) {
  if (row.entry === undefined) return html`<li key=${`gap${row.from}`} class="log-gap">${gapText(row)}</li>`;
  const level = levelOf(row.entry);
  const { at } = row.entry;
  return html`<li key=${row.offset} class="log-line" data-level=${level}>
    <time dateTime=${new Date(at).toISOString()} title=${`${fullTime(at)} · line ${count(row.offset)}`}>${clockWithSeconds(at)}</time>
    <span class="level">${level}</span>
    <span class="log-text">${query === "" ? textOf(row.entry) : marked(textOf(row.entry), query).map(({ text, hit }, index) => (hit ? html`<mark key=${index}>${text}</mark>` : text))}</span></li>`;
}
