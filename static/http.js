// Requests to one server. A refusal (problem+json) becomes a Problem.

import { parse } from "./codec.js";

const TIMEOUT_MS = 15_000;

/** A refusal of the server, or a server that could not be reached (`status` 0). */
export class Problem extends Error {
  constructor({ status, code, title, detail, errors }) {
    super(detail || title || `HTTP ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = code ?? null;
    this.errors = Array.isArray(errors) ? errors : [];
  }
}

/** Owns the address of a server: paths are appended to `base`, which ends without a slash. */
export class Http {
  #base;
  #fetch;

  constructor(base = "", send = (...request) => fetch(...request)) {
    this.#base = base;
    this.#fetch = send;
  }

  /** The decoded answer. Throws a Problem. `timeoutMs` is how long it may take. */
  async request(method, path, { body, headers = {}, timeoutMs = TIMEOUT_MS } = {}) {
    const typed = body === undefined ? headers : { "Content-Type": "application/json", ...headers };
    const answer = await this.#send(path, { method, headers: typed, body: body && JSON.stringify(body) }, timeoutMs);
    if (!answer.ok) throw new Problem({ title: answer.statusText, ...answer.value, status: answer.status });
    return answer.value;
  }

  // A body that breaks off is a server that did not answer, too. The browser's cache is left out: it would ask for a job by
  // its ETag and show the old answer, though its place in the queue, which is no news of the job, has changed.
  async #send(path, request, timeoutMs) {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await this.#fetch(this.#base + path, { ...request, cache: "no-store", signal });
      return { ok: answer.ok, status: answer.status, statusText: answer.statusText, value: parseOr(await answer.text(), null) };
    } catch {
      throw new Problem({ status: 0, code: "unreachable", title: "The server did not answer." });
    }
  }
}

function parseOr(text, fallback) {
  try {
    return parse(text);
  } catch {
    return fallback;
  }
}
