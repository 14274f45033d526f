// A job's timeline: attempts as bars on an axis of time, and events as sentences. Pure: no DOM, no clock.

import { duration, hasEnded } from "./words.js";

const OUTCOMES = { "media.step.completed.v1": "completed", "media.step.failed.v1": "failed", "media.step.retried.v1": "retried" };
const JOB_ENDS = new Set(["media.job.completed.v1", "media.job.failed.v1", "media.job.cancelled.v1"]);
const STARTED = "media.step.started.v1";

/**
 * The attempts of a job as [{step, run, attempt, outcome, ready_ms, from_ms, to_ms, error?}], in order of their start.
 * `ready_ms`: since when it waited: for the run, for an earlier step or for its retry. `outcome`: "active", "completed",
 * "failed", "retried" or "cancelled". Times since the epoch; an attempt without an end lasts until `now_ms`.
 */
export function attempts(events, job, now_ms) {
  const found = new Map();
  const runs = new Map();
  const retries = new Map();
  let latest_ms = 0;
  for (const event of events) {
    const at_ms = Date.parse(event.time);
    if (!runs.has(event.run)) runs.set(event.run, at_ms);
    const key = [event.run, event.step, event.attempt].join(" ");
    if (event.type === STARTED) {
      const ready_ms = retries.get(`${event.run} ${event.step}`) ?? Math.max(runs.get(event.run), latest_ms);
      const { step, run, attempt } = event;
      found.set(key, { step, run, attempt, outcome: "active", ready_ms: Math.min(ready_ms, at_ms), from_ms: at_ms, to_ms: null });
    } else if (OUTCOMES[event.type]) {
      Object.assign(found.get(key) ?? {}, { outcome: OUTCOMES[event.type], to_ms: at_ms, error: event.error });
      if (event.retry_at) retries.set(`${event.run} ${event.step}`, at_ms);
      latest_ms = at_ms;
    } else if (JOB_ENDS.has(event.type)) {
      for (const one of found.values()) if (one.to_ms === null) Object.assign(one, { outcome: "cancelled", to_ms: at_ms });
      latest_ms = 0;
    }
  }
  const end_ms = hasEnded(job) && job.finished_at ? Date.parse(job.finished_at) : now_ms;
  return [...found.values()].map((one) => ({ ...one, to_ms: Math.max(one.to_ms ?? end_ms, one.from_ms) }));
}

/** Begin and end of the axis for these attempts, milliseconds since the epoch; at least a second. */
export function span(bars, job, now_ms) {
  const from_ms = Math.min(Date.parse(job.created_at), ...bars.map((bar) => bar.ready_ms));
  const end_ms = hasEnded(job) && job.finished_at ? Date.parse(job.finished_at) : now_ms;
  return { from_ms, to_ms: Math.max(from_ms + 1000, end_ms, ...bars.map((bar) => bar.to_ms)) };
}

const VERBS = { started: "started", completed: "completed", failed: "failed", retried: "failed, will be tried again", skipped: "skipped" };

/** An event as a sentence, e.g. "transcode failed, will be tried again (try 1, after 12 s): The encoder crashed." */
export function eventText({ type, step, attempt, elapsed_s, error, reason }) {
  const [, subject, verb] = type.split(".");
  const what = subject === "step" ? step : subject;
  const notes = [attempt > 1 || error ? `try ${attempt}` : "", elapsed_s >= 0.05 ? `after ${duration(elapsed_s)}` : ""];
  const note = step ? notes.filter(Boolean).join(", ") : "";
  const cause = error?.message ?? reason?.replaceAll("-", " ");
  return `${what} ${VERBS[verb] ?? verb}${note ? ` (${note})` : ""}${cause ? `: ${cause}` : ""}`;
}

/** The files that the steps published, as [{step, name, key}], e.g. {step: "transcode", name: "master.m3u8", key: "assets/…"}. */
export function files(job) {
  const keys = (value) => {
    if (typeof value === "string") return value.startsWith("assets/") ? [value] : [];
    return value && typeof value === "object" ? Object.values(value).flatMap(keys) : [];
  };
  return job.steps.flatMap(({ name: step, outputs }) =>
    [...new Set(keys(outputs))].map((key) => ({ step, name: key.split("/").slice(4).join("/"), key })),
  );
}
