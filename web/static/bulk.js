// Commands to many jobs: which of the chosen jobs each can be given to, what will happen, and the requests. Pure.

import { STATUSES, selection } from "./filter.js";
import { canRetry, hasEnded } from "./words.js";

// Jobs of one request: progress moves on with each.
const CHUNK_IDS = 200;
const ENDED = ["completed", "failed", "cancelled"];
const NUMBER = new Intl.NumberFormat("en");

/** The number of jobs in words: "1 job", "12,000 jobs". */
export const jobsText = (count) => `${NUMBER.format(count)} ${count === 1 ? "job" : "jobs"}`;

/** Action -> its route, its texts, the statuses of jobs that take it, and whether a job does. */
export const ACTIONS = {
  cancel: {
    label: "Cancel", path: "cancel", body: {}, statuses: ["waiting", "active"], can: (job) => !hasEnded(job) && !job.cancelling,
    text: "Steps that run are stopped, those that wait never start. What has been published stays.",
    yes: "Cancel them", no: "Keep them", done: "cancelled",
  },
  retry: {
    label: "Retry", path: "retry", body: {}, statuses: ["failed", "cancelled"], can: canRetry,
    text: "They resume from the steps that have not completed.", yes: "Retry them", no: "Not now", done: "retried",
  },
  clear: {
    label: "Clear", path: "clear", body: { artifacts: false }, statuses: ENDED, can: hasEnded,
    text: "The jobs are removed. Assets that are ready stay and can be played. This cannot be undone.",
    yes: "Clear them", no: "Keep them", done: "cleared",
  },
  delete: {
    label: "Delete", path: "clear", body: { artifacts: true }, statuses: ENDED, can: hasEnded,
    text: "The jobs and the files that they published are removed; assets, too, that have no other job. This cannot be undone.",
    yes: "Delete them", no: "Keep them", done: "deleted",
  },
};

/** The plan for chosen jobs: {count, others, requests}. `others`: chosen jobs that cannot take the action. */
export function planOf(action, chosen) {
  const able = chosen.filter(ACTIONS[action].can);
  // A retry of completed jobs, of those that lack steps, is asked for by name.
  const groups = action === "retry" ? [able.filter(({ status }) => status === "completed"), able.filter(({ status }) => status !== "completed")] : [able];
  const requests = groups.flatMap((group, index) =>
    chunks(group.map(({ id }) => id)).map((ids) => request(action, { ids, status: action === "retry" && index === 0 ? "completed" : "all" }, ids.length)),
  );
  return { count: able.length, others: chosen.length - able.length, requests };
}

/** The plan for all jobs that match a filter and were created before `now_ms`; `counts`: their number by status. */
export function planOfAll(action, filter, counts, now_ms) {
  const chosen = filter.status?.split(",") ?? Object.keys(STATUSES);
  const { statuses } = ACTIONS[action];
  const able = chosen.filter((status) => statuses.includes(status) && counts[status]);
  const { status: _status, ...others } = selection(filter);
  const created_before = filter.created_before ?? new Date(now_ms).toISOString();
  const requests = able.map((status) => request(action, { ...others, created_before, status }, counts[status]));
  const sum = (names) => names.reduce((total, name) => total + (counts[name] ?? 0), 0);
  return { count: sum(able), others: sum(chosen) - sum(able), requests };
}

const request = (action, filter, count) => ({ path: `/v1/jobs/${ACTIONS[action].path}`, body: { ...filter, ...ACTIONS[action].body }, count });

function chunks(ids) {
  return Array.from({ length: Math.ceil(ids.length / CHUNK_IDS) }, (_, n) => ids.slice(n * CHUNK_IDS, (n + 1) * CHUNK_IDS));
}

/** What the dialog says will happen. */
export function planText(action, { count, others }) {
  const left = others ? ` ${NUMBER.format(others)} of the ${NUMBER.format(count + others)} chosen ${others === 1 ? "is" : "are"} left as ${others === 1 ? "it is" : "they are"}: ${LEFT[action]}.` : "";
  return ACTIONS[action].text + left;
}

const LEFT = {
  cancel: "only jobs that wait or run can be cancelled",
  retry: "only jobs that failed, were cancelled or lack a step can be retried",
  clear: "only jobs that have ended can be cleared",
  delete: "only jobs that have ended can be deleted",
};

/** What has come of it: `sent` of `count` jobs, and the error that stopped the rest. */
export function outcomeText(action, sent, count, error) {
  const { done } = ACTIONS[action];
  const stopped = error ? ` Then it stopped: ${error.message}` : "";
  const missed = !error && sent < count ? ` ${NUMBER.format(count - sent)} could not be: they changed meanwhile, or are gone.` : "";
  return `${NUMBER.format(sent)} of ${jobsText(count)} ${done}.${missed}${stopped}`;
}
