// The jobs that the page lists: the pages that the server gave for a filter, kept true by live frames.
// Pure: no DOM, no clock, no socket.

import { queued } from "./kinolog.js";
import { isMatch } from "./filter.js";

/** Jobs that the page lists at first. */
export const PAGE_JOBS = 50;
// The most that the server gives at once.
const MOST_JOBS = 500;
// New jobs beyond `limit` that are kept before the last ones are dropped.
const SLACK_JOBS = 200;

// The step whose captions are shown while it runs.
const HEARING = "transcribe";
const MOST_CAPTION_CHARS = 300;

const STEP_ENDED = new Set(["completed", "failed", "cancelled", "skipped"]);

/**
 * An empty list. `jobs`: those that match `filter` (see filter.js), up to `end`; `limit`: how many are shown; `loaded`:
 * "nothing", "part" or "all"; `end`: with "part", what the last job that was fetched is sorted by; `next`: cursor of the
 * next page, null for the first one; `missed`: frames received while a page is being fetched, null when none is;
 * `cursor`: of the last live frame.
 */
export const emptyState = (filter = {}) => ({
  jobs: new Map(), filter, limit: PAGE_JOBS, loaded: "nothing", end: null, next: null, missed: null, cursor: null,
});

/** Sets the filter, and keeps the jobs that match it. Returns the changes, as `fold` does. */
export function choose(state, filter) {
  Object.assign(state, { filter, limit: PAGE_JOBS });
  startOver(state);
  const others = [...state.jobs.values()].filter((job) => !isMatch(filter, job));
  return others.map((job) => set(state, job.id, undefined));
}

/** Marks the list as not loaded: its jobs are shown until the first page replaces them. */
export const startOver = (state) => Object.assign(state, { loaded: "nothing", end: null, next: null, missed: null });

/** Whether a page has been fetched for this filter. */
export const isLoaded = (state) => state.loaded !== "nothing";

/** Whether there are jobs beyond those that are known. */
export const hasMore = (state) => state.loaded === "part";

/** Whether fewer jobs than `limit` are known. */
export const isShort = (state) => !isLoaded(state) || (hasMore(state) && state.jobs.size < state.limit);

/** Jobs that the next click on "Show more" adds: as many as are shown, so that thousands take a few clicks. */
export const moreJobs = (state) => Math.min(MOST_JOBS, state.limit);

/** The query of the next page, which `addPage` is called with. */
export function nextPage(state) {
  state.missed = [];
  const missing = state.limit - (state.next ? state.jobs.size : 0);
  const given = Object.entries({ ...state.filter, cursor: state.next }).filter(([, value]) => value);
  return { ...Object.fromEntries(given), limit: Math.min(MOST_JOBS, Math.max(PAGE_JOBS, missing)) };
}

/** Merges the fetched page; the first one replaces the list. Returns the changes, as `fold` does. */
export function addPage(state, { data, next_cursor }) {
  const gone = new Map(state.next ? [] : state.jobs);
  for (const { id } of data) gone.delete(id);
  const changes = [...gone.keys()].map((id) => set(state, id, undefined));
  for (const job of data) changes.push(set(state, job.id, latest(state.jobs.get(job.id), job)));
  Object.assign(state, next_cursor ? { loaded: "part", end: data.at(-1)[order(state).column] } : { loaded: "all", end: null });
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
  caption: (state, frame) => moved(state, state.jobs.get(frame.job_id), (job) => captioned(job, frame)),
  queue: (state, frame) => [...state.jobs.values()].flatMap((known) => moved(state, known, (job) => queued(job, frame))),
  deleted: (state, { job_id }) => (state.jobs.has(job_id) ? [set(state, job_id, undefined)] : []),
};

function changed(state, job) {
  const before = state.jobs.get(job.id);
  if (!before && isBeyond(state, job)) return [];
  const after = latest(before, job);
  if (isMatch(state.filter, after) && !isBeyond(state, after)) return [set(state, job.id, after), ...trimmed(state)];
  return before ? [set(state, job.id, undefined)] : [];
}

/** Whether the job comes after the pages that are loaded. */
function isBeyond(state, job) {
  if (state.loaded !== "part") return state.loaded === "nothing" && !state.jobs.has(job.id);
  const { column, sign } = order(state);
  return sign * compare(job[column], state.end) > 0;
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

/** Drops the last jobs of a list that grows without being paged; then the next page is the first one. */
function trimmed(state) {
  if (state.missed || state.jobs.size <= state.limit + SLACK_JOBS) return [];
  const all = listed(state);
  Object.assign(state, { loaded: "part", end: all[state.limit - 1][order(state).column], next: null });
  return all.slice(state.limit).map(({ id }) => set(state, id, undefined));
}

/** Column and direction of the list, e.g. {column: "created_at", sign: -1} for newest first. */
function order({ filter: { sort } }) {
  return { column: sort?.replace("-", "") || "created_at", sign: sort && !sort.startsWith("-") ? 1 : -1 };
}

/** The jobs of the list, in its order. */
export function listed(state) {
  const { column, sign } = order(state);
  return [...state.jobs.values()].sort((a, b) => sign * (compare(a[column], b[column]) || compare(a.id, b.id)));
}

// ISO 8601 in UTC sorts as text; localeCompare would cost 50 times as much.
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** `found`, unless `known` is newer. Progress does not fall within a run. */
function latest(known, found) {
  if (!known || known.run < found.run) return found;
  if (known.run > found.run || known.updated_at > found.updated_at) return known;
  const seen = new Map(known.steps.map((step) => [step.name, step]));
  const steps = found.steps.map((step) => keepProgress(seen.get(step.name), step));
  return { ...found, steps, progress: Math.max(known.progress, found.progress), ...keptCaption(known, found) };
}

const hearing = ({ steps }) => steps.find(({ name, status }) => name === HEARING && status === "active");

/** `job` with the newest words that its running step has heard; the same object for a late frame. */
function captioned(job, { id, text, language }) {
  const step = hearing(job);
  if (!step || (job.caption?.attempt === step.attempt && id < job.caption.id)) return job;
  return { ...job, caption: { id, text: text.slice(0, MOST_CAPTION_CHARS), language, attempt: step.attempt } };
}

/** What is heard goes when its step ends, and when another attempt begins. */
const keptCaption = ({ caption }, found) => (caption && hearing(found)?.attempt === caption.attempt ? { caption } : {});

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
