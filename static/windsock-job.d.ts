// Types of windsock-job.js.

import type { Job, Problem } from "./windsock.js";

/** What a bar shows. */
export type BarState =
  | "missing" | "connecting" | "offline" | "refused" | "not-found"
  | "scheduled" | "queued" | "running" | "stalled" | "reconnecting" | "cancelling"
  | "succeeded" | "failed" | "cancelled";

/** `<windsock-job job="…">`: a live bar for one job. Attributes: job, server, label, log, cancel, compact. */
export declare class WindsockJob extends HTMLElement {
  /** What all bars say; texts, and functions that make them. Change them before the first bar is shown. */
  static words: { [name: string]: string | ((...values: any[]) => string) };

  /** Id of the job. */
  job: string;
  /** Address of the server; by default the one that windsock-job.js came from. */
  get server(): string | undefined;
  set server(url: string);
  /** The newest summary, with its outcome once it has ended; null while nothing is known. */
  readonly summary: Job | null;
  readonly state: BarState;
  /** Asks the job to end. */
  cancel(): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    "windsock-job": WindsockJob;
  }
  interface HTMLElementEventMap {
    "windsock-update": CustomEvent<Job>;
    "windsock-end": CustomEvent<Job>;
    "windsock-error": CustomEvent<Problem>;
  }
}
