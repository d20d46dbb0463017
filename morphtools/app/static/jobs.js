// Commands that run in the background: their progress and results.
import { ask, judge } from "./api.js";
import { button, el, fill, short } from "./page.js";
const metric = (value) => (value?.value === undefined ? short(value) : `${short(value.value)} (${short(value.low)} to ${short(value.high)})`);
const report = ({ job, folder, report: { summary, metrics, figures } }) => el("section", { class: "report stack" }, el("p", {}, summary),
  el("table", {}, el("tbody", {}, Object.entries(metrics).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, metric(value)))))),
  el("div", { class: "figures" }, figures.map((name) => el("a", { href: `api/jobs/${job}/figures/${name}`, target: "_blank", rel: "noopener" },
    el("img", { src: `api/jobs/${job}/figures/${name}`, alt: name.replace(".png", "").replaceAll("_", " "), loading: "lazy" })))),
  el("small", {}, `Everything is in ${folder}`));
// Draws a job into an element until it ends; then calls `over`. Keeps asking if the server restarts.
export async function watch(root, id, over) {
  for (let running = true; running; await new Promise((done) => setTimeout(done, 700))) {
    const job = await ask(`api/jobs/${id}`).catch(() => null);
    if (!root.isConnected) return;
    if (!job) continue;
    running = job.state === "running";
    const words = { running: `${job.progress.text || "starting"} … ${Math.round(job.seconds)} s`, done: `Done in ${Math.round(job.seconds)} s`, failed: job.error, stopped: "Stopped" };
    root.dataset.state = job.state;
    fill(root, running && el("progress", { value: job.progress.share ?? false, "aria-label": job.verb }), el("p", { role: "status" }, words[job.state]),
      running && button("Stop", () => judge(`api/jobs/${id}/stop`, {})), job.report && report(job),
      el("details", {}, el("summary", {}, "Log"), el("code", { class: "command" }, [job.command, "", ...job.log].join("\n"))));
    if (job.state === "done") over?.(job);
  }
}
// Starts a job and draws it.
export const run = (root, content, over) => judge("api/jobs", content, (job) => job && watch(root, job.job, over));
