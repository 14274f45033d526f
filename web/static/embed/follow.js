// A job and a list of jobs, kept true by a feed. No DOM: it is tested in node.

import { Problem, backoff_ms, folded, pause } from "../kinolog.js";

// After this many requests without a response the follower is told, and goes on.
const TRIES_UNTIL_REPORT = 3;
// What was submitted a moment ago may not be readable yet, on another replica: so often it is looked for again.
const TRIES_UNTIL_MISSING = 4;
const UNREACHABLE = { code: "unreachable", message: "The service cannot be reached. Trying again…" };

/** Whether a repeated request would fail the same way. */
const isFinal = (error) => error instanceof Problem && error.status < 500 && error.status !== 429;

/** An error for people and programs. */
export const problemOf = (error) => (error instanceof Problem ? { code: error.code, message: error.message } : UNREACHABLE);

/**
 * Calls `request` until it succeeds or fails for good. `onTrouble(problem)` is called once when it takes long; a 404 is
 * final after some seconds only.
 * Rejects with the permanent error, and when the signal aborts.
 */
export async function persistently(request, { signal, onTrouble = () => {}, sleep = pause }) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await request();
    } catch (error) {
      signal.throwIfAborted();
      const isMissing = error.status === 404 && tries + 1 < TRIES_UNTIL_MISSING;
      if (isFinal(error) && !isMissing) throw error;
      if (tries + 1 === TRIES_UNTIL_REPORT && !isMissing) onTrouble(problemOf(error));
      await sleep(backoff_ms(tries, Math.random()), signal);
    }
  }
}

/**
 * Follows one job until it has completed, is deleted, or `stop` is called. A failed or cancelled one is followed on: it
 * may be retried. `onJob(job)` gets it now and after every change, `onProblem({code, message})` why it cannot be shown
 * ("unreachable" is not the end), `onState` the state of the connection.
 * @returns {() => void} stop
 */
export function followJob(feed, id, { onJob, onProblem, onState }) {
  let job = null;
  let early = [];
  const { line, signal, end, close } = following(feed, { onFrame: arrived, onState, onRefused: check, onProblem });

  function arrived(frame) {
    if (job) return take(frame);
    if (concerns(frame, id)) early.push(frame);
  }

  function take(frame) {
    try {
      show(folded(job, frame));
    } catch (error) {
      end(error);
    }
  }

  function show(changed) {
    if (changed === job || signal.aborted) return;
    job = changed;
    onJob(job);
    if (job.status === "completed") close();
  }

  async function load() {
    try {
      const found = await persistently(() => feed.kinolog.job(id, { signal }), { signal, onTrouble: onProblem });
      if (signal.aborted) return;
      show(found);
      early.forEach(take);
      early = [];
      if (!signal.aborted) line.want(`job:${id}`);
    } catch (error) {
      end(error);
    }
  }

  async function check() {
    try {
      if (job) await feed.kinolog.job(id, { signal });
    } catch (error) {
      if (isFinal(error)) end(error);
    }
  }

  load();
  return close;
}

/** A line of the feed: `close()` ends it, `end(error)` says why; `signal` is aborted then. */
function following(feed, { onProblem, ...listener }) {
  const stop = new AbortController();
  const line = feed.listen(listener);

  function close() {
    stop.abort();
    line.close();
  }

  function end(error) {
    if (stop.signal.aborted) return;
    close();
    onProblem(problemOf(error));
  }

  return { line, signal: stop.signal, end, close };
}

const concerns = (frame, id) => frame.job_id === id || frame.job?.id === id;

/**
 * Follows the newest jobs: of `query` ({status, asset_id, pipeline}), `limit` of them. `onJobs(jobs)` gets them newest
 * first, now and after every change; `onProblem` and `onState` as of `followJob`.
 * @returns {() => void} stop
 */
export function followJobs(feed, { query = {}, limit = 20 }, { onJobs, onProblem, onState }) {
  const isOfAsset = Boolean(query.asset_id);
  let jobs = new Map();
  let loading = null;
  let missed = [];
  const { line, signal, end, close } = following(feed, { onFrame: arrived, onState, onRefused: load, onProblem });

  function arrived(frame) {
    if (frame.type === "snapshot") return frame.last === false ? undefined : load();
    if (loading) missed.push(frame);
    if (take(frame)) onJobs(newest());
  }

  /** Whether the frame has changed the list. */
  function take(frame) {
    if (frame.type === "deleted") return removed(frame.job_id);
    if (frame.type === "job") return matches(frame.job) ? set(latest(frame.job)) : removed(frame.job.id);
    if (frame.type !== "progress") return false;
    const job = jobs.get(frame.job_id);
    return Boolean(job) && set(folded(job, frame));
  }

  const latest = (job) => (jobs.has(job.id) ? folded(jobs.get(job.id), { type: "job", job }) : job);
  const matches = (job) =>
    (!query.status || query.status.split(",").includes(job.status)) &&
    (!query.pipeline || query.pipeline.split(",").includes(job.pipeline)) && (!isOfAsset || job.asset_id === query.asset_id);

  function set(job) {
    if (jobs.get(job.id) === job) return false;
    jobs.set(job.id, job);
    for (const { id } of newest(Infinity).slice(2 * limit)) jobs.delete(id);
    return true;
  }

  function removed(id) {
    const was = jobs.delete(id);
    if (was && jobs.size < limit) load();
    return was;
  }

  const newest = (most = limit) =>
    [...jobs.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0)).slice(0, most);

  /** Fetches the list; once at a time, and once more when that was requested meanwhile. */
  function load() {
    if (loading) return (loading.again = true);
    const turn = (loading = { again: false });
    missed = [];
    const fields = Object.entries({ ...query, limit }).filter(([, value]) => value);
    const request = () => feed.kinolog.call("GET", `/v1/jobs?${new URLSearchParams(fields)}`, undefined, { signal });
    return persistently(request, { signal, onTrouble: onProblem }).then((page) => loaded(page, turn), (error) => ((loading = null), end(error)));
  }

  function loaded({ data }, { again }) {
    if (signal.aborted) return;
    const known = jobs;
    jobs = new Map(data.map((job) => [job.id, known.has(job.id) ? folded(known.get(job.id), { type: "job", job }) : job]));
    loading = null;
    missed.forEach(take);
    onJobs(newest());
    line.want(isOfAsset ? `asset:${query.asset_id}` : "all");
    if (again) load();
  }

  load();
  return close;
}
