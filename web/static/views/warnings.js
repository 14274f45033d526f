// What somebody has to do something about, from what the server reports. Pure.

import { age, duration, size } from "../words.js";
import { BEHIND_S, diskName } from "./system_cards.js";

const NUMBER = new Intl.NumberFormat("en");
// Reports come every few seconds: a job that changed longer ago than this, and that no executor runs, is stuck.
const STUCK_S = 120;
const waiting = (count) => `${NUMBER.format(count)} ${count === 1 ? "job waits" : "jobs wait"}`;

/**
 * Warnings as [{text, view, params}], the gravest first. `queues`, `executors`: of the API; `active`: active jobs, the oldest
 * change first; `system`: of the API, null for who is no operator; `now_ms` since the epoch.
 */
export function warnings({ queues, executors, active, system, now_ms }) {
  return [
    ...(system ? ofSystem(system) : []),
    ...queues.filter(({ executors: count, queued, paused }) => count === 0 && queued && !paused).map(noExecutor),
    ...active.filter((job) => isStuck(job, executors, now_ms)).map((job) => stuck(job, now_ms)),
    ...executors.filter(({ status }) => status === "silent").map((executor) => silent(executor, now_ms)),
    ...queues.filter(({ paused }) => paused).map((queue) => paused(queue, now_ms)),
    ...queues.filter(({ max_active, queued }) => max_active === 0 && queued).map(closed),
    ...outdated(executors),
  ];
}

function ofSystem({ control, disks }) {
  const { behind_records, behind_s, troubles } = control;
  const isBehind = behind_s >= BEHIND_S;
  return [
    ...troubles.map((text) => here(`${text[0].toUpperCase()}${text.slice(1)}.`)),
    ...(isBehind ? [here(`Control is ${duration(behind_s)} behind: ${NUMBER.format(behind_records)} ${behind_records === 1 ? "record waits" : "records wait"}.`)] : []),
    ...disks.filter(({ below_reserve }) => below_reserve).map(full),
  ];
}

const here = (text) => ({ text, view: "overview", params: {} });

const full = (disk) => ({
  text: `${diskName(disk)}: the last ${size(disk.free_bytes)} are kept for the log. Uploads are refused until jobs are deleted.`, view: "jobs", params: { status: "completed" },
});

const noExecutor = ({ name, queued }) => ({
  text: `No executor runs ${name}: ${waiting(queued)}. Start one: kinolog executor.`, view: "jobs", params: { step: `${name}:queued` },
});

const paused = ({ name, paused_at, queued }, now_ms) => ({
  text: `The ${name} queue is paused${paused_at ? ` for ${duration((now_ms - Date.parse(paused_at)) / 1000)}` : ""}: ${waiting(queued)}.`, view: "queues", params: {},
});

const closed = ({ name, queued }) => ({ text: `The ${name} queue is limited to 0: ${waiting(queued)}.`, view: "queues", params: {} });

const silent = ({ id, reported_at }, now_ms) => ({
  text: `Executor ${id} has not reported for ${duration((now_ms - Date.parse(reported_at)) / 1000)}.`, view: "executors", params: {},
});

function outdated(executors) {
  const old = executors.filter((executor) => executor.outdated);
  return old.length ? [{ text: `${old.length} of ${executors.length} executors run another version than this server.`, view: "executors", params: {} }] : [];
}

/** Whether a step is active for the server, but no executor reports that it runs it. */
function isStuck(job, executors, now_ms) {
  if (now_ms - Date.parse(job.updated_at) < STUCK_S * 1000) return false;
  const runs = new Set(executors.flatMap(({ attempts }) => attempts.map(({ job_id, step }) => `${job_id} ${step}`)));
  return job.steps.some(({ name, status }) => status === "active" && !runs.has(`${job.id} ${name}`));
}

const stuck = (job, now_ms) => ({
  text: `${job.filename ?? job.id} is active, but no executor runs it; its last change was ${age(job.updated_at, now_ms)}.`, view: "job", id: job.id, params: {},
});
