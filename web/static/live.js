// What live frames mean: folds them into one state and puts jobs into words. Pure: no DOM, no clock, no socket.

const ENDED = new Set(["completed", "failed", "cancelled"]);
const STEP_ENDED = new Set(["completed", "failed", "cancelled", "skipped"]);

const OLDER_JOBS = 200;

/** A state that knows no jobs. `older`: the query for jobs that no frame has shown, null when there are none. */
export const emptyState = () => ({ jobs: new Map(), cursor: null, older: null });

export const hasEnded = (job) => ENDED.has(job.status);

/**
 * Folds one frame into `state` and returns what changed as [{id, before, after}].
 * The map is changed in place (it may hold 100,000 jobs); job objects are replaced, never changed.
 * A repeated or a late frame is harmless; a type that is not known is ignored.
 */
export function fold(state, frame) {
  const changes = FOLDS[frame.type]?.(state.jobs, frame) ?? [];
  if (frame.type === "snapshot") state.older = frame.more ? olderThan(frame.jobs) : null;
  if (frame.cursor != null) state.cursor = frame.cursor;
  return changes;
}

const FOLDS = {
  snapshot(jobs, frame) {
    const before = new Map(jobs);
    jobs.clear();
    for (const job of frame.jobs) jobs.set(job.id, job);
    const ids = new Set([...before.keys(), ...jobs.keys()]);
    return [...ids].map((id) => ({ id, before: before.get(id), after: jobs.get(id) }));
  },
  job(jobs, frame) {
    const before = jobs.get(frame.job.id);
    const after = keepProgress(before, frame.job);
    jobs.set(after.id, after);
    return [{ id: after.id, before, after }];
  },
  progress(jobs, frame) {
    const before = jobs.get(frame.job_id);
    const after = before && progressed(before, frame);
    if (!after) return [];
    jobs.set(after.id, after);
    return [{ id: after.id, before, after }];
  },
  queue(jobs, frame) {
    const moved = Object.entries(frame.positions).map(([id, place]) => [jobs.get(id), frame.step, place]);
    return moved.flatMap(([before, step, place]) => {
      const after = before && placed(before, step, place);
      if (!after) return [];
      jobs.set(after.id, after);
      return [{ id: after.id, before, after }];
    });
  },
  deleted(jobs, frame) {
    const before = jobs.get(frame.job_id);
    return jobs.delete(frame.job_id) ? [{ id: frame.job_id, before, after: undefined }] : [];
  },
};

/** Adds jobs that REST listed, and returns what changed as `fold` does. One that is known already is newer as it is. */
export function addListed(state, jobs) {
  const added = jobs.filter(({ id }) => !state.jobs.has(id));
  for (const job of added) state.jobs.set(job.id, job);
  return added.map((after) => ({ id: after.id, before: undefined, after }));
}

/** The first query for what a snapshot left out. It holds running jobs first: the ended ones tell how far back it goes. */
function olderThan(jobs) {
  const oldest = jobs.filter(hasEnded).reduce((least, { created_at }) => (least < created_at ? least : created_at), "~");
  if (oldest === "~") return { sort: "-created_at", limit: OLDER_JOBS };
  // Up to and with that moment: others may have the same.
  return { sort: "-created_at", limit: OLDER_JOBS, created_before: new Date(Date.parse(oldest) + 1).toISOString() };
}

/** `after`, with steps under way never behind what progress frames have already shown in the same run. */
function keepProgress(before, after) {
  if (before?.run !== after.run) return after;
  const seen = new Map(before.steps.map((step) => [step.name, step]));
  const steps = after.steps.map((step) => {
    const known = seen.get(step.name);
    if (!known || STEP_ENDED.has(step.status) || known.progress <= step.progress) return step;
    return { ...step, progress: known.progress, eta_s: known.eta_s };
  });
  return { ...after, steps, progress: Math.max(before.progress, after.progress) };
}

/** `job` with one step further on, or undefined when the frame is late: progress never falls within a run. */
function progressed(job, frame) {
  const step = job.steps.find(({ name }) => name === frame.step);
  if (!step || STEP_ENDED.has(step.status) || frame.progress < step.progress) return undefined;
  const moved = { ...step, progress: frame.progress, eta_s: frame.eta_s };
  const steps = job.steps.map((other) => (other === step ? moved : other));
  return { ...job, steps, progress: Math.max(job.progress, frame.job_progress ?? 0) };
}

/** `job` with a waiting step at that place in its queue, or undefined when that is no news. */
function placed(job, name, place) {
  const step = job.steps.find((other) => other.name === name);
  if (step?.status !== "waiting" || step.queue_position === place) return undefined;
  return { ...job, steps: job.steps.map((other) => (other === step ? { ...step, queue_position: place } : other)) };
}

/** Which filter a job falls under: "running", "completed" or "failed" (a cancelled one asks for attention too). */
export function group(job) {
  if (!hasEnded(job)) return "running";
  return job.status === "completed" ? "completed" : "failed";
}

/** How many jobs there are in all and per group. */
export function counts(jobs) {
  const found = { all: jobs.size, running: 0, completed: 0, failed: 0 };
  for (const job of jobs.values()) found[group(job)] += 1;
  return found;
}

/** Jobs under the filter whose name or id contains `text`, newest first. */
export function listed(jobs, show, text) {
  const wanted = text.trim().toLowerCase();
  return [...jobs.values()]
    .filter((job) => show === "all" || group(job) === show)
    .filter((job) => !wanted || `${title(job)} ${job.id} ${job.asset_id}`.toLowerCase().includes(wanted))
    .sort((a, b) => compare(b.created_at, a.created_at) || compare(b.id, a.id));
}

// ISO 8601 in UTC sorts as text; localeCompare would cost 50 times as much.
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** The name that a person knows the job by. */
export const title = (job) => job.filename || job.asset_id;

/** The kind of file as its name says, e.g. "MP4"; "" when it does not. */
export const kind = (job) => job.filename?.match(/\.([a-z0-9]{1,5})$/i)?.[1].toUpperCase() ?? "";

/** Outputs of the last step that published `name`, e.g. the key of "master" or "poster"; undefined when none did. */
export const output = (job, name) => job.steps.findLast((step) => step.outputs?.[name])?.outputs[name];

/** The job's state in a word or two. */
export function statusText(job) {
  if (job.cancelling && !hasEnded(job)) return "Cancelling";
  if (job.status === "active") return `${Math.floor(job.progress)} %`;
  if (job.status === "completed") return output(job, "master") ? "Ready" : "Done";
  return { waiting: "Waiting", failed: "Failed", cancelled: "Cancelled" }[job.status] ?? job.status;
}

/** What stands beside a step's bar. `now_ms` since the epoch. */
export const stepNote = (step, now_ms) => STEP_NOTES[step.status]?.(step, now_ms) ?? step.status;

const STEP_NOTES = {
  waiting: (step) => (step.queue_position ? `waiting · no. ${step.queue_position} in line` : "waiting"),
  active: (step) => [tries(step), `${Math.floor(step.progress)} %`, left(step)].filter(Boolean).join(" · "),
  delayed: (step, now_ms) => retryNote((Date.parse(step.retry_at) - now_ms) / 1000),
  completed: (step) => (step.started_at && step.finished_at ? duration(seconds(step)) : "done"),
  skipped: (step) => (step.reason ? step.reason.replaceAll("-", " ") : "skipped"),
};

const tries = (step) => (step.attempt > 1 ? `try ${step.attempt}/${Math.max(step.attempts, step.attempt)}` : "");
const left = (step) => (step.eta_s ? `${duration(step.eta_s)} left` : "");
const retryNote = (wait_s) => (wait_s >= 1 ? `retry in ${duration(wait_s)}` : "retrying");

/** Seconds between the start and the end of a job or step. */
export const seconds = ({ started_at, finished_at }) => (Date.parse(finished_at) - Date.parse(started_at)) / 1000;

/** A length of time as people say it: "0.4 s", "42 s", "3 min", "2 h 5 min". */
export function duration(s) {
  if (s < 0.95) return `${Math.max(0, s).toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  const minutes = Math.round(s / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
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

/** The sentence for a screen reader when a job ended or appeared; "" when there is nothing to say. */
export function announcement({ before, after }) {
  if (!after || before?.status === after.status) return "";
  if (!before) return `${title(after)} was added`;
  if (!hasEnded(after)) return "";
  const reason = after.status === "failed" && after.error ? `: ${after.error.message}` : "";
  return `${title(after)}: ${statusText(after)}${reason}`;
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
