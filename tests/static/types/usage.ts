// How a program uses the browser client; tests/static/types.test.js lets tsc check it against the declarations.

import { Phase, Problem, Windsock } from "../../../static/windsock.js";
import type { FeedWatch, Job, JobWatch, Status } from "../../../static/windsock.js";
import "../../../static/windsock-job.js";

const windsock = new Windsock("https://jobs.example.com", { codec: "msgpack", onStatus: show });
const shared: Windsock = Windsock.shared();

function show(status: Status): void {
  if (status.phase === Phase.OFFLINE) console.log(new Date(status.since), status.stale);
}

async function run(): Promise<void> {
  const made = await windsock.submit("thumbnails", { folder: "photos" }, { priority: 5, tags: ["user:7"], wait_s: 1 });
  const watch: JobWatch = windsock.job(made.id, {
    log: 100,
    onUpdate: (job) => console.log(job.state, job.bar ?? 0, job.progress?.eta_s),
    onLog: (entries, first) => entries.forEach((entry, index) => console.log(first + index, "text" in entry ? entry.text : entry.value)),
    onGap: ({ from, to, why }) => console.log(from, to, why === "trimmed"),
    onEnd: (job) => console.log(job.result, job.error?.message),
    onError: (problem) => console.log(problem.code),
  });
  const ended: Job = await watch.ended();
  const feed: FeedWatch = shared.feed({ state: ["failed", "cancelled"], task: "thumbnails" }, {
    limit: 20,
    onChange: ({ jobs, counts }) => console.log(jobs.map((job) => job.id), counts?.failed),
  });
  const stats = shared.stats(({ running, pickup_ms }) => console.log(running, pickup_ms.p99));
  feed.close();
  stats.close();
  await windsock.rerun(ended.id).catch((problem: Problem) => console.log(problem.status, problem.errors[0]?.field));
  const { args, position } = await windsock.get(ended.id);
  console.log(args, position, (await windsock.tasks()).map((task) => task.arguments));
  await windsock.cancel(ended.id);
  windsock.close();
}

const bar = document.createElement("windsock-job");
bar.job = "01JD";
bar.addEventListener("windsock-end", ({ detail }) => console.log(detail.state === "succeeded", bar.summary?.result));
document.querySelector("windsock-job")?.cancel();
void run();

// @ts-expect-error a codec that there is not
new Windsock("", { codec: "xml" });
// @ts-expect-error a state that there is not
windsock.feed({ state: "done" });
// @ts-expect-error a callback that there is not
windsock.job("J", { onProgress: () => {} });
