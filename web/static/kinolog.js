// kinolog from JavaScript: submit media, watch jobs, cancel and retry. An ES module without dependencies, for browsers
// and for Node 22 or newer.
//
//   import { Kinolog } from "https://kinolog.example/static/kinolog.js";
//   const kinolog = new Kinolog({ url: "https://kinolog.example", token });
//   const { job_id, cursor } = await kinolog.submit(file, { filename: file.name });
//   for await (const job of kinolog.watch(job_id, { after: cursor })) console.log(job.status, job.progress);

/**
 * @typedef {"waiting"|"active"|"completed"|"failed"|"cancelled"} JobStatus
 * @typedef {{code: string, message: string, retriable: boolean, detail?: string}} JobError
 * @typedef {{name: string, status: string, progress: number, attempt: number, attempts: number, started_at: ?string,
 *   finished_at: ?string, eta_s?: ?number, queue_position?: number, waiting_reason?: string, paused?: boolean,
 *   no_executor?: boolean, error?: JobError, outputs?: Object, retry_at?: string, reason?: string}} Step
 * @typedef {{id: string, asset_id: string, pipeline: string, status: JobStatus, progress: number, current_step: ?string,
 *   run: number, created_at: string, updated_at: string, started_at: ?string, finished_at: ?string, error?: JobError,
 *   passthrough?: string, filename?: string, owner?: string, cancelling?: boolean, steps: Step[]}} Job
 * @typedef {{asset_id: string, job_id: string, cursor?: string}} Submitted `cursor`: give it as `after` to read this write
 * @typedef {{object: string}|{url: string}|{path: string}} Source media that is stored elsewhere
 * @typedef {{filename?: string, pipeline?: string, passthrough?: string, idempotencyKey?: string, signal?: AbortSignal}} SubmitOptions
 * @typedef {{type: "snapshot"|"job"|"progress"|"queue"|"caption"|"deleted", cursor?: string, [key: string]: any}} Frame
 */

const ENDED = new Set(["completed", "failed", "cancelled"]);
const CONNECTING = 0; // of a WebSocket, also of one that is not the browser's
const LONGEST_WAIT_MS = 15_000;
const POLL_MS = 2_000;
// A server that has not responded by then is frozen.
const POLL_WAIT_MS = 20_000;
// After this many failures without a frame the next transport is tried.
const TRIES_PER_TRANSPORT = 3;

/** An error response: `code` is stable, `message` is for people. */
export class Problem extends Error {
  /** @param {number} status @param {string} text the body */
  constructor(status, text) {
    const body = parsed(text);
    super(body.detail ?? body.title ?? `The server responded with status ${status}.`);
    this.status = status;
    this.code = body.code ?? "unknown";
  }
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {}; // a proxy's HTML page has no more than its status
  }
}

/** Milliseconds before try `attempt` (from 0): doubling from 0.5 s to 15 s, spread by half. `random` is 0-1. */
export function backoff_ms(attempt, random) {
  return Math.min(LONGEST_WAIT_MS, 500 * 2 ** attempt) * (0.5 + random / 2);
}

// A server that is frozen, or a network that swallows everything, closes no connection, and browsers hide the server's pings
// from pages. So a client sends a ping after ASK_MS of silence, and gives the connection up ANSWER_MS later. After QUIET_MS
// nothing claims to be live, whatever the reason: timers of hidden tabs run once a minute.
const ASK_MS = 7_000;
const ANSWER_MS = 10_000;
const QUIET_MS = 18_000;
const LOOK_MS = 1_000;
// Server-sent events have a comment every 20 s, and cannot be asked.
const EVENTS_QUIET_MS = 30_000;

/** Calls `look()` once a second, also in a process that is about to end. Returns what stops it. */
export function everySecond(look) {
  const timer = setInterval(look, LOOK_MS);
  timer.unref?.();
  return () => clearInterval(timer);
}

/** The rule by which a connection is live, from what it lets be heard. */
export class Silence {
  #heard_ms;
  #asked_ms;

  /** `now_ms()`: a clock that never goes back; `canAsk`: whether pings can be sent; `quiet_ms`: as QUIET_MS. */
  constructor({ now_ms = () => performance.now(), canAsk = true, quiet_ms = QUIET_MS } = {}) {
    Object.assign(this, { now_ms, canAsk, quiet_ms });
    this.#heard_ms = this.#asked_ms = now_ms();
  }

  /** Takes note of a frame or a ping. Returns whether it ends a silence in which the connection was not live. */
  heard() {
    const wasQuiet = this.now_ms() - this.#heard_ms > this.quiet_ms;
    this.#heard_ms = this.now_ms();
    return wasQuiet;
  }

  /**
   * What to do now: {ask} whether to send a ping, {isQuiet} whether it is not live, {isOver} whether to give it up.
   * `isOpen`: whether the connection is established.
   */
  look(isOpen = true) {
    const now_ms = this.now_ms();
    const silent_ms = now_ms - this.#heard_ms;
    const isQuiet = silent_ms > this.quiet_ms;
    if (!isOpen || !this.canAsk) return { ask: false, isQuiet, isOver: isQuiet };
    const wasAsked = this.#asked_ms > this.#heard_ms;
    const ask = silent_ms > ASK_MS && !wasAsked;
    if (ask) this.#asked_ms = now_ms;
    return { ask, isQuiet, isOver: wasAsked && now_ms - this.#asked_ms > ANSWER_MS };
  }
}

/** Client of one service. The token may be left out where the service requires none. */
export class Kinolog {
  #token;
  #fetch;
  #WebSocket;
  #sleep;

  /** @param {{url?: string, token?: string, fetch?: typeof fetch, WebSocket?: typeof WebSocket, sleep?: Function}} [options] */
  constructor({ url = globalThis.location?.origin, token = "", ...own } = {}) {
    this.url = url.replace(/\/$/, "");
    this.#token = token;
    this.#fetch = own.fetch ?? ((...args) => fetch(...args));
    this.#WebSocket = own.WebSocket ?? globalThis.WebSocket;
    this.#sleep = own.sleep ?? pause;
  }

  /**
   * Starts a job on a file's bytes, or on media that is stored elsewhere. Safe to repeat with an idempotencyKey.
   * @param {Blob|ArrayBuffer|Uint8Array|Source} source @param {SubmitOptions} [options] @returns {Promise<Submitted>}
   */
  async submit(source, { filename, pipeline, passthrough, idempotencyKey, signal } = {}) {
    const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
    const fields = present({ filename: filename ?? source.name, pipeline, passthrough });
    const isBytes = source instanceof Blob || source instanceof ArrayBuffer || ArrayBuffer.isView(source);
    const response = isBytes
      ? await this.#json("POST", `/v1/uploads?${new URLSearchParams(fields)}`, {
          body: source, signal, headers: { ...headers, "Content-Type": "application/octet-stream" },
        })
      : await this.call("POST", "/v1/assets", { input: source, ...fields }, { headers, signal });
    return { ...response.data, cursor: response.cursor };
  }

  /**
   * Reads a job; with `after`, once the write of that cursor is visible.
   * @param {string} id @param {{after?: string, signal?: AbortSignal}} [options] @returns {Promise<Job>}
   */
  async job(id, { after, signal } = {}) {
    const query = new URLSearchParams(present({ after }));
    return (await this.call("GET", `${path(id)}?${query}`, undefined, { signal })).data;
  }

  /** Cancels a job; it ends some time after this resolves. @param {string} id @returns {Promise<void>} */
  async cancel(id) {
    await this.call("POST", `${path(id)}/cancel`);
  }

  /** Resumes a job that failed, was cancelled or completed without some steps, from the steps that did not complete. @param {string} id @returns {Promise<void>} */
  async retry(id) {
    await this.call("POST", `${path(id)}/retry`);
  }

  /**
   * Yields the job now and after every change, with live progress, until it has ended. Reconnects by itself.
   * Throws Problem (404) when the job does not exist or is deleted meanwhile.
   * @param {string} id @param {{after?: string, signal?: AbortSignal}} [options] @returns {AsyncGenerator<Job>}
   */
  async *watch(id, { after, signal } = {}) {
    let job = await this.job(id, { after, signal });
    yield job;
    if (ENDED.has(job.status)) return;
    for await (const frame of this.frames(`job:${id}`, { signal })) {
      const changed = folded(job, frame);
      if (changed === job) continue;
      job = changed;
      yield job;
      if (ENDED.has(job.status)) return;
    }
  }

  /**
   * Live frames without end: over a websocket; where websockets do not get through, over server-sent events; if those
   * fail, by polling (one job only). Each transport resumes where the last one stopped.
   * @param {string} subscribe "all", "job:ID", "asset:ID", "queue:STEP", "owner:NAME"; several separated by commas
   * @param {{cursor?: string, signal?: AbortSignal, onState?: (state: "live"|"lost") => void}} [options] `onState` is
   *   called with the first frame of each connection, and when it is lost or nothing is heard of the server for 18 s
   * @returns {AsyncGenerator<Frame>}
   */
  async *frames(subscribe, { cursor, signal, onState } = {}) {
    const isOneJob = subscribe.startsWith("job:") && !subscribe.includes(",");
    const transports = [this.#WebSocket && this.#socket, this.#events, isOneJob && this.#polls].filter(Boolean);
    let transport = 0;
    let answers = false;
    for (let tries = 0; ; tries += 1) {
      let isLive = false;
      try {
        for await (const frame of transports[transport].call(this, subscribe, cursor, signal)) {
          if (frame === QUIET) {
            if (isLive) onState?.("lost");
            isLive = false;
            continue;
          }
          cursor = frame.cursor ?? cursor;
          tries = 0;
          if (!isLive) onState?.("live");
          isLive = true;
          if (frame.type !== "pong") yield frame;
        }
      } catch (error) {
        signal?.throwIfAborted();
        // A permanent error is the same on every transport; a rejected cursor is dropped for a snapshot.
        if (error instanceof Problem && error.status === 400 && cursor) cursor = undefined;
        else if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
      }
      signal?.throwIfAborted();
      if (isLive) onState?.("lost");
      // A service that is down must not move its clients away from websockets: a browser opens few other connections.
      const isRefused = tries + 1 >= TRIES_PER_TRANSPORT && transport + 1 < transports.length;
      if (isRefused && answers) [transport, tries, answers] = [transport + 1, -1, false];
      else answers = isRefused && (await this.#answers(signal));
      if (tries >= 0) await this.#sleep(backoff_ms(tries, Math.random()), signal);
    }
  }

  /** Whether the service responds at all. */
  async #answers(signal) {
    try {
      await this.#request("GET", "/healthz", { signal: within(POLL_WAIT_MS, signal) });
      return true;
    } catch (error) {
      signal?.throwIfAborted();
      return error instanceof Problem;
    }
  }

  /**
   * Sends any request of the API with a JSON body; resolves to the response's JSON. Throws Problem.
   * @param {string} method @param {string} target @param {any} [body] @param {RequestInit} [more] @returns {Promise<any>}
   */
  call(method, target, body, { headers, ...more } = {}) {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const type = body === undefined ? {} : { "Content-Type": "application/json" };
    return this.#json(method, target, { ...json, ...more, headers: { ...type, ...headers } });
  }

  async #json(method, target, options) {
    const response = await this.#request(method, target, options);
    return parsed(await response.text());
  }

  async #request(method, target, { headers, ...more } = {}) {
    const bearer = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    const response = await this.#fetch(this.url + target, { method, headers: { ...bearer, ...headers }, ...more });
    if (!response.ok) throw new Problem(response.status, await response.text());
    return response;
  }

  /** Frames of one websocket, until it closes. Browsers cannot send headers there, so the token is a subprotocol. */
  async *#socket(subscribe, cursor, signal) {
    const url = new URL(`${this.url}/v1/live?${new URLSearchParams(present({ subscribe, cursor }))}`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new this.#WebSocket(url.href, this.#token ? ["kinolog", `bearer.${this.#token}`] : ["kinolog"]);
    const queue = mailbox();
    const silence = new Silence();
    let isOpen = false;
    socket.onopen = () => (isOpen = true) && silence.heard();
    socket.onmessage = ({ data }) => (silence.heard(), queue.put(JSON.parse(data)));
    socket.onclose = () => queue.end();
    const rest = everySecond(() => {
      const { ask, isQuiet, isOver } = silence.look(isOpen);
      if (isOver) return rest(), queue.end(); // its close may come much later
      if (isQuiet) queue.put(QUIET);
      if (ask) socket.send("ping");
    });
    const leave = () => {
      // A browser warns of one that is closed while it opens: its element may only have been passing.
      if (signal?.aborted && socket.readyState === CONNECTING) socket.onopen = () => socket.close();
      else socket.close();
    };
    const stop = () => (leave(), queue.end());
    signal?.addEventListener("abort", stop);
    try {
      yield* queue;
    } finally {
      rest();
      signal?.removeEventListener("abort", stop);
      leave();
    }
  }

  /** Frames of one stream of server-sent events, read with fetch: EventSource cannot send headers. */
  async *#events(subscribe, cursor, signal) {
    const query = new URLSearchParams(present({ subscribe, cursor }));
    const silence = new Silence({ canAsk: false, quiet_ms: EVENTS_QUIET_MS });
    const quiet = new AbortController();
    const rest = everySecond(() => isWaiting && silence.look().isOver && quiet.abort(new Error("The server is silent.")));
    let isWaiting = true; // for the server, not for whoever takes the frames
    let reader = null;
    let text = "";
    try {
      const headers = { Accept: "text/event-stream" };
      const response = await this.#request("GET", `/v1/live/sse?${query}`, { signal: either(quiet.signal, signal), headers });
      reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        silence.heard();
        isWaiting = true;
        const { done, value } = await reader.read();
        isWaiting = false;
        if (done) return;
        const events = (text + value).split("\n\n");
        text = events.pop();
        for (const event of events) {
          const found = event.match(/^data: (.*)$/m);
          if (found && !/^event: end$/m.test(event)) yield JSON.parse(found[1]);
        }
      }
    } finally {
      rest();
      await reader?.cancel().catch(() => {}); // it may have been given up
    }
  }

  /** A polled job, as frames. */
  async *#polls(subscribe, _cursor, signal) {
    const id = subscribe.slice("job:".length);
    for (;;) {
      yield { type: "job", job: await this.job(id, { signal: within(POLL_WAIT_MS, signal) }) };
      await this.#sleep(POLL_MS, signal);
    }
  }
}

/**
 * `job` after `frame`; the same object when nothing of it has changed. Throws Problem (404) when it was deleted.
 * @param {Job} job @param {Frame} frame @returns {Job}
 */
export function folded(job, frame) {
  if (frame.type === "snapshot") return newer(job, frame.jobs.find(({ id }) => id === job.id));
  if (frame.type === "job" && frame.job.id === job.id) return newer(job, frame.job);
  if (frame.type === "progress" && frame.job_id === job.id) return progressed(job, frame);
  if (frame.type === "queue") return queued(job, frame);
  if (frame.type === "deleted" && frame.job_id === job.id) {
    throw new Problem(404, JSON.stringify({ code: "job-deleted", detail: "The job was deleted." }));
  }
  return job;
}

/** The newer of two views of a job: a late frame changes nothing. */
function newer(job, found) {
  if (!found || found.run < job.run || found.updated_at < job.updated_at) return job;
  return JSON.stringify(found) === JSON.stringify(job) ? job : found;
}

/** Progress never falls within a run. */
function progressed(job, frame) {
  const step = job.steps.find(({ name }) => name === frame.step);
  if (!step || step.status === "completed" || frame.progress <= step.progress) return job;
  const moved = { ...step, progress: frame.progress, eta_s: frame.eta_s };
  const steps = job.steps.map((other) => (other === step ? moved : other));
  return { ...job, steps, progress: Math.max(job.progress, frame.job_progress ?? 0) };
}

/**
 * `job` after a queue frame; the same object when nothing of it has changed. The frame has positions of some jobs; that
 * the queue is paused, or that no executor offers the step, concerns every job with that step to come: it has no ETA.
 * @param {Job} job @param {Frame} frame @returns {Job}
 */
export function queued(job, frame) {
  const step = job.steps.find(({ name }) => name === frame.step);
  if (step?.status !== "waiting" && step?.status !== "delayed") return job;
  const now = waiting(step, frame, step.status === "waiting" ? frame.positions[job.id] : undefined, job.id);
  const eta_s = isHeld(frame) ? null : job.eta_s;
  if (JSON.stringify(now) === JSON.stringify(step) && eta_s === job.eta_s) return job;
  return { ...job, steps: job.steps.map((other) => (other === step ? now : other)), eta_s };
}

/** A step that has yet to start, after a queue frame. */
function waiting(step, frame, listed, id) {
  const { paused: _paused, no_executor: _none, waiting_reason: before, queue_position: last, eta_s: old, ...rest } = step;
  const queue_position = listed ?? last;
  const reason = reasonOf(frame);
  const waiting_reason = before && (reason || (before === "owner_cap" ? before : "queued"));
  const held = isHeld(frame) && (before || queue_position) ? { [reason]: true } : {};
  const eta_s = isHeld(frame) ? null : listed ? frame.eta_s?.[id] : old;
  return { ...rest, ...present({ queue_position, waiting_reason, ...held, eta_s }) };
}

const reasonOf = (frame) => frame.reason || (frame.paused ? "paused" : "");
/** Whether nobody knows when the queue goes on. */
const isHeld = (frame) => ["paused", "no_executor"].includes(reasonOf(frame));

const path = (id) => `/v1/jobs/${encodeURIComponent(id)}`;
const present = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value != null));

/** In place of a frame: the connection is open, but not live. */
const QUIET = Object.freeze({ type: "quiet" });

/** A signal that aborts with either, or with the only one there is. */
const either = (one, other) => (other ? AbortSignal.any([one, other]) : one);
const within = (ms, signal) => either(AbortSignal.timeout(ms), signal);

/** Resolves after `ms`; rejects when the signal aborts. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => (clearTimeout(timer), reject(signal.reason));
    const timer = setTimeout(() => (signal?.removeEventListener("abort", stop), resolve()), ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** An unbounded queue: iteration yields items in order, and ends after `end()` once it is empty. */
function mailbox() {
  const waiting = [];
  let over = false;
  let wake = () => {};
  return {
    put: (item) => (waiting.push(item), wake()),
    end: () => ((over = true), wake()),
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (waiting.length) yield waiting.shift();
        if (over) return;
        await new Promise((resolve) => (wake = resolve));
      }
    },
  };
}
