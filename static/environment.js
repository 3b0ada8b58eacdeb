// What the client takes of the browser, in one value, so that a test can hand in its own.

/** Clocks are functions: `monotonic` and `wall` answer milliseconds. */
export function browserEnvironment() {
  return {
    WebSocket: globalThis.WebSocket,
    fetch: (...request) => fetch(...request),
    page: globalThis.document === undefined ? null : globalThis,
    setTimeout: (call, ms) => setTimeout(call, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    random: Math.random,
    monotonic: () => performance.now(),
    wall: () => Date.now(),
  };
}
