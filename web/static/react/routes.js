// The statuses of the systems that kinolog replaces (docs/compat.md), for StatusStore.

/**
 * `after`, whose progress is not less than that of `before` while the same job runs: a response may have been made before
 * the last live frame.
 */
export function steady(route, before, after) {
  const { field } = route;
  const isSameRun = before && field && route.jobOf(before) === route.jobOf(after) && !route.outcome(before) && !route.outcome(after);
  return isSameRun && after[field] < before[field] ? { ...after, [field]: before[field] } : after;
}

const whole = (progress) => Math.floor(progress ?? 0);
const path = (text) => encodeURIComponent(text);

/** GET /api/admin/media/jobs?mediaId=: {mediaId, status, fileName, jobId, jobState, progress, manifestUrl, thumbnails}. */
export const mediaRoute = (mediaId) => ({
  field: "progress",
  request: async (kinolog, options) => kinolog.call("GET", `/api/admin/media/jobs?mediaId=${path(mediaId)}`, undefined, options),
  topic: () => `asset:${mediaId}`,
  jobOf: ({ jobId }) => jobId,
  isOf: (job, data) => job.id === data.jobId || job.asset_id === mediaId,
  progressed: (data, { job_progress }) => ({ ...data, progress: Math.max(data.progress, whole(job_progress)) }),
  outcome: ({ status, jobState }) => outcomeOf(jobState) || { READY: "complete", FAILED: "error" }[status] || "",
});

/** GET /api/video-processing/status/{queueId}: {queue_id, status, progress_percentage, current_step, steps, error_message, …}. */
export const videoRoute = (queueId) => ({
  field: "progress_percentage",
  request: async (kinolog, options) => kinolog.call("GET", `/api/video-processing/status/${path(queueId)}`, undefined, options),
  topic: () => `job:${queueId}`,
  jobOf: () => queueId,
  isOf: (job) => job.id === queueId,
  progressed: (data, { step, progress, job_progress }) => ({
    ...data,
    progress_percentage: Math.max(data.progress_percentage, whole(job_progress)),
    steps: data.steps?.[step] ? { ...data.steps, [step]: { ...data.steps[step], progress_percentage: whole(progress) } } : data.steps,
  }),
  outcome: ({ status }) => outcomeOf(status),
});

/** GET /api/jobs/{id}/status: the envelope's `data`: {id, state, progress, result, error, createdAt, …}. */
export const jobRoute = (jobId) => ({
  field: "progress",
  request: async (kinolog, options) => (await kinolog.call("GET", `/api/jobs/${path(jobId)}/status`, undefined, options)).data,
  topic: () => `job:${jobId}`,
  jobOf: () => jobId,
  isOf: (job) => job.id === jobId,
  progressed: (data, { job_progress }) => ({ ...data, progress: Math.max(data.progress, whole(job_progress)) }),
  outcome: ({ state }) => outcomeOf(state),
});

/** GET /api/v1/studio/processing-jobs: {data, statistics, nextCursor}. */
export const studioRoute = ({ status, type, limit }) => ({
  request: async (kinolog, options) => {
    const query = Object.entries({ status, type, limit }).filter(([, value]) => value != null);
    return kinolog.call("GET", `/api/v1/studio/processing-jobs?${new URLSearchParams(query)}`, undefined, options);
  },
  topic: () => "all",
  jobOf: () => null,
  isOf: () => true,
  progressed: (data) => data,
  outcome: () => "",
});

const outcomeOf = (status) => ({ completed: "complete", failed: "error", cancelled: "error" })[status] ?? "";
