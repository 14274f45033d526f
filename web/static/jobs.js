// The list of jobs: one row per job, kept by id, changed only where the job changed, drawn at most once a frame. While the
// pointer or the keyboard is in the list no row moves: what has come and gone is shown once it has left.

import { build, put } from "./dom.js";
import { hasMore, isLoaded, isShort, listed, moreJobs } from "./live.js";
import { showPoster, skim } from "./posters.js";
import { rowWindow } from "./row_window.js";
import { newRow, updateRow, updateTimes } from "./row.js";

// Shortest time between two drawings of what live frames have changed.
const CALM_MS = 250;

const HOVERS = matchMedia("(hover: hover)");

/**
 * The list in `root` of the jobs in `state`. `act(action, job, button)` is called for "cancel", "retry" and "play",
 * `more()` for "Show more", `onRows(ids)` with the ids of all jobs of the list when other rows are shown.
 */
export class JobList {
  // The jobs that are listed, in order, and those that have a row: with a long list, those around the screen.
  #ids = [];
  #rows = new Map();
  #start = 0;
  #row_px = 60;
  #dirty = new Set();
  #stale = true;
  #queued = false;
  #timer = 0;
  #drawn_ms = 0;
  #total = null;
  // Whether the rows that a person has asked for have come.
  #isSettled = false;
  #sight = new IntersectionObserver((entries) => this.#sighted(entries), { rootMargin: "200px" });

  constructor({ state, root, act, sign, more, onRows = () => {} }) {
    Object.assign(this, { state, root, act, sign, onRows });
    root.addEventListener("click", (event) => this.#clicked(event));
    this.more = document.getElementById("more");
    this.more.addEventListener("click", more);
    this.news = build("button", { className: "button news", type: "button", hidden: true });
    this.news.addEventListener("click", () => this.#arrange());
    root.before(build("div", { className: "news-place", role: "status" }, this.news));
    this.gaps = [0, 1].map(() => build("li", { className: "gap", ariaHidden: "true", hidden: true }));
    root.append(...this.gaps);
    addEventListener("scroll", () => this.#scrolled(), { passive: true });
    for (const kind of ["pointerleave", "focusout"])
      for (const node of [root, this.news]) node.addEventListener(kind, () => this.#drawLater());
    setInterval(() => this.#tick(), 1000);
  }

  /** Takes note of changes that `fold` made. */
  changed(changes) {
    for (const { id, before, after } of changes) {
      this.#dirty.add(id);
      if (!before || !after || isElsewhere(this.state, before, after)) this.#stale = true;
    }
    this.#drawCalmly();
  }

  /** Takes note of a fetched page. */
  loaded(changes) {
    this.#stale = true;
    this.changed(changes);
    this.#drawLater();
  }

  /** Takes note of another filter or limit, which a person has chosen: rows may move at once. */
  chosen(changes) {
    this.#isSettled = false;
    this.loaded(changes);
    this.#arrange();
  }

  /** Takes note of how many jobs match the filter; null: unknown. */
  counted(total) {
    this.#total = total;
    this.#drawLater();
    this.#summarise();
  }

  #drawLater() {
    if (this.#queued) return;
    this.#queued = true;
    clearTimeout(this.#timer);
    requestAnimationFrame(() => this.#draw());
  }

  /** Draws what a live frame has changed. With hundreds of active jobs something changes with every picture of the screen. */
  #drawCalmly() {
    if (this.#queued || this.#timer) return;
    this.#timer = setTimeout(() => this.#drawLater(), Math.max(0, this.#drawn_ms + CALM_MS - performance.now()));
  }

  #draw() {
    this.#queued = false;
    this.#timer = 0;
    this.#drawn_ms = performance.now();
    if (this.#stale && !this.#isHeld()) this.#arrange();
    else if (this.#stale) this.#showNews();
    for (const id of this.#dirty) if (this.#rows.has(id)) this.#update(this.#rows.get(id));
    this.#dirty.clear();
  }

  /** Whether the pointer or the keyboard's focus is in the list, or on the button that updates it. A finger leaves no
   * pointer behind, but a browser's :hover. */
  #isUsed() {
    if (HOVERS.matches && [this.root, this.news].some((node) => node.matches(":hover"))) return true;
    return this.news.matches(":focus-visible") || Boolean(this.root.querySelector(":focus-visible"));
  }

  /** Whether a row would move while a person is about to press something in the list. */
  #isHeld() {
    if (!this.#isSettled || !this.#isUsed()) return false;
    const ids = this.#listedIds();
    return this.#ids.some((id, index) => id !== ids[index]); // rows may follow
  }

  #listedIds() {
    return listed(this.state).slice(0, this.state.limit).map((job) => job.id);
  }

  #arrange() {
    this.#stale = false;
    this.#isSettled = isLoaded(this.state) && !isShort(this.state);
    this.#ids = this.#listedIds();
    this.#render(this.#window());
    put(this.news, "hidden", true);
    this.#summarise();
    this.onRows(this.#ids);
  }

  #window() {
    return rowWindow(this.#ids.length, this.#row_px, this.root.getBoundingClientRect().top);
  }

  #scrolled() {
    const found = this.#window();
    if (found.start === this.#start) return;
    this.#render(found);
    this.onRows(this.#ids);
  }

  #render({ start, end }) {
    this.#start = start;
    const ids = this.#ids.slice(start, end).filter((id) => this.#rows.has(id) || this.state.jobs.has(id));
    const kept = new Set(ids);
    for (const row of [...this.#rows.values()]) if (!kept.has(row.id)) this.#forget(row);
    ids.forEach((id, index) => this.#place(id, index + 1)); // after the gap
    const [first, last] = [ids[0], ids.at(-1)].map((id) => this.#rows.get(id)?.node.getBoundingClientRect());
    if (ids.length && last.bottom > first.top) this.#row_px = (last.bottom - first.top) / ids.length;
    [start, this.#ids.length - end].forEach((count, index) => {
      put(this.gaps[index], "hidden", !count);
      put(this.gaps[index].style, "height", `${Math.round(count * this.#row_px)}px`);
    });
  }

  #showNews() {
    const known = new Set(this.#ids);
    const added = this.#listedIds().filter((id) => !known.has(id)).length;
    put(this.news, "textContent", added ? `Show ${added} new ${added === 1 ? "job" : "jobs"}` : "Update the list");
    put(this.news, "hidden", false);
  }

  #forget(row) {
    this.#sight.unobserve(row.node);
    row.node.remove();
    this.#rows.delete(row.id);
  }

  #place(id, index) {
    const row = this.#rows.get(id) ?? this.#add(id);
    put(row.node.dataset, "gone", "false");
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
    const job = this.state.jobs.get(row.id);
    put(row.node.dataset, "gone", String(!job)); // it stays until the pointer has left
    if (!job) return;
    updateRow(row, job);
    if (row.inSight) showPoster(row, this.sign);
  }

  #tick() {
    const now_ms = Date.now();
    for (const row of this.#rows.values()) if (row.inSight) updateTimes(row, now_ms);
    if (this.#stale) this.#drawLater();
  }

  #sighted(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get(target.dataset.id);
      if (!row) continue;
      row.inSight = isIntersecting;
      if (!isIntersecting) continue;
      updateTimes(row, Date.now());
      showPoster(row, this.sign);
    }
  }

  #clicked({ target }) {
    const button = target.closest("[data-action]");
    const row = this.#rows.get(target.closest(".job")?.dataset.id);
    if (row && button && button.ariaDisabled !== "true") this.act(button.dataset.action, row.job, button);
  }

  #summarise() {
    const shown = this.#ids.length;
    put(this.more, "hidden", !hasMore(this.state) && shown >= this.state.jobs.size);
    const others = (this.#total ?? 0) - shown;
    put(this.more, "textContent", others > 0 ? `Show ${Math.min(others, moreJobs(this.state))} more of ${others}` : "Show more");
    const isEmpty = isLoaded(this.state) && !hasMore(this.state) && shown === 0;
    const isAll = !Object.keys(this.state.filter).some((name) => name !== "sort");
    put(document.getElementById("empty"), "hidden", !isEmpty || !isAll);
    put(document.getElementById("no-match"), "hidden", !isEmpty || isAll);
  }
}

/** Whether the change moves the job in the list's order. */
function isElsewhere({ filter: { sort } }, before, after) {
  return Boolean(sort?.includes("updated_at")) && before.updated_at !== after.updated_at;
}
