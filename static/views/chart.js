// A chart of the last minutes by uPlot, which is fetched when the first one is shown.

import { clock, clockWithSeconds, ms, scaleText, short } from "../format.js";
import { html, useEffect, useRef, useState } from "./html.js";

const HEIGHT = 132;
const PX_PER_CHARACTER = 6.5; // of an axis, at most
const COUNT_STEPS = [1, 2, 5].flatMap((one) => [1, 10, 100, 1e3, 1e4, 1e5, 1e6].map((ten) => one * ten)).sort((a, b) => a - b);
const MS_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];
const MOTHER = { uPlot: null };
const loading = () => import("../vendor/uplot-1.6.32.js").then((module) => (MOTHER.uPlot = module.default));

// A canvas knows no variables: an element tells what a colour of the stylesheet comes to.
const probe = document.createElement("i");
probe.hidden = true;

function resolve(expression) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = expression;
  return getComputedStyle(probe).color;
}

const colour = (name) => resolve(`var(${name})`);
const faint = (name, percent) => resolve(`color-mix(in srgb, var(${name}) ${percent}%, transparent)`);

function axis(values, size) {
  return {
    stroke: () => colour("--dim"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px Inter, system-ui, sans-serif",
    gap: 6,
    size,
    values,
  };
}

// The lowest line is the zero, and a chart of nothing is not a chart of noise.
function reach(least) {
  return (_, __, most) => [0, Math.max(least, (most ?? 0) * 1.12)];
}

// A time that would be cut off at the right edge is not written.
function clockText(plot, seconds, axis, space, step) {
  const edge = plot.bbox.width / devicePixelRatio + 4;
  return seconds.map((at) => {
    const text = step < 60 ? clockWithSeconds(1000 * at) : clock(1000 * at);
    return plot.valToPos(at, "x") + (text.length * PX_PER_CHARACTER) / 2 > edge ? "" : text;
  });
}

function optionsOf({ lines, unit, least, pointed }, width) {
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [6, 4, 0, 0],
    cursor: { y: false, points: { size: 7 }, sync: { key: "minutes" }, drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: reach(least) } },
    axes: [
      { ...axis(clockText, 22), space: 80 },
      { ...axis((_, values) => scaleText(values, unit), 46), space: 26, incrs: unit === "ms" ? MS_STEPS : COUNT_STEPS },
    ],
    series: [{}, ...lines.map(({ name, colour: of, fill = false }) => ({
      label: name,
      stroke: () => colour(of),
      width: 1.75,
      points: { show: false },
      ...(fill && { fill: () => faint(of, 13) }),
    }))],
    hooks: { setCursor: [(plot) => pointed(plot.cursor.idx ?? null)] },
  };
}

/**
 * One figure: a heading, what each line stands at (now, or where the pointer is), and the lines.
 * `lines`: [{name, series, colour, fill}]; `unit` is "ms" or "" for a number, `least` the least height of the scale.
 */
export function Chart({ title, stats, lines, unit = "", least, now, spanMs, theme }) {
  const format = unit === "ms" ? ms : short;
  const box = useRef(null);
  const plot = useRef(null);
  const [at, setAt] = useState(null);
  const latest = useRef(null);
  latest.current = () => dataOf(stats, lines);
  useEffect(() => draw(box.current, plot, { lines, unit, least, pointed: setAt }, latest), []);
  useEffect(() => plot.current?.redraw(false), [theme]);
  useEffect(() => {
    if (plot.current === null) return;
    plot.current.setData(latest.current(), false);
    plot.current.setScale("x", { min: (now - spanMs) / 1000, max: now / 1000 });
  }, [stats.at.at(-1), Math.floor(now / 1000)]);
  const index = at !== null && at < stats.at.length ? at : stats.at.length - 1;
  return html`<figure class="chart card">
    <figcaption><span class="chart-title">${title}</span>
      <span class="legend">${lines.map(({ name, series, colour: of }) => html`<span class="legend-item" key=${name}>
        <span class="swatch" data-colour=${of} aria-hidden="true"></span>${name} <b>${valueText(stats.series[series][index], format)}</b></span>`)}</span>
    </figcaption>
    <div class="plot" ref=${box} aria-hidden="true"></div>
  </figure>`;
}

function valueText(value, format) {
  return value === null || value === undefined ? "–" : format(value);
}

function dataOf(stats, lines) {
  return [stats.at.map((at) => at / 1000), ...lines.map(({ series }) => stats.series[series])];
}

// Answers what undoes it.
function draw(box, plot, options, latest) {
  let gone = false;
  const begin = () => {
    if (gone) return;
    plot.current = new MOTHER.uPlot(optionsOf(options, box.clientWidth), latest.current(), box);
    sizes.observe(box);
  };
  const sizes = new ResizeObserver(() => plot.current?.setSize({ width: box.clientWidth, height: HEIGHT }));
  if (MOTHER.uPlot) begin();
  else loading().then(begin, () => {});
  return () => {
    gone = true;
    sizes.disconnect();
    plot.current?.destroy();
    plot.current = null;
  };
}
