// One job's row: what it shows, and how it changes.

import { clone, put } from "./dom.js";
import { routeHash } from "./route.js";
import {
  age, canRetry, choiceText, currentText, hasEnded, heldStep, kind, output, place, statusIcon, statusText, title, tookText, warningText,
} from "./words.js";

// Paths in a box of 16 x 16.
const ICONS = {
  waiting: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5v3.2l2.2 1.6",
  active: "M5 3.5v9l7-4.5z",
  completed: "M3 8.5l3.5 3.5L13 4.5",
  failed: "M8 2.5v7M8 12.7v.3",
  cancelled: "M4 4l8 8M12 4l-8 8",
  held: "M5.5 3.5v9M10.5 3.5v9",
};

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
    pick: part("[data-pick]"),
    poster: part(".poster"),
    skim: part(".skim"),
    name: part(".name a"),
    pipeline: part(".pipeline"),
    owner: part(".owner"),
    caption: part(".caption"),
    icon: part(".status-icon path"),
    status: part(".status"),
    current: part(".current"),
    bar: part("progress"),
    time: part("time"),
    took: part(".took"),
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
  put(row.name, "title", `${title(job)} (${job.id})`);
  put(row.name, "href", new URL(routeHash("job", job.id), location.href).href);
  put(row.pick, "ariaLabel", `Select ${title(job)}`);
  put(row.pipeline, "textContent", choiceText(job));
  put(row.owner, "textContent", job.owner ?? "");
  updateCaption(row.caption, job.caption ?? { text: "" });
  put(row.time, "dateTime", job.created_at);
  updateStatus(row, job);
  updateActions(row, job);
  updateError(row, job.error);
  put(row.warning, "textContent", warningText(job));
  put(row.warning, "hidden", !row.warning.textContent);
  updateTimes(row, Date.now());
}

/** What is heard. Chromium takes the direction of the first text of a copied row for all, unless it is told again. */
function updateCaption(node, { text, language }) {
  if (node.textContent !== text) Object.assign(node, { textContent: text, title: text, lang: language ?? "", dir: "auto" });
}

function updateStatus(row, job) {
  const path = ICONS[statusIcon(job)] ?? ICONS.waiting;
  if (row.icon.getAttribute("d") !== path) row.icon.setAttribute("d", path);
  put(row.status, "textContent", statusText(job));
  put(row.bar, "hidden", hasEnded(job));
  put(row.bar, "value", job.progress);
  put(row.bar, "ariaLabel", `Progress of ${title(job)}`);
  put(row.current, "title", hint(heldStep(job)));
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
  put(row.error, "title", error?.message ?? "");
  put(row.error.firstElementChild, "textContent", error?.code ?? "");
  put(row.error.lastElementChild, "textContent", error?.message ?? "");
}

function hint(step) {
  if (!step) return "";
  if (step.no_executor) return `No executor runs ${step.name}. Start one: kinolog executor.`;
  return `The ${step.name} queue is paused.${step.queue_position ? ` This job is ${place(step)}.` : ""}`;
}

/** Updates the row's relative times to `now_ms`. */
export function updateTimes(row, now_ms) {
  const { job } = row;
  put(row.time, "textContent", age(job.created_at, now_ms));
  put(row.time, "title", new Date(job.created_at).toLocaleString());
  put(row.took, "textContent", [tookText(job, now_ms), job.run > 1 ? `run ${job.run}` : ""].filter(Boolean).join(" · "));
  put(row.current, "textContent", currentText(job, now_ms));
}
