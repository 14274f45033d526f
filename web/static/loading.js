// Fetches the pages of the list, and the counts.

import { Problem, backoff_ms } from "./kinolog.js";
import { addPage, hasMore, isShort, nextPage } from "./live.js";

const PATIENCE_MS = 20_000;
// Shortest time between two requests of counts, also as a multiple of the response time: an open page must not
// load a busy server.
const COUNTS_EVERY_MS = 1_000;
const COUNTS_REST = 20;

const get = (call, path, query = {}) =>
  call("GET", `${path}?${new URLSearchParams(query)}`, undefined, { signal: AbortSignal.timeout(PATIENCE_MS) });

/** Whether nobody can see the page, so that nothing needs to be fetched. */
export const isHidden = () => Boolean(globalThis.document?.hidden);

/** Resolves once a hidden page is seen. */
export const untilSeen = () => new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));

/** Whether a repeat would fail the same way. */
const isFinal = (error) => error instanceof Problem && error.status < 500 && error.status !== 429;

/** Fetches pages until `state` has as many jobs as its limit. `onProblem` gets an error, and null once it is resolved. */
export class Pages {
  #latest = 0;
  #timer = 0;
  #isIdle = true;

  constructor({ state, call, onChanges, onProblem }) {
    Object.assign(this, { state, call, onChanges, onProblem });
  }

  /** Fetches after `wait_ms`; replaces a fetch that is running. */
  load(wait_ms = 0, failures = 0) {
    const turn = ++this.#latest;
    this.#isIdle = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fill(turn, failures), wait_ms);
  }

  /** Fetches when no job of the loaded pages is left and there are more. */
  refill() {
    if (this.#isIdle && !this.state.jobs.size && hasMore(this.state)) this.load();
  }

  async #fill(turn, failures) {
    try {
      while (isShort(this.state)) {
        const page = await get(this.call, "/v1/jobs", nextPage(this.state));
        if (turn !== this.#latest) return;
        this.onChanges(addPage(this.state, page));
      }
      this.#isIdle = true;
      if (failures) this.onProblem(null);
    } catch (error) {
      if (turn === this.#latest) this.#failed(error, failures);
    }
  }

  #failed(error, failures) {
    this.state.missed = null;
    this.onProblem(error);
    if (!isFinal(error)) this.load(backoff_ms(failures, Math.random()), failures + 1);
  }
}

/**
 * Fetches the counts when they may have changed; `onCounts` gets them by status. `query()`: the filter of what is counted.
 * Counts of an earlier filter are not passed on.
 */
export class Counter {
  #isBusy = false;
  #isStale = false;

  constructor({ call, onCounts, query = () => ({}) }) {
    Object.assign(this, { call, onCounts, query });
  }

  changed() {
    this.#isStale = true;
    if (!this.#isBusy) this.#fetch();
  }

  async #fetch() {
    this.#isBusy = true;
    if (isHidden()) await untilSeen();
    this.#isStale = false;
    const began_ms = performance.now();
    const query = JSON.stringify(this.query());
    try {
      const { data } = await get(this.call, "/v1/jobs/counts", this.query());
      if (query === JSON.stringify(this.query())) this.onCounts(data.jobs);
    } catch (error) {
      this.#isStale = !isFinal(error);
    }
    const isOther = query !== JSON.stringify(this.query());
    const rest_ms = Math.max(COUNTS_EVERY_MS, COUNTS_REST * (performance.now() - began_ms));
    setTimeout(() => this.#again(), isOther ? 0 : rest_ms);
  }

  #again() {
    this.#isBusy = false;
    if (this.#isStale) this.#fetch();
  }
}
