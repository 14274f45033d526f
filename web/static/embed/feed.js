// The live connection that all elements of one page share, per service and token. No DOM: it is tested in node.

import { Kinolog, backoff_ms } from "../kinolog.js";

// The server's limit of subscriptions per connection; beyond it the connection is to all jobs of the token.
const MOST_TOPICS = 100;
// Pause after which a changed set of topics is subscribed to. Elements of one page come and go together: a framework may
// remove and insert one in the same task, and React's strict mode mounts each twice.
const GATHER_MS = 30;
// So many times it waits for listeners that do not know their topics yet: their requests are on the way.
const MOST_WAITS = 10;
// A computer that sleeps leaves its sockets open on one side. A timer that is this late has slept.
const TICK_MS = 5_000;
const SLEPT_MS = 30_000;

const feeds = new Map();

/** The shared feed of `url` and `token`. @param {string} url @param {string} token @returns {Feed} */
export function feed(url, token, options = {}) {
  const key = JSON.stringify([url, token]);
  if (!feeds.has(key)) feeds.set(key, new Feed({ url, token, onIdle: () => feeds.delete(key), ...options }));
  return feeds.get(key);
}

/** Live frames of one service for many listeners, over one connection that exists only while somebody listens. */
export class Feed {
  #listeners = new Set();
  #subscribed = "";
  #cursor;
  #stop = null;
  #timer = 0;
  #clock = 0;
  #failures = 0;
  #waits = 0;

  /** `onIdle()` is called when the last listener has left. */
  constructor({ url, token, gather_ms = GATHER_MS, onIdle = () => {}, ...more }) {
    this.kinolog = new Kinolog({ url, token, ...more });
    Object.assign(this, { gather_ms, onIdle });
    this.state = "connecting";
  }

  /**
   * Adds a listener without topics: it gets the frames that others subscribed to, until it calls `want`.
   * `onFrame(frame)` gets every frame; `onState("connecting"|"live"|"lost")`; `onRefused(problem)` is called when the
   * server refused the subscription for good: it must check its own topics, and may close itself. May be async.
   * @returns {{want: (topic: string) => void, close: () => void}}
   */
  listen({ onFrame, onState = () => {}, onRefused = () => {} }) {
    const listener = { onFrame, onState, onRefused, topic: "" };
    this.#listeners.add(listener);
    return {
      want: (topic) => {
        listener.topic = topic;
        this.#gather();
        onState(this.state);
      },
      close: () => {
        if (this.#listeners.delete(listener)) this.#gather();
      },
    };
  }

  /** Opens the connection again, from where it was: the network has changed, or the computer has slept. */
  resume() {
    if (this.#subscribed && !this.#timer) this.#open(this.#cursor);
  }

  /** Closes the connection until `resume`: a page with an open one cannot be kept for the Back button. */
  pause() {
    this.#close();
  }

  #gather() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#gathered(), this.gather_ms);
  }

  #gathered() {
    const isWaiting = [...this.#listeners].some(({ topic }) => !topic) && this.#waits++ < MOST_WAITS;
    if (isWaiting) return this.#gather();
    this.#waits = 0;
    this.#subscribe();
  }

  #subscribe() {
    this.#timer = 0;
    if (!this.#listeners.size) this.onIdle();
    const topics = [...new Set([...this.#listeners].map(({ topic }) => topic).filter(Boolean))].sort();
    const wanted = topics.includes("all") || topics.length > MOST_TOPICS ? ["all"] : topics;
    const current = this.#subscribed ? this.#subscribed.split(",") : [];
    const isCovered = wanted.length && wanted.every((topic) => current.includes(topic)) && !(current[0] === "all" && wanted[0] !== "all");
    if (isCovered && this.#stop) return;
    this.#subscribed = wanted.join(",");
    this.#close();
    // From a cursor nobody would learn what the new topics did before it: a snapshot has it.
    if (wanted.length) this.#open(undefined);
    else this.#cursor = undefined;
  }

  #open(cursor) {
    this.#close();
    this.#cursor = cursor;
    this.#stop = new AbortController();
    this.#watchClock();
    this.#run(this.#subscribed, this.#stop.signal);
  }

  #close() {
    clearInterval(this.#clock);
    this.#stop?.abort();
    this.#stop = null;
    this.#show("connecting");
  }

  async #run(subscribe, signal) {
    try {
      const onState = (state) => signal.aborted || this.#show(state);
      for await (const frame of this.kinolog.frames(subscribe, { cursor: this.#cursor, signal, onState })) {
        this.#cursor = frame.cursor ?? this.#cursor;
        this.#failures = 0;
        for (const listener of [...this.#listeners]) listener.onFrame(frame);
      }
    } catch (problem) {
      if (!signal.aborted) await this.#refused(problem, signal);
    }
  }

  /** One topic that is gone, or a token that is no longer valid, refuses the whole connection. */
  async #refused(problem, signal) {
    this.#show("lost");
    this.#stop = null;
    await Promise.allSettled([...this.#listeners].map((listener) => listener.onRefused(problem)));
    if (signal.aborted || this.#stop) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#subscribe(), backoff_ms(this.#failures++, Math.random()));
  }

  #show(state) {
    if (state === this.state) return;
    this.state = state;
    for (const listener of [...this.#listeners]) listener.onState(state);
  }

  #watchClock() {
    let last_ms = Date.now();
    this.#clock = setInterval(() => {
      const slept_ms = Date.now() - last_ms - TICK_MS;
      last_ms = Date.now();
      if (slept_ms > SLEPT_MS) this.resume();
    }, TICK_MS);
    this.#clock.unref?.();
  }
}

if (globalThis.window && globalThis.addEventListener) {
  const each = (act) => feeds.forEach((one) => one[act]());
  addEventListener("online", () => each("resume"));
  addEventListener("pagehide", () => each("pause"));
  addEventListener("pageshow", ({ persisted }) => persisted && each("resume"));
}
