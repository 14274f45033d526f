// React components and hooks of kinolog: those of the systems that it replaces, with their names, and its own elements.
// A plain ES module; React 18 or newer is a peer dependency. docs/embed.md describes them, index.d.ts their types.
//
//   <KinologProvider url="https://kinolog.example" token={token}>
//     <JobProgress jobId={id} onComplete={(status) => location.assign(status.result.url)} />
//   </KinologProvider>

import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import "../elements.js";
import { feed } from "../embed/feed.js";
import { jobRoute, mediaRoute, studioRoute, videoRoute } from "./routes.js";
import { StatusStore } from "./status_store.js";

const Service = createContext({ url: undefined, token: "" });

/** The service and token of everything below it. */
export function KinologProvider({ url, token = "", children }) {
  const value = useMemo(() => ({ url, token }), [url, token]);
  return createElement(Service.Provider, { value }, children);
}

/** The service of `options`, else of the provider; by default the page's own origin. */
function useService(options) {
  const outer = useContext(Service);
  const url = options.url ?? outer.url ?? globalThis.location?.origin ?? "";
  return { url: url.replace(/\/$/, ""), token: options.token ?? outer.token };
}

/** The state of a route's store, and one call of `onComplete` or `onError` each time that it ends. */
function useStatus(makeRoute, key, options) {
  const { url, token } = useService(options);
  const isEnabled = Boolean(key) && options.enabled !== false;
  const store = useMemo(
    () => (isEnabled ? new StatusStore(() => feed(url, token), makeRoute(key)) : IDLE),
    [url, token, key, isEnabled, makeRoute],
  );
  const state = useSyncExternalStore(store.subscribe, store.get, store.initial);
  const outcome = state.data === undefined ? "" : store === IDLE ? "" : makeRoute(key).outcome(state.data);
  useOutcome(store, state, outcome, options);
  return { ...state, refetch: store.refetch, isComplete: outcome === "complete", isError: outcome === "error" || Boolean(state.error) };
}

const NOTHING = Object.freeze({ data: undefined, error: null, isLoading: false });
const IDLE = { subscribe: () => () => {}, get: () => NOTHING, initial: () => NOTHING, refetch: () => {} };

/** Calls back once per end: not again for a new function, a repeated render or a repeated effect. */
function useOutcome(store, { data, error }, outcome, callbacks) {
  const latest = useRef(callbacks);
  const reported = useRef({ store: null, end: "" });
  useEffect(() => {
    latest.current = callbacks;
  });
  const end = error ? `problem ${error.code}` : outcome;
  useEffect(() => {
    const last = reported.current;
    reported.current = { store, end };
    if (!end || (last.store === store && last.end === end)) return;
    if (end === "complete") latest.current.onComplete?.(data);
    else latest.current.onError?.(error ?? failure(data), data);
  }, [store, end]);
}

const failure = (data) => {
  const cancelled = [data.status, data.state, data.jobState].includes("cancelled");
  const message = data.error_message ?? data.failedReason ?? (typeof data.error === "string" ? data.error : null);
  return cancelled ? { code: "cancelled", message: "The job was cancelled." } : { code: "failed", message: message ?? "The job failed." };
};

/** Status of an asset and its newest job: {data, status, jobState, progress, manifestUrl, thumbnails, …}. */
export function useMediaJobStatus(mediaId, options = {}) {
  const state = useStatus(mediaRoute, mediaId, options);
  const { status, jobState = null, progress = 0, manifestUrl = null, thumbnails = [] } = state.data ?? {};
  return { ...state, status, jobState, progress, manifestUrl, thumbnails };
}

/** Status of a job by its queue id: {data, status, progress, currentStep, steps, …}. */
export function useVideoProcessingStatus(queueId, options = {}) {
  const state = useStatus(videoRoute, queueId, options);
  const { status, progress_percentage: progress = 0, current_step: currentStep = null, steps = {} } = state.data ?? {};
  return { ...state, status, progress, currentStep, steps };
}

/** Status of a job: {data, state, progress, result, …}. */
export function useJobStatus(jobId, options = {}) {
  const found = useStatus(jobRoute, jobId, options);
  const { state, progress = 0, result = null } = found.data ?? {};
  return { ...found, state, progress, result };
}

/** The studio's list: {jobs, statistics, nextCursor, cancel, retry, remove, clear, …}. */
export function useProcessingJobs(options = {}) {
  const { status, type, limit } = options;
  const key = JSON.stringify({ status, type, limit });
  const found = useStatus(parsedStudioRoute, key, options);
  const { url, token } = useService(options);
  const act = useCallback(
    (method, path, body) => feed(url, token).kinolog.call(method, `/api/v1/studio/processing-jobs/${path}`, body),
    [url, token],
  );
  const id = encodeURIComponent;
  return {
    ...found,
    jobs: found.data?.data ?? [],
    statistics: found.data?.statistics ?? {},
    nextCursor: found.data?.nextCursor ?? null,
    cancel: (job) => act("POST", `${id(job)}/cancel`),
    retry: (job) => act("POST", `${id(job)}/retry`),
    remove: (job) => act("DELETE", id(job)),
    clear: (ended) => act("POST", "clear", { status: ended }),
  };
}

const parsedStudioRoute = (key) => studioRoute(JSON.parse(key));

/** A labelled progress bar. Its classes have no styles of their own. */
function Progress({ className, name, label, value, problem, state, children }) {
  if (typeof children === "function") return children(state);
  return createElement(
    "div",
    { className: ["kinolog-progress", className].filter(Boolean).join(" "), "data-status": label },
    createElement("span", { className: "kinolog-progress-name" }, name),
    createElement("progress", { max: 100, value, "aria-label": `Progress of ${name}` }),
    createElement("span", { className: "kinolog-progress-status", role: "status" }, label),
    problem ? createElement("p", { className: "kinolog-progress-error", role: "alert" }, problem) : null,
    children,
  );
}

const percent = (progress) => `${Math.floor(progress)} %`;

/** Progress of a media item. Props: mediaId, onComplete, onError, className; children may be a function of the state. */
export function MediaProcessingStatus({ mediaId, className, children, ...options }) {
  const state = useMediaJobStatus(mediaId, options);
  const label = state.jobState === "active" ? percent(state.progress) : (state.status ?? "").toLowerCase();
  const problem = state.error?.message ?? (state.isError ? "The media could not be processed." : null);
  return createElement(Progress, { className, name: state.data?.fileName ?? mediaId, label, value: state.progress, problem, state, children });
}

/** Progress of a video, with its steps. Props: queueId, onComplete, onError, className. */
export function VideoProcessingProgress({ queueId, className, children, ...options }) {
  const state = useVideoProcessingStatus(queueId, options);
  const label = state.status === "processing" ? [state.currentStep, percent(state.progress)].filter(Boolean).join(" · ") : (state.status ?? "");
  const problem = state.error?.message ?? state.data?.error_message;
  return createElement(Progress, { className, name: state.data?.attachment_id ?? queueId, label, value: state.progress, problem, state, children });
}

/** Progress of a job. Props: jobId, onComplete, onError, className. */
export function JobProgress({ jobId, className, children, ...options }) {
  const state = useJobStatus(jobId, options);
  const label = state.state === "active" ? percent(state.progress) : (state.state ?? "");
  const problem = state.error?.message ?? state.data?.error;
  return createElement(Progress, { className, name: jobId, label, value: state.progress, problem, state, children });
}

/** A wrapper of an element: attributes as given, `token` as a property, `on…` props as its events' handlers. */
function wrapper(tag, attributes, events) {
  return function Wrapper({ children, ...props }) {
    const node = useRef(null);
    const latest = useRef(props);
    const { url, token } = useService(props);
    useEffect(() => {
      latest.current = props;
    });
    useEffect(() => {
      const stop = new AbortController();
      const element = node.current;
      for (const [prop, event] of Object.entries(events)) {
        element.addEventListener(event, ({ detail }) => latest.current[prop]?.(detail), { signal: stop.signal });
      }
      return () => stop.abort();
    }, []);
    const { playback } = props;
    // Not an effect: the element starts before effects run, and would start without its token.
    const attach = useCallback(
      (element) => {
        node.current = element;
        if (!element) return;
        element.token = token;
        if (playback !== undefined) element.playback = playback;
      },
      [token, playback],
    );
    const given = Object.entries(props).filter(([name]) => attributes.includes(name) || /^(id|style|class|data-|aria-)/.test(name));
    const named = given.map(([name, value]) => [name === "className" ? "class" : name, value === true ? "" : value || undefined]);
    return createElement(tag, { ...Object.fromEntries(named), src: url, ref: attach }, children);
  };
}

const ENDS = { onComplete: "complete", onError: "error", onChange: "change" };
export const KinologStatus = wrapper("kinolog-status", ["job"], ENDS);
export const KinologJobs = wrapper("kinolog-jobs", ["limit", "status", "pipeline", "asset"], ENDS);
export const KinologPlayer = wrapper("kinolog-player", ["asset", "start", "autoplay", "muted"], { ...ENDS, onReady: "ready" });
