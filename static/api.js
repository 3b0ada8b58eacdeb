// The HTTP side: one function per request. A refusal (problem+json) becomes a Problem.

import { parse } from "./codec.js";

const TIMEOUT_MS = 15_000;

/** A refusal of the server, or a server that could not be reached (`status` 0). */
export class Problem extends Error {
  constructor({ status, code, title, detail, errors }) {
    super(detail || title || `HTTP ${status}`);
    this.status = status;
    this.code = code ?? null;
    this.errors = Array.isArray(errors) ? errors : [];
  }
}

async function request(method, path, body) {
  const answer = await send(method, path, body);
  const text = await answer.text();
  const value = parseOr(text, null);
  if (!answer.ok) throw new Problem({ title: answer.statusText, ...value, status: answer.status });
  return value;
}

async function send(method, path, body) {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  try {
    return await fetch(path, { method, ...json, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Problem({ status: 0, code: "unreachable", title: "The server did not answer." });
  }
}

function parseOr(text, fallback) {
  try {
    return parse(text);
  } catch {
    return fallback;
  }
}

const jobPath = (id) => `/api/jobs/${encodeURIComponent(id)}`;

export const listTasks = async () => (await request("GET", "/api/tasks")).tasks;
export const submit = (body) => request("POST", "/api/jobs", body);
export const getJob = (id) => request("GET", jobPath(id));
export const cancel = (id) => request("POST", `${jobPath(id)}/cancel`);
export const rerun = (id) => request("POST", `${jobPath(id)}/rerun`);
export const logPath = (id) => `${jobPath(id)}/log`;
