// Which rows of a long list are drawn. Pure.

const OVERSCAN = 8; // rows above and below what is seen

/** The rows from `first` to before `last` that a viewport sees; all in pixels, `top` is where the list begins. */
export function inSight({ top, height, row, count }) {
  const clamp = (index) => Math.min(count, Math.max(0, index));
  return { first: clamp(Math.floor(-top / row)), last: clamp(Math.ceil((height - top) / row)) };
}

/**
 * What to draw, in order: `{from, to}` rows and `{gap}` numbers of rows left out. Rows in `kept` (that which has the
 * focus) are drawn wherever they are, so that the keyboard never loses its place.
 */
export function pieces({ first, last }, count, kept = []) {
  const ranges = [{ from: Math.max(0, first - OVERSCAN), to: Math.min(count, last + OVERSCAN) }];
  for (const index of kept) {
    if (index >= 0 && index < count && (index < ranges[0].from || index >= ranges[0].to)) ranges.push({ from: index, to: index + 1 });
  }
  ranges.sort((a, b) => a.from - b.from);
  const drawn = [];
  let at = 0;
  for (const range of ranges) {
    if (range.from > at) drawn.push({ gap: range.from - at });
    drawn.push(range);
    at = range.to;
  }
  if (at < count) drawn.push({ gap: count - at });
  return drawn;
}

/** How many rows came in above the one that was the first in sight; 0 where it is gone. */
export function pushedDown(ids, anchor, index) {
  if (anchor === null) return 0;
  const now = ids[index] === anchor ? index : ids.indexOf(anchor);
  return now < 0 ? 0 : now - index;
}
