// The rows of the list. Only those in sight are in the document; the others are room that is kept for them.

import { count } from "../format.js";
import { jobsHref } from "../route.js";
import { inSight, pieces, pushedDown } from "../window.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { Row } from "./row.js";

const NARROW = matchMedia("(max-width: 48rem)"); // as in jobs.css
const SETTLE_MS = 150;

function rowHeight() {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return (NARROW.matches ? 5.5 : 3.75) * rem;
}

export function JobTable({ page, feed, selection }) {
  const body = useRef(null);
  const focused = useRef(null); // id of the row that has the focus
  const [sight, setSight] = useState({ first: 0, last: 20 });
  const ids = feed.ids();
  const row = rowHeight();
  const look = () => {
    const top = body.current?.getBoundingClientRect().top ?? 0;
    const next = inSight({ top, height: innerHeight, row, count: feed.ids().length });
    setSight((held) => (held.first === next.first && held.last === next.last ? held : next));
  };
  useScroll(page, look);
  useAnchor(body, ids, sight, row, page.frame);
  useLayoutEffect(look, [ids.length, row]);
  useReading(page, feed, sight, ids);
  useKeys(page, feed, selection, body, row);
  const drawn = pieces(sight, ids.length, focused.current === null ? [] : [ids.indexOf(focused.current)]);
  const focus = (event) => (focused.current = event.target.closest("tr")?.dataset.id ?? null);
  return html`<table class="jobs" aria-rowcount=${ids.length + 1}>
    <caption class="unseen">Jobs, newest first</caption>
    <${Head} ids=${ids} selection=${selection} show=${page.actions.show} />
    <tbody ref=${body} onFocusIn=${focus} onFocusOut=${() => (focused.current = null)}>
      ${drawn.flatMap((piece, place) => (piece.gap ? [html`<tr key=${`gap${place}`} class="gap" aria-hidden="true"><td colspan="5" style=${{ height: `${piece.gap * row}px` }}></td></tr>`]
        : ids.slice(piece.from, piece.to).map((id, index) => html`<${Row} key=${id} job=${feed.jobs.get(id)} index=${piece.from + index}
            now=${page.now} chosen=${selection.has(id)} choose=${choose(page, feed, selection)} />`)))}
    </tbody>
  </table>
  <${Foot} page=${page} feed=${feed} ids=${ids} />
  <${Newer} body=${body} feed=${feed} sight=${sight} />`;
}

function Head({ ids, selection, show }) {
  const all = selection.size > 0 && selection.size === ids.length;
  const toggle = () => (all ? selection.clear() : selection.all(ids), show());
  return html`<thead><tr>
    <th class="cell-select" scope="col"><input type="checkbox" aria-label=${`Select all ${count(ids.length)} rows`} checked=${all}
      indeterminate=${selection.size > 0 && !all} onChange=${toggle} /></th>
    <th scope="col">Job</th><th scope="col">State</th><th scope="col">Progress</th><th class="cell-time" scope="col">Time</th></tr></thead>`;
}

function choose(page, feed, selection) {
  return (id, range) => {
    if (range) selection.extend(id, feed.ids());
    else selection.toggle(id);
    page.actions.show();
  };
}

function Foot({ page, feed, ids }) {
  if (feed.readFrom === null) return ids.length > 20 && html`<p class="foot">These are all, ${count(ids.length)}.</p>`;
  return html`<p class="foot"><button type="button" class="button quiet" disabled=${feed.reading} onClick=${() => page.actions.readOn(feed)}>
    ${feed.reading ? "Reading older jobs …" : "Older jobs"}</button></p>`;
}

/** Says, to somebody who has scrolled down, that there is something new above. */
function Newer({ body, feed, sight }) {
  const seen = useRef(feed.ids()[0]);
  if (sight.first === 0) seen.current = feed.ids()[0];
  const newer = sight.first === 0 ? 0 : Math.max(0, feed.ids().indexOf(seen.current));
  if (newer === 0) return null;
  const up = () => scrollTo({ top: scrollY + body.current.getBoundingClientRect().top - 200 });
  return html`<button type="button" class="newer button primary" onClick=${up}>${count(newer)} new ↑</button>`;
}

// The place is kept when the list is left and come back to.
function useScroll(page, look) {
  useLayoutEffect(() => {
    scrollTo(0, page.ui.scroll.get(jobsHref(page.route.filter)) ?? 0);
    let asked = false;
    const moved = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => ((asked = false), look()));
    };
    addEventListener("scroll", moved, { passive: true });
    addEventListener("resize", moved);
    return () => (removeEventListener("scroll", moved), removeEventListener("resize", moved));
  }, []);
}

// What one reads must not run away under new rows: the page scrolls along with the first row in sight.
function useAnchor(body, ids, sight, row, frame) {
  const anchor = useRef(null);
  useLayoutEffect(() => {
    const { id, index } = anchor.current ?? { id: null, index: 0 };
    const moved = sight.first > 0 && id !== null && index === sight.first ? pushedDown(ids, id, index) : 0;
    if (moved !== 0) scrollBy(0, moved * row);
    const first = sight.first + (moved !== 0 ? moved : 0);
    anchor.current = sight.first > 0 ? { id: ids[first] ?? null, index: first } : null;
  }, [frame, sight.first]);
}

// Near the end the next page is read; rows behind the window are watched one by one while they are in sight.
function useReading(page, feed, sight, ids) {
  useEffect(() => {
    if (sight.last > ids.length - 30 && sight.first > 0) page.actions.readOn(feed);
    const timer = setTimeout(() => page.actions.watchRows(feed, ids.slice(sight.first, sight.last)), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [sight.first, sight.last, feed.behind.size]);
}

function useKeys(page, feed, selection, body, row) {
  useEffect(() => {
    const wish = (event) => {
      const link = document.activeElement?.closest?.("tr[data-id]");
      if (event.detail === "select" && link) selection.toggle(link.dataset.id);
      else if (event.detail === "next" || event.detail === "previous") step(feed, body, link, event.detail === "next" ? 1 : -1, row);
      else return;
      event.preventDefault();
      page.actions.show();
    };
    addEventListener("wish", wish);
    return () => removeEventListener("wish", wish);
  }, [feed, selection]);
}

function step(feed, body, from, by, row) {
  const ids = feed.ids();
  const index = from === null || from === undefined ? 0 : ids.indexOf(from.dataset.id) + by;
  const id = ids[Math.min(ids.length - 1, Math.max(0, index))];
  const link = document.getElementById(`row-${id}`);
  link?.focus({ preventScroll: true });
  const box = link?.closest("tr").getBoundingClientRect();
  if (box && box.top < 120) scrollBy(0, box.top - 120);
  if (box && box.bottom > innerHeight - row) scrollBy(0, box.bottom - innerHeight + row);
}

