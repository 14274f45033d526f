// The live status of one thing, as a store for React: the response of a route, requested again whenever a live frame
// says that it has changed. No polling, no DOM, no React: it is tested in node.

import { persistently, problemOf } from "../embed/follow.js";
import { steady } from "./routes.js";

const INITIAL = Object.freeze({ data: undefined, error: null, isLoading: true });

/**
 * A store of what `route.request(kinolog, {signal})` resolves to. `route.jobOf(data)`: the id of its job, or null;
 * `route.topic(data)`: what to subscribe to; `route.isOf(frame, data)`: whether a frame of a job concerns it;
 * `route.progressed(data, frame)`: the data after a frame of progress, in `route.field`; `route.outcome(data)`: "complete",
 * "error" or "".
 * State: {data, error, isLoading}; a new object whenever something of it has changed.
 */
export class StatusStore {
  #feed;
  #route;
  #watchers = new Set();
  #line = null;
  #stop = null;
  #isBusy = false;
  #isStale = false;
  #state = INITIAL;

  constructor(feed, route) {
    this.#feed = feed;
    this.#route = route;
    // For useSyncExternalStore, which calls them without their object.
    this.subscribe = this.subscribe.bind(this);
    this.get = () => this.#state;
    this.initial = () => INITIAL;
    this.refetch = () => this.#load();
  }

  /** Follows as long as somebody watches. A watcher that returns in the same task, as in strict mode, changes nothing. */
  subscribe(watcher) {
    this.#watchers.add(watcher);
    if (!this.#stop) this.#begin();
    return () => {
      this.#watchers.delete(watcher);
      setTimeout(() => this.#watchers.size || this.#end());
    };
  }

  #begin() {
    this.#stop = new AbortController();
    this.#follow();
    this.#load();
  }

  #follow() {
    this.#line = this.#feed().listen({ onFrame: (frame) => this.#arrived(frame), onRefused: () => this.#load() });
  }

  #end() {
    this.#stop?.abort();
    this.#line?.close();
    this.#stop = this.#line = null;
    this.#isBusy = false;
  }

  #arrived(frame) {
    const { data } = this.#state;
    if (frame.type === "snapshot") return frame.last === false ? undefined : this.#load();
    if (data === undefined) return (this.#isStale = this.#isBusy);
    if (frame.type === "job" && this.#route.isOf(frame.job, data)) return this.#load();
    if (frame.job_id === undefined || frame.job_id !== this.#route.jobOf(data)) return undefined;
    if (frame.type === "deleted") return this.#load();
    if (frame.type === "progress") this.#set({ data: this.#route.progressed(data, frame) });
    return undefined;
  }

  /** Requests the data; once at a time, and once more when it has changed meanwhile. */
  async #load() {
    if (!this.#stop) return;
    this.#isStale = this.#isBusy;
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { signal } = this.#stop;
    try {
      const onTrouble = (error) => this.#set({ error });
      const data = await persistently(() => this.#route.request(this.#feed().kinolog, { signal }), { signal, onTrouble });
      if (!signal.aborted) this.#loaded(data);
    } catch (error) {
      if (signal.aborted) return;
      this.#line?.close();
      this.#line = null;
      this.#set({ error: problemOf(error), isLoading: false });
    }
    if (signal.aborted) return;
    this.#isBusy = false;
    if (this.#isStale) this.#load();
  }

  #loaded(data) {
    this.#set({ data: steady(this.#route, this.#state.data, data), error: null, isLoading: false });
    if (this.#route.outcome(data) === "complete") {
      this.#line?.close();
      this.#line = null;
      return;
    }
    if (!this.#line) this.#follow();
    this.#line.want(this.#route.topic(data));
  }

  #set(changes) {
    const next = { ...this.#state, ...changes };
    if (JSON.stringify(next) === JSON.stringify(this.#state)) return;
    this.#state = next;
    for (const watcher of [...this.#watchers]) watcher();
  }
}
