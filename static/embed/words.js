// What the bar says. A page may put its own words in place of any of these: `WindsockJob.words.running = "läuft"`.

import { clock, duration, elapsed, leftText, percent, plural, progressText, rateText, stepText } from "../format.js";

const JOINT = " · ";

export const WORDS = {
  connecting: "Connecting",
  offline: "No connection",
  offlineDetail: "Trying again",
  reconnecting: "Reconnecting",
  reconnectingDetail: ({ since }) => `No connection since ${clock(since)}`,
  staleDetail: "The server has lost its store, what is shown may be old",
  refused: "Not connected",
  refusedDetail: ({ reason }) => reason || "The server has ended the connection",
  notFound: "Not found",
  notFoundDetail: "This job is not known here, or not kept any more",
  job: "Job",
  missing: "No job",
  missingDetail: "The attribute job is empty",

  scheduled: "Scheduled",
  scheduledDetail: (job, now) => (job.scheduled_at > now ? `Starts in ${elapsed(job.scheduled_at - now)}` : "Starts now"),
  queued: "Waiting",
  queuedDetail: ({ position, start_in_s: startInS }) => {
    const before = position === 0 ? "Next in line" : position > 0 ? `${plural(position, "job")} before this one` : "";
    const start = Number.isFinite(startInS) ? `starts in about ${duration(1000 * Math.max(1, Math.round(startInS)))}` : "";
    return [before, start].filter(Boolean).join(JOINT);
  },
  running: "Running",
  stalled: "Stalled",
  stalledDetail: (job, now) => `Nothing has moved for ${elapsed(now - job.updated_at)}`,
  cancelling: "Cancelling",
  succeeded: "Done",
  succeededDetail: (job) => (job.started_at === null ? "" : `Took ${duration(job.finished_at - job.started_at)}`),
  failed: "Failed",
  failedDetail: (job) => job.error?.message ?? "",
  cancelled: "Cancelled",
  cancelledDetail: (job) => (job.started_at === null ? "Before it started" : `After ${duration(job.finished_at - job.started_at)}`),

  attempt: (number) => `attempt ${number}`,
  percent,
  progress: (progress) => [stepText(progress), progressText(progress)].filter(Boolean).join(JOINT),
  pace: (job, now) => [rateText(job.progress ?? {}), leftText(job, now)].filter(Boolean).join(JOINT),

  cancel: "Cancel",
  cancelOf: (name) => `Cancel ${name}`,
  cancelFailed: (reason) => `It could not be cancelled: ${reason}`,
  log: "Log",
  gap: ({ from, to }) => `${plural(to - from + 1, "line")} not kept`,
  ended: (name, word, detail) => [`${name}: ${word}`, detail].filter(Boolean).join(". "),
};
