// Fetches what a view shows when it may have changed: not more often than the server answers comfortably.

import { backoff_ms } from "../kinolog.js";
import { isHidden, untilSeen } from "../loading.js";

const EVERY_MS = 2_000;
// Rest after a request, as a multiple of its duration.
const REST = 20;
// What no frame announces, such as the passing of time, is fetched this often.
const IDLE_MS = 30_000;

/** Calls `fetch()` at `start()`, after `changed()`, and now and then, until `stop()`. `onProblem` gets an error, null once it is resolved. */
export class Refresher {
  #isOn = false;
  #isBusy = false;
  #isStale = false;
  #timer = 0;
  #failures = 0;

  constructor({ fetch, onProblem }) {
    Object.assign(this, { fetch, onProblem });
  }

  start() {
    this.#isOn = true;
    return this.#run();
  }

  stop() {
    this.#isOn = false;
    clearTimeout(this.#timer);
  }

  /** Fetches soon: something has changed. */
  changed() {
    this.#isStale = true;
  }

  /** Fetches now: a person has changed something. */
  now() {
    clearTimeout(this.#timer);
    return this.#run();
  }

  async #run() {
    if (this.#isBusy || !this.#isOn) return (this.#isStale = true);
    this.#isBusy = true;
    if (isHidden()) await untilSeen();
    this.#isStale = false;
    const began_ms = performance.now();
    let error = null;
    try {
      await this.fetch();
    } catch (problem) {
      error = problem;
    }
    this.#isBusy = false;
    if (!this.#isOn) return;
    this.#failures = error ? this.#failures + 1 : 0;
    this.onProblem(error);
    this.#wait(error ? backoff_ms(this.#failures, Math.random()) : Math.max(EVERY_MS, REST * (performance.now() - began_ms)));
  }

  /** Waits for the rest, and then for a change. */
  #wait(rest_ms) {
    const until_ms = performance.now() + IDLE_MS;
    clearTimeout(this.#timer);
    const look = () => {
      if (this.#isStale || this.#failures || performance.now() >= until_ms) this.#run();
      else this.#timer = setTimeout(look, 500);
    };
    this.#timer = setTimeout(look, rest_ms);
  }
}
