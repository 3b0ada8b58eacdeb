// How the bar looks. Custom properties and parts are told in docs/browser.md; what begins with --_ is our own.

const TEXT = `
:host {
  --_run: var(--windsock-accent, #1c67b8);
  --_good: var(--windsock-success, #28763a);
  --_bad: var(--windsock-danger, #c4262b);
  --_warn: var(--windsock-warning, #984a00);
  --_track: var(--windsock-track, color-mix(in srgb, currentColor 13%, transparent));
  --_height: var(--windsock-height, 0.375rem);
  --_radius: var(--windsock-radius, 99rem);
  display: block;
  min-inline-size: min(100%, 12rem);
  font: var(--windsock-font, inherit);
  font-variant-numeric: tabular-nums;
  line-height: 1.4;
  text-align: start;
}
@supports (color: light-dark(#000, #fff)) {
  :host {
    --_run: var(--windsock-accent, light-dark(#1c67b8, #74b6f7));
    --_good: var(--windsock-success, light-dark(#28763a, #74cf89));
    --_bad: var(--windsock-danger, light-dark(#c4262b, #ff8a88));
    --_warn: var(--windsock-warning, light-dark(#984a00, #ffb46b));
  }
}
:host([hidden]), [hidden] { display: none !important; }

.box { --_tone: var(--_quiet); --_quiet: color-mix(in srgb, currentColor 72%, transparent); display: grid; gap: 0.375em; min-inline-size: 0; }
.box[data-state="running"], .box[data-state="connecting"] { --_tone: var(--_run); }
.box[data-state="succeeded"] { --_tone: var(--_good); }
.box[data-state="failed"], .box[data-state="refused"] { --_tone: var(--_bad); }
.box[data-state="stalled"], .box[data-state="cancelling"] { --_tone: var(--_warn); }

.head, .foot { display: flex; align-items: baseline; gap: 0 0.5em; min-inline-size: 0; }
.name, .state { min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.name { font-weight: 600; }
.state { flex-shrink: 4; color: var(--_tone); font-size: 0.875em; }
.amount { flex: none; margin-inline-start: auto; }
.icon { flex: none; align-self: center; inline-size: 1em; block-size: 1em; color: var(--_tone); overflow: visible; }
.icon path { fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.icon .solid { fill: currentColor; stroke: none; }

.track { position: relative; overflow: hidden; block-size: var(--_height); border-radius: var(--_radius); background: var(--_track); }
.bar { inline-size: 0; block-size: 100%; border-radius: inherit; background: var(--_tone); transition: inline-size 0.25s linear, background-color 0.25s; }
.box[data-jump] .bar { transition: none; }
.box[data-dim] .bar { opacity: 0.55; }
.box[data-state="cancelled"] .bar { background: color-mix(in srgb, currentColor 42%, transparent); }
.box[data-moving] .bar { position: absolute; inline-size: 35% !important; animation: windsock-sweep 1.6s ease-in-out infinite; transition: none; }
.box[data-state="queued"] .track, .box[data-state="scheduled"] .track {
  background: repeating-linear-gradient(90deg, var(--_track) 0 0.5rem, transparent 0.5rem 0.75rem);
}
@keyframes windsock-sweep {
  from { inset-inline-start: -35%; }
  to { inset-inline-start: 100%; }
}
@keyframes windsock-turn { to { rotate: 360deg; } }
.box[data-state="running"] .icon, .box[data-state="connecting"] .icon, .box[data-state="reconnecting"] .icon, .box[data-state="cancelling"] .icon {
  animation: windsock-turn 1.2s linear infinite;
}

.foot { flex-wrap: wrap; justify-content: space-between; min-block-size: 1.4em; font-size: 0.8125em; color: var(--_quiet); }
.detail {
  flex: 1 1 10em; min-inline-size: 0; max-inline-size: 100%; overflow: hidden; overflow-wrap: anywhere; white-space: pre-line;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
}
/* While it runs the height must not change with each file name. */
.box[data-state="running"] .detail, .box[data-state="stalled"] .detail, .box[data-state="cancelling"] .detail {
  display: block; white-space: nowrap; text-overflow: ellipsis;
}
.pace { margin-inline-start: auto; max-inline-size: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.box[data-state="stalled"] .pace { color: var(--_tone); }
.box[data-trouble] .detail { color: var(--_bad); }

button {
  flex: none; margin: -0.25em 0; padding: 0.125em 0.625em; border: 1px solid color-mix(in srgb, currentColor 35%, transparent);
  border-radius: var(--windsock-button-radius, 0.375em); background: none; color: inherit; font: inherit; font-size: 0.8125em; cursor: pointer;
}
button:hover { border-color: currentColor; }
button:focus-visible, .log:focus-visible { outline: 2px solid var(--_run); outline-offset: 2px; }
button[aria-disabled="true"] { opacity: 0.6; cursor: default; }
@media (pointer: coarse) { button { padding-block: 0.5em; margin-block: -0.5em; } }

.log {
  max-block-size: var(--windsock-log-height, 9em); overflow: auto; padding: 0.5em 0.75em; border-radius: 0.375em;
  background: color-mix(in srgb, currentColor 6%, transparent);
  font-family: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.75em;
}
.log ol { margin: 0; padding: 0; list-style: none; }
.log li { white-space: pre-wrap; overflow-wrap: anywhere; }
.log [data-level="debug"], .log [data-level="gap"] { opacity: 0.7; }
.log [data-level="warning"] { color: var(--_warn); }
.log [data-level="error"] { color: var(--_bad); }

.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

:host([compact]) .box { display: flex; align-items: center; gap: 0.5em; flex-wrap: wrap; }
:host([compact]) .head { display: contents; }
:host([compact]) .name { max-inline-size: 40%; }
:host([compact]) .track { order: 1; flex: 1 1 4rem; }
:host([compact]) .amount, :host([compact]) .state { order: 2; margin: 0; font-size: 0.8125em; text-align: end; min-inline-size: 2.75em; }
:host([compact]) .box:not([data-state="running"]) .amount, :host([compact]) .amount:has(bdi:empty),
:host([compact]) .box[data-state="running"] .head:has(.amount bdi:not(:empty)) .state { display: none; }
:host([compact]) button { order: 3; }
:host([compact]) .foot { display: none; }
:host([compact]) .log, :host([compact]) slot { order: 4; flex-basis: 100%; }

@media (prefers-reduced-motion: reduce) {
  .bar { transition: none; }
  .icon { animation: none !important; }
  .box[data-moving] .bar { animation: none; position: static; inline-size: 100% !important; opacity: 0.4; }
}
@media (forced-colors: active) {
  .track { forced-color-adjust: none; border: 1px solid CanvasText; background: Canvas !important; }
  .bar { background: Highlight; }
  .box[data-state="failed"] .bar, .box[data-state="cancelled"] .bar { background: GrayText; }
}
`;

let sheet = null;

/** The one style sheet of all bars; made by script, so that a page's Content-Security-Policy needs no exception. */
export function styleSheet() {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(TEXT);
  }
  return sheet;
}
