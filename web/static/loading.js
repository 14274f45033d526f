// Asks the server for what the page lists, and for how many jobs there are.

import { Problem, backoff_ms } from "./kinolog.js";
import { arrived, hasMore, isShort, nextPage } from "./live.js";

const PATIENCE_MS = 20_000;
// Time between two questions for the counts, and its least share of the time that an answer takes: a page that is open
// costs a busy server little.
const COUNTS_EVERY_MS = 1_000;
const COUNTS_REST = 20;

const get = (call, path, query = {}) =>
  call("GET", `${path}?${new URLSearchParams(query)}`, undefined, { signal: AbortSignal.timeout(PATIENCE_MS) });

/** Whether asking again is of no use. */
const isFinal = (error) => error instanceof Problem && error.status < 500 && error.status !== 429;

/** Keeps as many jobs in `state` as it wants. `onProblem` gets an error, and null when it is over. */
export class Pages {
  #latest = 0;
  #timer = 0;
  #isIdle = true;

  constructor({ state, call, onChanges, onProblem }) {
    Object.assign(this, { state, call, onChanges, onProblem });
  }

  /** Asks for pages after `wait_ms`, until there are enough; what was under way is given up. */
  load(wait_ms = 0, failures = 0) {
    const turn = ++this.#latest;
    this.#isIdle = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fill(turn, failures), wait_ms);
  }

  /** Loads when everything that was loaded has gone, and there is more. */
  refill() {
    if (this.#isIdle && !this.state.jobs.size && hasMore(this.state)) this.load();
  }

  async #fill(turn, failures) {
    try {
      while (isShort(this.state)) {
        const page = await get(this.call, "/v1/jobs", nextPage(this.state));
        if (turn !== this.#latest) return;
        this.onChanges(arrived(this.state, page));
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

/** Asks for the counts when they may have changed; `onCounts` gets the server's, by status. */
export class Counter {
  #isBusy = false;
  #isStale = false;

  constructor({ call, onCounts }) {
    Object.assign(this, { call, onCounts });
  }

  changed() {
    this.#isStale = true;
    if (!this.#isBusy) this.#ask();
  }

  async #ask() {
    this.#isBusy = true;
    this.#isStale = false;
    const began_ms = performance.now();
    try {
      this.onCounts((await get(this.call, "/v1/stats")).data.jobs);
    } catch (error) {
      this.#isStale = !isFinal(error);
    }
    setTimeout(() => this.#again(), Math.max(COUNTS_EVERY_MS, COUNTS_REST * (performance.now() - began_ms)));
  }

  #again() {
    this.#isBusy = false;
    if (this.#isStale) this.#ask();
  }
}
