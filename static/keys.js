// Keys of a single letter, and the two-letter ways of `g`. Pure: what a key means, given where it was pressed.

const WAYS = { o: "overview", j: "jobs", n: "nodes" };
const ALONE = {
  s: "submit", "?": "help", j: "next", k: "previous", x: "select", "/": "search", f: "follow", r: "again",
};

/** Turns key presses into names of what is wanted, or null. */
export class Keys {
  #afterG = -Infinity;

  /** `event` is a keydown; `at` in ms. */
  meaning(event, at) {
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    if (event.key === "Escape") return "escape";
    const waiting = at - this.#afterG < 1500;
    this.#afterG = -Infinity;
    if (waiting && WAYS[event.key]) return WAYS[event.key];
    if (event.key === "g") this.#afterG = at;
    return ALONE[event.key] ?? null;
  }
}

/** Is somebody typing there? Then letters are letters. */
export function isTyping(target) {
  const tag = target?.tagName;
  if (tag === "INPUT") return !["checkbox", "radio", "button", "submit"].includes(target.type);
  return tag === "TEXTAREA" || tag === "SELECT" || target?.isContentEditable === true;
}
