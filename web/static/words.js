// Texts about jobs and steps. Pure: no DOM, no clock.

const ENDED = new Set(["completed", "failed", "cancelled"]);

/** Whether the job has ended. */
export const hasEnded = (job) => ENDED.has(job.status);

/** The filter that lists a job: "running", "completed" or "failed" (which includes cancelled ones). */
export function group(job) {
  if (!hasEnded(job)) return "running";
  return job.status === "completed" ? "completed" : "failed";
}

/** Whether a retry would run a step of the job: it failed, was cancelled, or completed without some steps. */
export const canRetry = (job) => group(job) === "failed" || (job.status === "completed" && missing(job).length > 0);

/** The warnings about steps that a completed job lacks. */
function missing(job) {
  const status = new Map(job.steps.map((step) => [step.name, step.status]));
  return (job.warnings ?? []).filter(({ step }) => status.get(step) !== "completed");
}

/** The job's name for people. */
export const title = (job) => job.filename || job.asset_id;

/** The file extension in upper case, e.g. "MP4"; "" without one. */
export const kind = (job) => job.filename?.match(/\.([a-z0-9]{1,5})$/i)?.[1].toUpperCase() ?? "";

/** Outputs of the last step that published `name`, e.g. the key of "master" or "poster"; undefined when none did. */
export const output = (job, name) => job.steps.findLast((step) => step.outputs?.[name])?.outputs[name];

/** How a job is, or was asked to be, processed, e.g. "video · high priority". */
export const choiceText = ({ pipeline, priority }) => [pipeline, priority && `${priority} priority`].filter(Boolean).join(" · ");

/** The job's status in a word or two. */
export function statusText(job) {
  if (job.cancelling && !hasEnded(job)) return "Cancelling";
  const held = heldStep(job);
  if (held) return held.paused ? `Paused · ${held.name} queue` : `Waiting · no executor for ${held.name}`;
  if (isScheduled(job)) return `Starts ${new Date(job.run_at).toLocaleString()}`;
  if (job.status === "active") return `${Math.floor(job.progress)} %`;
  if (job.status === "completed") return output(job, "master") ? "Ready" : "Done";
  return { waiting: "Waiting", failed: "Failed", cancelled: "Cancelled" }[job.status] ?? job.status;
}

/** The status of a job as an icon shows it: "held" while somebody has to do something. */
export const statusIcon = (job) => (heldStep(job) ? "held" : job.status);

/** What runs now, or is waited for, e.g. "transcode 62 % · 30 s left, also audio"; "" for a job that has ended. */
export function currentText(job, now_ms) {
  if (hasEnded(job)) return "";
  const [first, ...others] = currentSteps(job);
  if (!first) return "";
  const note = stepNote(first, now_ms).replace(/^waiting( · )?/, "");
  const also = others.length ? `, also ${others.map(({ name }) => name).join(", ")}` : "";
  return note ? `${first.name} ${note}${also}` : "";
}

/** The steps that decide when the job goes on, the first one of them the most telling. */
function currentSteps({ steps }) {
  const having = (condition) => steps.filter(condition);
  const active = having(({ status }) => status === "active");
  if (active.length) return active;
  const delayed = having(({ status }) => status === "delayed");
  if (delayed.length) return delayed;
  return having((step) => step.status === "waiting" && (isHeld(step) || step.queue_position)).slice(0, 1);
}

/** How long the job ran, or runs; "" before its start. */
export function tookText(job, now_ms) {
  if (!job.started_at) return "";
  if (!hasEnded(job)) return `for ${duration(Math.max(0, now_ms - Date.parse(job.started_at)) / 1000)}`;
  return job.finished_at ? `took ${duration(seconds(job))}` : "";
}

/** What a completed job lacks or has damaged, and why; "" for any other job. */
export function warningText(job) {
  const warnings = (job.status === "completed" && job.warnings) || [];
  if (!warnings.length) return "";
  const status = new Map(job.steps.map((step) => [step.name, step.status]));
  const lacks = missing(job).map(({ step }) => NOUNS[step] ?? step);
  const without = lacks.length ? `without ${LIST.format(lacks)}` : "with defects";
  // A step that was skipped because another failed has no reason of its own.
  const reasons = [...new Set(warnings.filter(({ step }) => status.get(step) !== "skipped").map(reason))];
  const more = reasons.length > MOST_REASONS ? [`And ${reasons.length - MOST_REASONS} more.`] : [];
  const text = [...reasons.slice(0, MOST_REASONS), ...more].join(" ");
  return `${statusText(job)}, ${without}${text ? `: ${text}` : ""}`;
}

const MOST_REASONS = 3;
const LIST = new Intl.ListFormat("en");
const NOUNS = { audio: "normalised audio", transcribe: "transcript", embed: "search by meaning" };

const reason = ({ message, start_ms, end_ms }) =>
  start_ms === undefined ? message : `${message} (${[start_ms, end_ms ?? start_ms].map(position).join(" to ")})`;

/** Milliseconds as h:mm:ss. */
function position(ms) {
  const [h, m, s] = [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1000) % 60].map(Math.floor);
  return `${h}:${String(m).padStart(2, "0")}:${String(s).padStart(2, "0")}`;
}

/** The step that cannot start: its queue is paused, or no executor offers it; undefined while another step runs. */
export function heldStep(job) {
  if (hasEnded(job) || job.steps.some(({ status }) => status === "active")) return undefined;
  return job.steps.find(isHeld);
}

/** The note next to a step's progress bar. `now_ms` since the epoch. */
export const stepNote = (step, now_ms) => STEP_NOTES[step.status]?.(step, now_ms) ?? step.status;

const STEP_NOTES = {
  waiting: (step) => heldText(step) || ["waiting", place(step), left(step)].filter(Boolean).join(" · "),
  active: (step) => [tries(step), `${Math.floor(step.progress)} %`, left(step)].filter(Boolean).join(" · "),
  delayed: (step, now_ms) => retryNote((Date.parse(step.retry_at) - now_ms) / 1000),
  completed: (step) => (step.started_at && step.finished_at ? duration(seconds(step)) : "done"),
  skipped: (step) => (step.reason ? step.reason.replaceAll("-", " ") : "skipped"),
};

/** Whether the job waits for the time at which it is to start. */
const isScheduled = ({ run_at, status, run, steps }) =>
  Boolean(run_at) && status === "waiting" && run === 1 && !steps.some(({ attempt }) => attempt);

/** Whether somebody has to do something before the step can start. */
export const isHeld = (step) => Boolean(step.paused || step.no_executor);
const heldText = (step) => (step.paused ? "paused" : step.no_executor ? "no executor" : "");

/** The position of a step in its queue; "" for one that is in none. */
export const place = (step) => (step.queue_position ? `no. ${step.queue_position} in queue` : "");
const tries = (step) => (step.attempt > 1 ? `try ${step.attempt}/${Math.max(step.attempts, step.attempt)}` : "");
const left = (step) => (step.eta_s && (step.status === "active" || step.queue_position) ? `${duration(step.eta_s)} left` : "");
const retryNote = (wait_s) => (wait_s >= 1 ? `retry in ${duration(wait_s)}` : "retrying");

/** Seconds between the start and the end of a job or step. */
export const seconds = ({ started_at, finished_at }) => (Date.parse(finished_at) - Date.parse(started_at)) / 1000;

/** A duration for people: "0.4 s", "42 s", "3 min", "2 h 5 min". */
export function duration(s) {
  if (s < 0.95) return `${Math.max(0, s).toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  const minutes = Math.round(s / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A size for people, e.g. "1.2 GB". */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${power && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago `then` (ISO 8601) was, e.g. "3 minutes ago". */
export function age(then, now_ms) {
  const s = Math.max(0, (now_ms - Date.parse(then)) / 1000);
  if (s < 10) return "just now";
  if (s < 60) return RELATIVE.format(-Math.floor(s), "second");
  if (s < 3600) return RELATIVE.format(-Math.floor(s / 60), "minute");
  if (s < 86400) return RELATIVE.format(-Math.floor(s / 3600), "hour");
  return RELATIVE.format(-Math.floor(s / 86400), "day");
}

/** The text for screen readers when a job was added or has ended; "" for any other change. */
export function announcement({ before, after }) {
  if (!after || before?.status === after.status) return "";
  if (!hasEnded(after)) return before ? "" : `${title(after)} was added`;
  const cause = after.status === "failed" && after.error ? `: ${after.error.message}` : "";
  return `${title(after)}: ${warningText(after) || statusText(after)}${cause}`;
}

/** Cues of a storyboard (WebVTT whose payload is `IMAGE#xywh=x,y,w,h`) as [{start_s, end_s, image, x, y, w, h}]. */
export function storyboard(vtt) {
  const cue = /(\S+) --> (\S+)[^\n]*\n(\S+)#xywh=(?:pixel:)?(\d+),(\d+),(\d+),(\d+)/g;
  return [...vtt.replaceAll("\r", "").matchAll(cue)].map(([, start, end, image, ...box]) => {
    const [x, y, w, h] = box.map(Number);
    return { start_s: clock(start), end_s: clock(end), image, x, y, w, h };
  });
}

const clock = (text) => text.split(":").reduce((total, part) => total * 60 + Number(part), 0);
