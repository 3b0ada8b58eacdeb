// A submit as a person would write it elsewhere: with curl, in Python, on the command line. Pure.

const SAFE_WORD = /^[A-Za-z0-9_./:=@%+,-]+$/;

const IDENTIFIER = /^[A-Za-z_]\w*$/;
const RESERVED = new Set([
  "self", "task", "options", "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
  "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or",
  "pass", "raise", "return", "try", "while", "with", "yield",
]);

export const WAYS = Object.freeze({ curl, Python: python, CLI: commandLine });

/** A word for a POSIX shell. */
export function quote(word) {
  return SAFE_WORD.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function curl(body, origin) {
  const json = quote(JSON.stringify(body));
  return `curl --json ${json} \\\n  ${quote(`${origin}/api/jobs`)}`;
}

export function commandLine({ task, args = {}, ...options }, origin) {
  const words = ["windsock", "submit", task];
  if (Object.keys(args).length > 0) words.push("--json", JSON.stringify(args));
  if (options.queue) words.push("--queue", options.queue);
  if (options.priority !== undefined) words.push("--priority", String(options.priority));
  if (options.delay_s !== undefined) words.push("--delay", `${options.delay_s}s`);
  for (const tag of options.tags ?? []) words.push("--tag", tag);
  words.push("--url", origin);
  return words.map(quote).join(" ");
}

export function python({ task, args = {}, ...options }, origin) {
  const words = Object.entries(options).map(([name, value]) => `${name}=${literal(value)}`);
  const wish = words.length > 0 ? `windsock.Options(${words.join(", ")})` : null;
  const plain = Object.keys(args).every((name) => IDENTIFIER.test(name) && !RESERVED.has(name));
  const given = Object.entries(args).map(([name, value]) => `${name}=${literal(value)}`);
  const call = plain
    ? `client.submit(${[literal(task), wish, ...given].filter(Boolean).join(", ")})`
    : `client.send(windsock.Submission(${[literal(task), literal(args), wish].filter(Boolean).join(", ")}))`;
  return `import windsock\n\nclient = windsock.Client(${literal(origin)})\njob = ${call}\nprint(job.id)`;
}

/** A JSON value as Python writes it. */
export function literal(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return pythonString(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${pythonString(key)}: ${literal(item)}`).join(", ")}}`;
  }
  return String(value);
}

// JSON's escapes are Python's too, all of them.
function pythonString(text) {
  return JSON.stringify(text);
}
