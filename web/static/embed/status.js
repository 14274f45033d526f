// <kinolog-status job="…">: name, status, progress and error of one job, live.

import { announcement, duration, hasEnded, place, stepNote, statusText, title, warningText } from "../words.js";
import { KinologElement, h } from "./base.js";
import { followJob } from "./follow.js";

/** The current step in a few words, e.g. "transcode · 42 % · 30 s left"; "" when there is none. */
function stepText(job) {
  const step = job.steps.find(({ status }) => status === "active") ?? job.steps.find(({ name }) => name === job.current_step);
  if (!step || hasEnded(job)) return "";
  const left = job.eta_s ? `${duration(job.eta_s)} left in all` : "";
  return [step.name, place(step) || stepNote(step, Date.now()), left].filter(Boolean).join(" · ");
}

/** A row that shows a job; `show(job)` updates it in place. */
export function jobRow() {
  const name = h("span", { className: "name", part: "name" });
  const status = h("span", { className: "status", part: "status" });
  const bar = h("progress", { max: 100, value: 0, part: "progress" });
  const note = h("p", { className: "note", part: "note" });
  const node = h("div", { className: "job", part: "job" }, h("div", { className: "head" }, name, status), bar, note);

  function show(job) {
    node.dataset.status = job.status;
    name.textContent = title(job);
    name.title = job.id;
    status.textContent = statusText(job);
    bar.value = job.progress;
    bar.ariaLabel = `Progress of ${title(job)}`;
    bar.hidden = hasEnded(job);
    note.textContent = job.error && job.status === "failed" ? job.error.message : warningText(job) || stepText(job);
    note.hidden = !note.textContent;
  }

  return { node, show };
}

/** The element. Events: `change` and `complete` with the job as detail, `error` with {code, message} and the job, if any. */
export class KinologStatus extends KinologElement {
  static observedAttributes = ["job", ...KinologElement.observedAttributes];
  #row;
  #problem;
  #announcer;

  build() {
    this.#row = jobRow();
    this.#problem = h("p", { className: "problem", part: "problem", hidden: true });
    this.#announcer = h("p", { className: "unseen", role: "status" });
    this.shadowRoot.append(h("div", { className: "card", part: "card" }, this.#row.node, this.#problem), this.#announcer);
  }

  /** The id of the job. */
  get job() {
    return this.getAttribute("job") ?? "";
  }

  set job(value) {
    if (value) this.setAttribute("job", value);
    else this.removeAttribute("job");
  }

  run() {
    this.#row.node.hidden = true;
    this.#fail(null);
    if (!this.job) return undefined;
    let before;
    return followJob(this.feed, this.job, {
      onJob: (job) => {
        this.#show(before, job);
        before = job;
      },
      onProblem: (problem) => {
        this.#fail(problem);
        this.emit("error", problem);
      },
      onState: (state) => this.#row.node.classList.toggle("lost", state === "lost"),
    });
  }

  #show(before, job) {
    this.#fail(null);
    this.#row.node.hidden = false;
    this.#row.show(job);
    if (before) this.#announcer.textContent = announcement({ before, after: job }) || this.#announcer.textContent;
    this.emit("change", job);
    if (before?.status === job.status && before.run === job.run) return;
    if (job.status === "completed") this.emit("complete", job);
    if (job.status === "failed" || job.status === "cancelled") this.emit("error", endOf(job));
  }

  #fail(problem) {
    this.#problem.hidden = !problem;
    this.#problem.textContent = problem?.message ?? "";
  }
}

/** The end of a job as an error. */
export const endOf = (job) => ({
  code: job.error?.code ?? job.status,
  message: job.error?.message ?? (job.status === "cancelled" ? "The job was cancelled." : "The job failed."),
  job,
});
