// The view of all jobs: the filter in the URL, the counts and the pages of the server, and the list, kept true by live frames.

import { notice } from "./dom.js";
import { filterOf, isSame } from "./filter.js";
import { FilterBar } from "./filters.js";
import { JobList } from "./jobs.js";
import { choose, emptyState, fold, moreJobs } from "./live.js";
import { Counter, Pages } from "./loading.js";
import { parseRoute, routeHash } from "./route.js";
import { Selection } from "./selection.js";

const $ = (id) => document.getElementById(id);

/** The filter of what the counts by status are of. */
const counted = ({ status: _status, sort: _sort, ...filter }) => filter;

/** `call` and `sign` as of Kinolog and posters.js, `me`: the caller, `act(action, job, button)` runs a command. */
export class JobsView {
  #counts = null;

  constructor({ call, sign, me, act, confirm }) {
    const { view, params } = parseRoute(location.hash);
    const state = emptyState(view === "jobs" ? filterOf(params) : {});
    const onCounts = (counts) => this.#count(counts);
    this.state = state;
    this.counter = new Counter({ call, onCounts, query: () => counted(state.filter) });
    this.pages = new Pages({ state, call, onChanges: (changes) => this.list.loaded(changes), onProblem: showProblem });
    this.selection = new Selection({ root: $("bulk"), list: $("jobs"), state, counts: () => this.#counts, call, confirm });
    this.list = new JobList({ state, root: $("jobs"), sign, act, more: () => this.#more(), onRows: (ids) => this.selection.shown(ids) });
    this.bar = new FilterBar({ root: $("filters"), isAdmin: me.role === "admin", options: () => options(call), onChange: (...given) => this.#filtered(...given) });
    this.bar.show(state.filter);
  }

  show(params) {
    const filter = filterOf(params);
    this.bar.show(filter);
    this.#choose(filter);
  }

  hide() {
    $("all-jobs").href = routeHash("jobs", null, this.state.filter);
  }

  /** Folds a live frame into the list; the view takes every one, shown or not. Returns the changes. */
  folded(frame) {
    const changes = fold(this.state, frame);
    this.list.changed(changes);
    if (changes.length) this.selection.changed();
    if (mayCountDifferently(frame, changes, this.state.filter)) this.counter.changed();
    if (frame.type === "snapshot" && frame.last !== false) this.pages.load();
    else this.pages.refill();
    return changes;
  }

  #filtered(filter, wait_ms) {
    history.replaceState(null, "", routeHash("jobs", null, filter));
    this.#choose(filter, wait_ms);
  }

  #choose(filter, wait_ms = 0) {
    if (isSame(filter, this.state.filter)) return;
    this.selection.clear();
    const isCounted = isSame(counted(filter), counted(this.state.filter));
    this.list.chosen(choose(this.state, filter));
    this.#count(isCounted ? this.#counts : null);
    this.pages.load(wait_ms);
    if (!isCounted) setTimeout(() => this.counter.changed(), wait_ms);
  }

  #more() {
    this.state.limit += moreJobs(this.state);
    this.list.chosen([]);
    this.pages.load();
  }

  #count(counts) {
    this.#counts = counts;
    this.bar.count(counts);
    this.selection.changed();
    const statuses = this.state.filter.status?.split(",") ?? Object.keys(counts ?? {});
    this.list.counted(counts && statuses.reduce((sum, status) => sum + (counts[status] ?? 0), 0));
  }
}

async function options(call) {
  const { data } = await call("GET", "/v1/stats");
  return { pipelines: Object.keys(data.pipelines), steps: Object.keys(data.steps) };
}

const showProblem = (error) => notice($("notice"), error ? `Jobs could not be loaded: ${error.message}` : "");

/** Whether a frame may change the counts; one of a job that is not listed may, and one of a step that is filtered by. */
function mayCountDifferently({ type, job }, changes, filter) {
  if (type !== "job") return type === "snapshot" || type === "deleted";
  const { before, after } = changes.find(({ id }) => id === job.id) ?? {};
  return !before || !after || before.status !== after.status || Boolean(filter.step);
}

/** Moves a filter that earlier versions kept in the query (`/?show=failed&q=…`) to the hash. */
export function takeOldFilter() {
  const url = new URL(location.href);
  const old = Object.fromEntries(url.searchParams);
  if (!old.show && !old.q) return;
  url.search = "";
  if (!url.hash) url.hash = routeHash("jobs", null, filterOf(old));
  history.replaceState(null, "", url);
}
