// The jobs that the page lists: the pages that the server gave for a filter, kept true by live frames.
// Pure: no DOM, no clock, no socket.

import { queued } from "./kinolog.js";
import { group } from "./words.js";

/** Jobs that one click on "Show more" adds. */
export const PAGE_JOBS = 50;
// The most that the server gives at once.
const MOST_JOBS = 500;
// New jobs beyond `limit` that are kept before the oldest ones are dropped.
const SLACK_JOBS = 200;

const STEP_ENDED = new Set(["completed", "failed", "cancelled", "skipped"]);

// What each filter is for the server.
const STATUSES = { all: "", running: "waiting,active", completed: "completed", failed: "failed,cancelled" };

/** Whether there is a filter of that name. */
export const isFilter = (show) => Object.hasOwn(STATUSES, show);

// Values of `end`, the creation time of the last job that was fetched: no page fetched, the whole list fetched.
const NOTHING = "~";
const EVERYTHING = "";

/**
 * An empty list. `jobs`: those that match the filter, down to `end`; `limit`: how many are shown; `next`: cursor of the
 * next page, null for the first one; `missed`: frames received while a page is being fetched, null when none is;
 * `cursor`: of the last live frame.
 */
export const emptyState = (show = "all", text = "") => ({
  jobs: new Map(), show, text, limit: PAGE_JOBS, end: NOTHING, next: null, missed: null, cursor: null,
});

/** Sets the filter, and keeps the jobs that match it. Returns the changes, as `fold` does. */
export function choose(state, show, text) {
  Object.assign(state, { show, text, limit: PAGE_JOBS });
  startOver(state);
  const others = [...state.jobs.values()].filter((job) => !matches(state, job));
  return others.map((job) => set(state, job.id, undefined));
}

/** Marks the list as not loaded: its jobs are shown until the first page replaces them. */
export const startOver = (state) => Object.assign(state, { end: NOTHING, next: null, missed: null });

/** Whether a page has been fetched for this filter. */
export const isLoaded = (state) => state.end !== NOTHING;

/** Whether there are jobs beyond those that are known. */
export const hasMore = (state) => isLoaded(state) && state.end !== EVERYTHING;

/** Whether fewer jobs than `limit` are known. */
export const isShort = (state) => !isLoaded(state) || (hasMore(state) && state.jobs.size < state.limit);

/** The query of the next page, which `addPage` is called with. */
export function nextPage(state) {
  state.missed = [];
  const missing = state.limit - (state.next ? state.jobs.size : 0);
  const query = { status: STATUSES[state.show], q: state.text.trim(), cursor: state.next };
  const given = Object.entries(query).filter(([, value]) => value);
  return { ...Object.fromEntries(given), limit: Math.min(MOST_JOBS, Math.max(PAGE_JOBS, missing)) };
}

/** Merges the fetched page; the first one replaces the list. Returns the changes, as `fold` does. */
export function addPage(state, { data, next_cursor }) {
  const gone = new Map(state.next ? [] : state.jobs);
  for (const { id } of data) gone.delete(id);
  const changes = [...gone.keys()].map((id) => set(state, id, undefined));
  for (const job of data) changes.push(set(state, job.id, latest(state.jobs.get(job.id), job)));
  state.end = next_cursor ? data.at(-1).created_at : EVERYTHING;
  state.next = next_cursor;
  const { missed } = state;
  state.missed = null;
  return [...changes, ...missed.flatMap((frame) => fold(state, frame))];
}

/**
 * Folds one frame into `state` and returns what changed as [{id, before, after}]; `after` is undefined for a job that is
 * listed no more. Job objects are replaced, never changed. A repeated or a late frame is harmless; a type that is not
 * known is ignored.
 */
export function fold(state, frame) {
  state.missed?.push(frame);
  if (frame.cursor != null) state.cursor = frame.cursor;
  return FOLDS[frame.type]?.(state, frame) ?? [];
}

const FOLDS = {
  // It is bounded, and running jobs come first: the pages are fetched again.
  snapshot: (state) => (startOver(state), []),
  job: (state, { job }) => changed(state, job),
  progress: (state, frame) => moved(state, state.jobs.get(frame.job_id), (job) => progressed(job, frame)),
  queue: (state, frame) => [...state.jobs.values()].flatMap((known) => moved(state, known, (job) => queued(job, frame))),
  deleted: (state, { job_id }) => (state.jobs.has(job_id) ? [set(state, job_id, undefined)] : []),
};

function changed(state, job) {
  const before = state.jobs.get(job.id);
  if (!before && job.created_at < state.end) return []; // beyond the pages that are loaded
  const after = latest(before, job);
  if (matches(state, after)) return [set(state, job.id, after), ...trimmed(state)];
  return before ? [set(state, job.id, undefined)] : [];
}

function moved(state, before, move) {
  const after = before && move(before);
  return after === before ? [] : [set(state, before.id, after)];
}

function set(state, id, after) {
  const before = state.jobs.get(id);
  if (after) state.jobs.set(id, after);
  else state.jobs.delete(id);
  return { id, before, after };
}

/** Drops the oldest jobs of a list that grows without being paged; then the next page is the first one. */
function trimmed(state) {
  if (state.missed || state.jobs.size <= state.limit + SLACK_JOBS) return [];
  const all = listed(state.jobs);
  Object.assign(state, { end: all[state.limit - 1].created_at, next: null });
  return all.slice(state.limit).map(({ id }) => set(state, id, undefined));
}

/** The jobs of the list, newest first. */
export const listed = (jobs) =>
  [...jobs.values()].sort((a, b) => compare(b.created_at, a.created_at) || compare(b.id, a.id));

// ISO 8601 in UTC sorts as text; localeCompare would cost 50 times as much.
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** Whether the job matches the filter, by the same rule as the server. */
function matches({ show, text }, job) {
  const needle = text.trim().toLowerCase();
  const words = [job.id, job.asset_id, job.filename, job.passthrough, job.error?.code, job.error?.message];
  return (show === "all" || group(job) === show) && (!needle || words.join("\n").toLowerCase().includes(needle));
}

/** `found`, unless `known` is newer. Progress does not fall within a run. */
function latest(known, found) {
  if (!known || known.run < found.run) return found;
  if (known.run > found.run || known.updated_at > found.updated_at) return known;
  const seen = new Map(known.steps.map((step) => [step.name, step]));
  const steps = found.steps.map((step) => keepProgress(seen.get(step.name), step));
  return { ...found, steps, progress: Math.max(known.progress, found.progress) };
}

function keepProgress(known, step) {
  if (!known || STEP_ENDED.has(step.status) || known.progress <= step.progress) return step;
  return { ...step, progress: known.progress, ...(step.status === "active" ? { eta_s: known.eta_s } : {}) };
}

/** `job` with one step advanced; the same object for a late frame. */
function progressed(job, frame) {
  const step = job.steps.find(({ name }) => name === frame.step);
  if (!step || STEP_ENDED.has(step.status) || frame.progress < step.progress) return job;
  const further = { ...step, progress: frame.progress, eta_s: frame.eta_s };
  const steps = job.steps.map((other) => (other === step ? further : other));
  return { ...job, steps, progress: Math.max(job.progress, frame.job_progress ?? 0) };
}

/** Counts by filter, from counts by status. */
export function counts(jobs) {
  const sum = (statuses) => statuses.split(",").reduce((total, status) => total + (jobs[status] ?? 0), 0);
  const found = Object.fromEntries(Object.entries(STATUSES).map(([show, statuses]) => [show, sum(statuses)]));
  return { ...found, all: Object.values(jobs).reduce((total, count) => total + count, 0) };
}
