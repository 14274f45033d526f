// One job's row: what it shows, and how it changes.

import { clone, put } from "./dom.js";
import { age, canRetry, duration, hasEnded, heldStep, isHeld, kind, output, place, seconds, statusText, stepNote, title, warningText } from "./words.js";

/** An empty row for the job with this id; `updateRow` fills it. */
export function newRow(id) {
  const node = clone("job-template");
  node.dataset.id = id;
  const part = (selector) => node.querySelector(selector);
  return {
    id,
    node,
    job: null,
    inSight: false,
    steps: new Map(),
    poster: part(".poster"),
    skim: part(".skim"),
    name: part(".name a"),
    status: part(".status"),
    pipeline: part(".pipeline"),
    time: part("time"),
    took: part(".took"),
    stepList: part(".steps"),
    error: part(".error"),
    warning: part(".warning"),
    cancel: part("[data-action=cancel]"),
    retry: part("[data-action=retry]"),
  };
}

/** Shows `job` in its row; does nothing when it is unchanged. */
export function updateRow(row, job) {
  if (row.job === job) return;
  row.job = job;
  put(row.node.dataset, "status", job.status);
  put(row.node.dataset, "held", String(Boolean(heldStep(job))));
  put(row.name, "textContent", title(job));
  put(row.name, "title", job.id);
  put(row.name, "href", new URL(`#${job.id}`, location.href).href);
  put(row.status, "textContent", statusText(job));
  put(row.pipeline, "textContent", job.pipeline);
  put(row.time, "dateTime", job.created_at);
  updateActions(row, job);
  updateError(row, job.error);
  put(row.warning, "textContent", warningText(job));
  put(row.warning, "hidden", !row.warning.textContent);
  job.steps.forEach((step) => updateStep(row, step));
  updateTimes(row, Date.now());
}

function updateActions(row, job) {
  const held = document.activeElement;
  put(row.cancel, "hidden", hasEnded(job));
  // Not `disabled`: that would take the keyboard's focus away.
  put(row.cancel, "ariaDisabled", String(Boolean(job.cancelling)));
  put(row.cancel, "ariaLabel", `Cancel ${title(job)}`);
  put(row.retry, "hidden", !canRetry(job));
  put(row.retry, "ariaDisabled", "false");
  put(row.retry, "ariaLabel", `Retry ${title(job)}`);
  put(row.poster, "disabled", !output(job, "master"));
  put(row.poster.dataset, "kind", kind(job));
  put(row.poster, "ariaLabel", `Play ${title(job)}`);
  // The pressed button is hidden: keep the keyboard focus in its row.
  if (held?.hidden && row.node.contains(held)) row.node.focus();
}

function updateError(row, error) {
  put(row.error, "hidden", !error);
  put(row.error.firstElementChild, "textContent", error?.code ?? "");
  put(row.error.lastElementChild, "textContent", error?.message ?? "");
}

function updateStep(row, step) {
  if (!row.steps.has(step.name)) row.steps.set(step.name, row.stepList.appendChild(clone("step-template")));
  const node = row.steps.get(step.name);
  const [name, , bar] = node.children;
  put(node.dataset, "status", step.status);
  put(node.dataset, "held", String(isHeld(step)));
  put(node, "title", hint(step));
  put(name, "textContent", step.name);
  put(bar, "value", step.status === "skipped" ? 0 : step.progress); // the view counts a skipped step as done
  put(bar, "ariaLabel", `${step.name} of ${title(row.job)}`);
}

function hint(step) {
  if (step.error && step.status !== "completed") return `${step.error.code}: ${step.error.message}`;
  if (step.no_executor) return `No executor runs ${step.name}. Start one: kinolog executor.`;
  if (!step.paused) return "";
  return `The ${step.name} queue is paused.${step.queue_position ? ` This job is ${place(step)}.` : ""}`;
}

/** Updates the row's relative times to `now_ms`. */
export function updateTimes(row, now_ms) {
  const { job } = row;
  const took = job.status === "completed" && job.started_at ? `took ${duration(seconds(job))}` : "";
  put(row.time, "textContent", age(job.created_at, now_ms));
  put(row.time, "title", new Date(job.created_at).toLocaleString());
  put(row.took, "textContent", [took, job.run > 1 ? `run ${job.run}` : ""].filter(Boolean).join(" · "));
  for (const step of job.steps) put(row.steps.get(step.name).children[1], "textContent", stepNote(step, now_ms));
}
