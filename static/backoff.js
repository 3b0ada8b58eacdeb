// When to come back after a connection was lost. Pure.

const BASE_MS = 500;
const CAP_MS = 20_000;

/** What a close code asks of us: 40xx never, 41xx later, 42xx soon, every other one an ordinary retry. */
export function verdictOf(code, bye = null) {
  if (bye?.retry === false || (code >= 4000 && code < 4100)) return "never";
  if (code >= 4100 && code < 4200) return "later";
  if (code >= 4200 && code < 4300) return "soon";
  return "retry";
}

/** Full jitter: anywhere between nothing and a bound that doubles. */
export function backoffMs(failures, random) {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** failures);
}
