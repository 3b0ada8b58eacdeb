// What this browser remembers for its visitor: theme, shortcuts, recent values. Every access may fail (private windows,
// blocked storage), and then nothing is remembered.

const PREFIX = "windsock.";
const RECENT = 6; // submits that are remembered for each task

export function recall(name, fallback, storage = localStorageOrNull()) {
  try {
    return JSON.parse(storage.getItem(PREFIX + name)) ?? fallback;
  } catch {
    return fallback;
  }
}

export function remember(name, value, storage = localStorageOrNull()) {
  try {
    storage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // full or forbidden: it is only a convenience
  }
}

export function localStorageOrNull() {
  return storageOrNull("localStorage");
}

export function sessionStorageOrNull() {
  return storageOrNull("sessionStorage");
}

function storageOrNull(kind) {
  try {
    return globalThis[kind] ?? null;
  } catch {
    return null;
  }
}

/** The last submits of a task, newest first: `{at, args}`. */
export function recentOf(task, storage) {
  const recent = recall(`recent.${task}`, [], storage ?? localStorageOrNull());
  return Array.isArray(recent) ? recent : [];
}

export function addRecent(task, args, at, storage) {
  const same = JSON.stringify(args);
  const others = recentOf(task, storage).filter((one) => JSON.stringify(one.args) !== same);
  remember(`recent.${task}`, [{ at, args }, ...others].slice(0, RECENT), storage ?? localStorageOrNull());
}
