// A page without a program behind it: it hands the work in itself.

import { Windsock } from "http://127.0.0.1:8765/static/windsock.js";

const windsock = Windsock.shared();
const form = document.querySelector("form");
const bar = document.querySelector("windsock-job");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const alert = form.querySelector("[role=alert]");
  alert.textContent = "";
  try {
    const { id } = await windsock.submit("report", { rows: form.rows.valueAsNumber });
    bar.job = id;
    bar.hidden = false;
  } catch (problem) {
    alert.textContent = problem.errors?.[0]?.message ?? problem.message;
  }
});

bar.addEventListener("windsock-end", ({ detail: job }) => {
  if (job.state === "succeeded") bar.querySelector("output").textContent = job.result.total;
});
