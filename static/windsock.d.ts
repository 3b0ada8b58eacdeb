// Types of windsock.js. Field names are those of the wire: docs/protocol.md says what they mean.

/** A JSON value; integers beyond 2^53 come as bigint where the engine can read them. */
export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };

export type State = "scheduled" | "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled";

export interface Progress {
  done: number | null;
  total: number | null;
  unit: string | null;
  note: string | null;
  /** 0 to 1, over all steps. */
  fraction?: number;
  step?: { name: string; path: string[] };
  /** Units a second. */
  rate?: number;
  /** Seconds from `updated_at`, and the range they are likely in. */
  eta_s?: number;
  eta_low_s?: number;
  eta_high_s?: number;
}

export interface JobError {
  code: string;
  message: string;
  traceback?: string;
}

export interface Warning {
  kind: string;
  at: number;
  attempt: number;
  message: string;
  seconds?: number;
  where?: string;
}

/** The summary of a job, with its outcome once it has ended. Times are milliseconds since 1970. */
export interface Job {
  id: string;
  task: string;
  queue: string;
  state: State;
  attempt: number;
  max_attempts: number;
  priority: number;
  tags: string[];
  progress: Progress | null;
  created_at: number;
  scheduled_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  updated_at: number;
  node: string | null;
  warnings: Warning[];
  cursor: string;
  rerun_of?: string;
  parent?: string;
  children?: { total: number; ended: number; failed: number; cancelled: number; running: number };
  /** `slow`: over the 95th percentile of its task; `stalled`: nothing moved for several times the usual step. */
  pace?: "slow" | "stalled";
  result?: Json;
  result_bytes?: number;
  error?: JobError | null;
  /** How far its bar stands, 0 to 1; null where that is unknown. It never runs back within an attempt. */
  bar?: number | null;
}

/** A job as `get` answers it. */
export interface WholeJob extends Job {
  args: { [name: string]: Json };
  position?: number;
  start_in_s?: number | null;
}

export type LogEntry = { at: number; level: "debug" | "info" | "warning" | "error"; text: string } | { at: number; value: Json };

export interface Gap {
  from: number;
  to: number;
  why: "trimmed" | "slow" | "reset" | "lost";
}

/** What a JobWatch keeps of the log: lines in order, each hole named. */
export interface Log {
  readonly rows: ReadonlyArray<{ offset: number; entry: LogEntry } | Gap>;
  /** How many lines lie before the first that is kept. */
  readonly before: number;
}

export interface Stats {
  submitted: number;
  started: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  queued: number;
  scheduled: number;
  running: number;
  clients: number;
  subscriptions: number;
  nodes: number;
  loop_lag_ms: number;
  frames_out: number;
  bytes_out: number;
  conflated: number;
  pickup_ms: { p50: number | null; p99: number | null };
  run_ms: { p50: number | null; p99: number | null };
}

export interface Task {
  name: string;
  summary: string;
  kind: "coroutine" | "thread" | "process";
  arguments: { [key: string]: Json };
  options: { [key: string]: Json };
}

/** Where a connection stands. */
export declare const Phase: Readonly<{
  IDLE: "idle";
  CONNECTING: "connecting";
  CATCHING_UP: "catching up";
  LIVE: "live";
  OFFLINE: "offline";
  REFUSED: "refused";
}>;
export type Phase = (typeof Phase)[keyof typeof Phase];

export interface Status {
  phase: Phase;
  /** When this phase began, by the clock of the browser. */
  since: number;
  /** Close code and reason, where the phase has one. */
  code: number | null;
  reason: string;
  /** Why what is shown may be old (the server has lost its store), else null. */
  stale: string | null;
}

/** A refusal of the server, or a server that could not be reached. */
export declare class Problem extends Error {
  /** Of HTTP; 0 for a server that did not answer, null for the end of a subscription. */
  readonly status: number | null;
  readonly code: string | null;
  readonly errors: Array<{ field: string; message: string }>;
}

interface Refusable {
  /** The subscription is over for another reason than the end: the job is not known, the filter is none. */
  onError?: (problem: Problem) => void;
}

export interface JobOptions extends Refusable {
  /** How much of the log comes first; "none" (default) means none later, too. */
  log?: "none" | "all" | number;
  /** How many lines `log` of the watch keeps (2000). */
  logLines?: number;
  /** A cursor to go on from. */
  after?: string;
  /** Updates a second, at most 20 (10). */
  rate?: number;
  onUpdate?: (job: Job) => void;
  /** `first` is the offset of the first of these entries. */
  onLog?: (entries: LogEntry[], first: number) => void;
  onGap?: (gap: Gap) => void;
  /** The store went back: lines from this offset on are not what happened. */
  onReset?: (from: number) => void;
  /** It has caught up. */
  onLive?: () => void;
  /** Once, with the result or the error. */
  onEnd?: (job: Job) => void;
}

export interface FeedFilter {
  state?: State | State[];
  task?: string | string[];
  queue?: string | string[];
  tag?: string | string[];
  parent?: string | string[];
}

export interface FeedOptions extends Refusable {
  /** How many jobs the list holds, at most 500 (100). */
  limit?: number;
  rate?: number;
  onChange?: (feed: FeedWatch) => void;
}

interface Subscription {
  /** Until it is closed, ended or refused. */
  readonly open: boolean;
  /** Whether it has caught up. */
  readonly live: boolean;
  readonly error: Problem | null;
  /** Nothing is called any more. */
  close(): void;
}

export interface JobWatch extends Subscription {
  readonly id: string;
  readonly job: Job | null;
  readonly log: Log;
  /** To go on from, in another page or at another time. */
  readonly cursor: string | null;
  /** Resolves when the job has ended, whatever its state; rejects with a Problem if the watch is closed or refused. */
  ended(): Promise<Job>;
}

export interface FeedWatch extends Subscription {
  readonly filter: FeedFilter;
  /** Newest first. */
  readonly jobs: readonly Job[];
  /** Jobs by state, where the filter allows to count them. */
  readonly counts: { [state in State]: number } | null;
}

export interface StatsWatch extends Subscription {
  readonly latest: Stats | null;
}

export interface SubmitOptions {
  queue?: string;
  /** -10 to 10, higher first. */
  priority?: number;
  delay_s?: number;
  /** Milliseconds since 1970; not with `delay_s`. */
  at?: number;
  max_attempts?: number;
  timeout_s?: number;
  tags?: string[];
  /** The Idempotency-Key; by default a fresh one for each call. */
  key?: string;
  /** Waits up to so long for the end. */
  wait_s?: number;
}

export interface WindsockOptions {
  /** "msgpack" fetches a bundle of 6 KB once it connects. */
  codec?: "json" | "msgpack";
  onStatus?: (status: Status) => void;
}

/** One server as a page sees it. Connects when something is watched, and rests when nothing is. */
export declare class Windsock {
  /** `server` is by default the one that windsock.js came from. */
  constructor(server?: string | URL, options?: WindsockOptions);
  /** The one client of a page for a server; `<windsock-job>` uses it, too. */
  static shared(server?: string | URL): Windsock;

  readonly url: string;
  readonly status: Status;
  onStatus(listener: (status: Status) => void): () => void;
  /** The server's clock, in milliseconds since 1970. */
  now(): number;

  job(id: string, options?: JobOptions): JobWatch;
  feed(filter?: FeedFilter, options?: FeedOptions): FeedWatch;
  stats(onStats: (stats: Stats) => void, options?: Refusable): StatsWatch;

  /** Each of these throws a Problem. */
  submit(task: string, args?: { [name: string]: Json }, options?: SubmitOptions): Promise<Job>;
  cancel(id: string): Promise<Job>;
  rerun(id: string): Promise<Job>;
  get(id: string): Promise<WholeJob>;
  tasks(): Promise<Task[]>;

  close(): void;
}
