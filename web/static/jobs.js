// The list of jobs: one row per job, kept by id, changed only where the job changed, drawn at most once a frame.

import { put } from "./dom.js";
import { PAGE_JOBS, hasMore, isLoaded, listed } from "./live.js";
import { showPoster, skim } from "./posters.js";
import { newRow, updateTimes, updateRow } from "./row.js";

/**
 * The list in `root` of the jobs in `state`. `act(action, job, button)` is called for "cancel", "retry" and "play",
 * `more()` for "Show more".
 */
export class JobList {
  #rows = new Map();
  #dirty = new Set();
  #stale = true;
  #queued = false;
  #counts = null;
  #sight = new IntersectionObserver((entries) => this.#sighted(entries), { rootMargin: "200px" });

  constructor({ state, root, act, sign, more }) {
    Object.assign(this, { state, root, act, sign });
    root.addEventListener("click", (event) => this.#clicked(event));
    document.getElementById("more").addEventListener("click", more);
    setInterval(() => this.#rows.forEach((row) => updateTimes(row, Date.now())), 1000);
  }

  /** Takes note of changes that `fold` made. */
  changed(changes) {
    for (const { id, before, after } of changes) {
      this.#dirty.add(id);
      if (!before || !after) this.#stale = true;
    }
    this.#drawLater();
  }

  /** Takes note of changes, and of another filter, limit or page. */
  loaded(changes) {
    this.#stale = true;
    this.changed(changes);
  }

  /** Takes note of how many jobs there are, by filter. */
  counted(counts) {
    this.#counts = counts;
    this.loaded([]);
  }

  #drawLater() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#queued = false;
    if (this.#stale) this.#arrange();
    for (const id of this.#dirty) if (this.#rows.has(id)) this.#update(this.#rows.get(id));
    this.#dirty.clear();
  }

  #arrange() {
    this.#stale = false;
    const ids = listed(this.state.jobs).slice(0, this.state.limit).map((job) => job.id);
    const kept = new Set(ids);
    for (const row of [...this.#rows.values()]) if (!kept.has(row.id)) this.#forget(row);
    ids.forEach((id, index) => this.#place(id, index));
    showSummary(this.state, this.#counts, ids.length);
  }

  #forget(row) {
    this.#sight.unobserve(row.node);
    row.node.remove();
    this.#rows.delete(row.id);
  }

  #place(id, index) {
    const row = this.#rows.get(id) ?? this.#add(id);
    // Moving a node that is in place already would take the keyboard focus from it.
    if (this.root.children[index] !== row.node) this.root.insertBefore(row.node, this.root.children[index] ?? null);
  }

  #add(id) {
    const row = newRow(id);
    this.#rows.set(id, row);
    this.#update(row);
    this.#sight.observe(row.node);
    row.poster.addEventListener("pointermove", (event) => skim(row, event, this.sign));
    row.poster.addEventListener("pointerleave", () => put(row.skim, "hidden", true));
    return row;
  }

  #update(row) {
    updateRow(row, this.state.jobs.get(row.id));
    if (row.inSight) showPoster(row, this.sign);
  }

  #sighted(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get(target.dataset.id);
      if (!row) continue;
      row.inSight = isIntersecting;
      if (isIntersecting) showPoster(row, this.sign);
    }
  }

  #clicked({ target }) {
    const button = target.closest("[data-action]");
    const row = this.#rows.get(target.closest(".job")?.dataset.id);
    if (row && button && button.ariaDisabled !== "true") this.act(button.dataset.action, row.job, button);
  }
}

function showSummary(state, counts, shown) {
  for (const badge of document.querySelectorAll("[data-count]")) {
    put(badge, "textContent", counts ? String(counts[badge.dataset.count]) : "");
  }
  const button = document.getElementById("more");
  put(button, "hidden", !hasMore(state) && shown === state.jobs.size);
  put(button, "textContent", moreText(state, counts, shown));
  const isEmpty = isLoaded(state) && !hasMore(state) && shown === 0;
  const isAll = state.show === "all" && !state.text.trim();
  put(document.getElementById("empty"), "hidden", !isEmpty || !(isAll || counts?.all === 0));
  put(document.getElementById("no-match"), "hidden", !isEmpty || isAll || counts?.all === 0);
}

/** The number of further jobs is known for a filter, not for a search. */
function moreText({ show, text }, counts, shown) {
  const others = text.trim() ? 0 : (counts?.[show] ?? 0) - shown;
  return others > 0 ? `Show ${Math.min(others, PAGE_JOBS)} more of ${others}` : "Show more";
}
