// The list of jobs: one row per job, kept by id, changed only where the job changed, drawn at most once a frame.

import { put } from "./dom.js";
import { counts, group, listed } from "./live.js";
import { showPoster, skim } from "./posters.js";
import { newRow, tellTime, updateRow } from "./row.js";

const PAGE_ROWS = 50;

/**
 * The list in `root` of the jobs in `state`. `act(action, job, button)` is called for "cancel", "retry" and "play",
 * `loadOlder()` when all that are known are shown and the server has more.
 */
export class JobList {
  #rows = new Map();
  #dirty = new Set();
  #stale = true;
  #queued = false;
  #show = "all";
  #text = "";
  #limit = PAGE_ROWS;
  #found = 0;
  #sight = new IntersectionObserver((entries) => this.#sighted(entries), { rootMargin: "200px" });

  constructor({ state, root, act, sign, loadOlder }) {
    Object.assign(this, { state, root, act, sign, loadOlder });
    root.addEventListener("click", (event) => this.#clicked(event));
    document.getElementById("more").addEventListener("click", () => this.#showMore());
    setInterval(() => this.#rows.forEach((row) => tellTime(row, Date.now())), 1000);
  }

  /** Takes note that `state.older` has changed, and of jobs that were added. */
  loaded(changes) {
    this.#stale = true;
    this.changed(changes);
  }

  /** Takes note of changes that `fold` made. */
  changed(changes) {
    for (const { id, before, after } of changes) {
      this.#dirty.add(id);
      if (!before || !after || group(before) !== group(after)) this.#stale = true;
    }
    this.#drawLater();
  }

  /** Shows one group ("all", "running", "completed", "failed") of the jobs whose name or id contains `text`. */
  filter(show, text) {
    this.#show = show;
    this.#text = text;
    this.#arrangeLater({ limit: PAGE_ROWS });
  }

  #showMore() {
    if (this.state.older && this.#rows.size === this.#found) this.loadOlder();
    this.#arrangeLater({ limit: this.#limit + PAGE_ROWS });
  }

  #arrangeLater({ limit }) {
    this.#limit = limit;
    this.#stale = true;
    this.#drawLater();
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
    const found = listed(this.state.jobs, this.#show, this.#text);
    const ids = found.slice(0, this.#limit).map((job) => job.id);
    const kept = new Set(ids);
    for (const row of [...this.#rows.values()]) if (!kept.has(row.id)) this.#forget(row);
    ids.forEach((id, index) => this.#place(id, index));
    this.#found = found.length;
    showSummary(this.state, found.length, ids.length);
  }

  #forget(row) {
    this.#sight.unobserve(row.node);
    row.node.remove();
    this.#rows.delete(row.id);
  }

  #place(id, index) {
    const row = this.#rows.get(id) ?? this.#add(id);
    // Moving a node that stands right would take the keyboard's focus from it.
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

function showSummary({ jobs, older }, found, shown) {
  const total = counts(jobs);
  for (const badge of document.querySelectorAll("[data-count]")) {
    // The server leaves no running job out while it has told of one that ended.
    const isWhole = !older || (badge.dataset.count === "running" && older.created_before);
    put(badge, "textContent", `${total[badge.dataset.count]}${isWhole ? "" : "+"}`);
  }
  const hidden = found - shown;
  const button = document.getElementById("more");
  put(button, "hidden", hidden === 0 && !older);
  put(button, "textContent", hidden ? `Show ${Math.min(hidden, PAGE_ROWS)} more of ${hidden}` : "Load older jobs");
  put(document.getElementById("empty"), "hidden", jobs.size > 0);
  put(document.getElementById("no-match"), "hidden", jobs.size === 0 || found > 0);
}
