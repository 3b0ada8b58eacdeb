// The HTTP side of the page: one function per request. A refusal becomes a Problem.

import { Http, Problem } from "./http.js";

export { Problem };

const http = new Http();
const request = (method, path, body) => http.request(method, path, { body });

const jobPath = (id) => `/api/jobs/${encodeURIComponent(id)}`;

function queryOf(fields) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined) query.append(name, one);
  }
  return query;
}

export const listTasks = async () => (await request("GET", "/api/tasks")).tasks;
export const listNodes = async () => (await request("GET", "/api/nodes")).nodes;
export const listJobs = (filter, limit, before) => request("GET", `/api/jobs?${queryOf({ ...filter, limit, before })}`);
export const submit = (body) => request("POST", "/api/jobs", body);
export const getJob = (id) => request("GET", jobPath(id));
export const readLog = (id, after, limit) => request("GET", `${jobPath(id)}/log?${queryOf({ after, limit })}`);
export const cancel = (id) => request("POST", `${jobPath(id)}/cancel`);
export const rerun = (id) => request("POST", `${jobPath(id)}/rerun`);
export const remove = (id) => request("DELETE", jobPath(id));
export const getStack = (id) => request("GET", `${jobPath(id)}/stack`);
export const listProfiles = async (id) => (await request("GET", `${jobPath(id)}/profiles`)).profiles;
export const startProfile = (id, seconds) => request("POST", `${jobPath(id)}/profile`, { seconds });
export const logPath = (id) => `${jobPath(id)}/log?limit=10000`;
export const reportPath = (id) => `${jobPath(id)}/report.html`;
export const profilePath = (id, number, kind) => `${jobPath(id)}/profiles/${number}.${kind}`;
