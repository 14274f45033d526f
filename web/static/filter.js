// The filter of the list of jobs: the parameters of GET /v1/jobs that the page's URL has, too. Pure.

// Longest search text that the server accepts.
const MAX_CHARS = 200;

/** Sort order -> its name. The first one is the server's default. */
export const SORTS = {
  "-created_at": "Newest first", created_at: "Oldest first", "-updated_at": "Latest change first", updated_at: "Oldest change first",
};

/** Status -> its name. */
export const STATUSES = { waiting: "Waiting", active: "Active", completed: "Ready", failed: "Failed", cancelled: "Cancelled" };

// What `?show=` of earlier versions is.
const SHOWN = { running: "waiting,active", completed: "completed", failed: "failed" };

const PARAMETERS = ["status", "step", "pipeline", "owner", "error_code", "created_after", "created_before", "q", "sort"];

/** The filter of a URL's parameters: those that are known and set, in a fixed order. */
export function filterOf(params) {
  const given = { ...params, q: (params.q ?? "").slice(0, MAX_CHARS).trim(), status: params.status ?? SHOWN[params.show] };
  if (!Object.hasOwn(SORTS, given.sort ?? "") || given.sort === "-created_at") delete given.sort;
  return Object.fromEntries(PARAMETERS.filter((name) => given[name]).map((name) => [name, given[name]]));
}

/** Whether both are the same. */
export const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** What is set besides the status, the search text and the sort order: the filter of groups of jobs. */
export function further({ status: _status, q: _q, sort: _sort, ...others }) {
  return others;
}

/** The filter without the sort order, as the routes for many jobs take it. */
export function selection({ sort: _sort, ...others }) {
  return others;
}

/** Whether the job matches, by the same rules as on the server. */
export const isMatch = (filter, job) => Object.entries(filter).every(([name, value]) => MATCHES[name]?.(job, value) ?? true);

const MATCHES = {
  status: (job, value) => value.split(",").includes(job.status),
  step: (job, value) => hasStep(job, ...value.split(":")),
  pipeline: (job, value) => job.pipeline === value,
  owner: (job, value) => job.owner === value,
  error_code: (job, value) => job.error?.code === value,
  created_after: (job, value) => Date.parse(job.created_at) > Date.parse(value),
  created_before: (job, value) => Date.parse(job.created_at) < Date.parse(value),
  q: (job, value) => {
    const words = [job.id, job.asset_id, job.filename, job.passthrough, job.error?.code, job.error?.message];
    return words.join("\n").toLowerCase().includes(value.toLowerCase());
  },
};

function hasStep(job, name, status) {
  const step = job.steps.find((one) => one.name === name);
  if (!step || !status) return Boolean(step);
  return status === "queued" ? step.status === "waiting" && Boolean(step.waiting_reason) : step.status === status;
}

/** The filter in words, e.g. ["pipeline standard", "step transcode failed"]; a status, text and order have their own controls. */
export function filterWords({ status, step, pipeline, owner, error_code, created_after, created_before }) {
  const moment = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return [
    status?.includes(",") && status.split(",").map((name) => STATUSES[name] ?? name).join(" or ").toLowerCase(),
    pipeline && `pipeline ${pipeline}`, step && `step ${step.replace(":", " ")}`, owner && `owner ${owner}`,
    error_code && `error ${error_code}`, created_after && `since ${moment(created_after)}`, created_before && `before ${moment(created_before)}`,
  ].filter(Boolean);
}
