// One job in full, at its own URL (#job_…): its attempts on an axis of time, files, details and events, live.

import { build, element, patch, put } from "./dom.js";
import { folded } from "./kinolog.js";
import { artifact } from "./posters.js";
import { routeHash } from "./route.js";
import { attempts, eventText, files, span } from "./timeline.js";
import { age, canRetry, duration, hasEnded, heldStep, isHeld, output, seconds, statusText, stepNote, title, warningText } from "./words.js";

// Shortest time between two requests of the events.
const EVENTS_EVERY_MS = 1_000;
// Files of one step that are listed before the rest is folded away.
const MOST_FILES = 8;

const $ = (id) => document.getElementById(id);

/** The view of one job. `call` as of Kinolog, `sign` as of posters.js; `act(action, job, button)` runs a command. */
export class JobView {
  #id = null;
  #job = null;
  #events = [];
  #fetched_ms = 0;
  #timer = 0;

  constructor({ root, call, sign, act, confirm }) {
    Object.assign(this, { root, call, sign, act, confirm });
    root.addEventListener("click", (event) => this.#clicked(event));
    setInterval(() => this.#job && this.#drawTimes(), 1000);
  }

  /** Shows the job with this id; null closes the view. */
  async open(id) {
    if (id === this.#id) return;
    Object.assign(this.root.dataset, { state: "loading" });
    this.#id = id;
    this.#job = null;
    this.#events = [];
    this.#fetched_ms = 0;
    clearTimeout(this.#timer);
    if (id) await this.#load(id);
  }

  /** Takes note of a live frame; after a snapshot the job is read again, since the frames in between are unknown. */
  arrived(frame) {
    if (!this.#id) return;
    if (frame.type === "snapshot" || (!this.#job && frame.job?.id === this.#id)) return this.#load(this.#id);
    if (!this.#job) return;
    try {
      this.#show(folded(this.#job, frame));
    } catch (error) {
      this.#fail(error.message);
    }
  }

  async #load(id) {
    try {
      const { data } = await this.call("GET", `/v1/jobs/${encodeURIComponent(id)}`);
      if (id === this.#id) this.#show(data);
    } catch (error) {
      if (id === this.#id) this.#fail(error.status === 404 ? "There is no job with this id, or it is not yours." : error.message);
    }
  }

  #fail(message) {
    this.#job = null;
    put(this.root.dataset, "state", "missing");
    put($("job-missing"), "textContent", message);
    document.title = "kinolog";
  }

  #show(job) {
    const before = this.#job;
    if (job === before) return;
    this.#job = job;
    put(this.root.dataset, "state", "shown");
    document.title = `${title(job)} · kinolog`;
    this.#drawHead(job);
    this.#drawFiles(job, before);
    this.#drawDetails(job);
    this.#drawTimes();
    if (before?.updated_at !== job.updated_at) this.#fetchEvents();
  }

  #drawHead(job) {
    put(this.root.dataset, "status", job.status);
    put(this.root.dataset, "held", String(Boolean(heldStep(job))));
    put($("job-title"), "textContent", title(job));
    put($("job-status"), "textContent", statusText(job));
    put($("job-error"), "hidden", !job.error);
    put($("job-error").firstElementChild, "textContent", job.error?.code ?? "");
    put($("job-error").lastElementChild, "textContent", job.error?.message ?? "");
    put($("job-warning"), "textContent", warningText(job));
    put($("job-warning"), "hidden", !$("job-warning").textContent);
    const shown = { play: output(job, "master"), cancel: !hasEnded(job), retry: canRetry(job), delete: hasEnded(job) };
    for (const [action, isShown] of Object.entries(shown)) {
      const button = this.root.querySelector(`[data-action=${action}]`);
      put(button, "hidden", !isShown);
      put(button, "ariaDisabled", String(action === "cancel" && Boolean(job.cancelling)));
    }
  }

  #drawDetails(job) {
    const source = job.input && Object.entries(job.input).find(([, value]) => value);
    const details = {
      Job: job.id, Asset: build("a", { className: "link", href: routeHash("asset", job.asset_id) }, job.asset_id), Pipeline: job.pipeline, Owner: job.owner, Priority: job.priority,
      Run: String(job.run), Created: moment(job.created_at), Started: moment(job.started_at), Finished: moment(job.finished_at),
      Took: job.finished_at && job.started_at && duration(seconds(job)), Source: source && `${source[0]}: ${source[1]}`,
      Passthrough: job.passthrough,
    };
    const given = Object.entries(details).filter(([, value]) => value);
    $("job-details").replaceChildren(...given.flatMap(([name, value]) => [element("dt", "", name), build("dd", {}, value)]));
  }

  #drawFiles(job, before) {
    const found = files(job);
    if (before && JSON.stringify(files(before)) === JSON.stringify(found)) return;
    $("job-files-part").hidden = !found.length;
    const steps = [...new Set(found.map(({ step }) => step))];
    patch($("job-files"), steps.map((step) => fileGroup(step, found.filter((file) => file.step === step))));
  }

  #drawTimes() {
    const job = this.#job;
    const now_ms = Date.now();
    put($("job-age"), "textContent", `${job.pipeline} · ${age(job.created_at, now_ms)}${job.run > 1 ? ` · run ${job.run}` : ""}`);
    const bars = attempts(this.#events, job, now_ms);
    const axis = span(bars, job, now_ms);
    const rows = job.steps.map((step) => waterfallRow(job, step, bars.filter((bar) => bar.step === step.name), axis, now_ms));
    patch($("job-waterfall"), rows);
    put($("job-axis"), "textContent", duration((axis.to_ms - axis.from_ms) / 1000));
  }

  #fetchEvents() {
    clearTimeout(this.#timer);
    const wait_ms = Math.max(0, this.#fetched_ms + EVENTS_EVERY_MS - Date.now());
    this.#timer = setTimeout(() => this.#readEvents(this.#id), wait_ms);
  }

  async #readEvents(id) {
    this.#fetched_ms = Date.now();
    let problem = "";
    try {
      const { data } = await this.call("GET", `/v1/jobs/${encodeURIComponent(id)}/events`);
      if (id !== this.#id || !this.#job) return;
      this.#events = data;
      patch($("job-events"), data.map(eventItem).reverse());
      this.#drawTimes();
    } catch (error) {
      problem = `Events could not be loaded: ${error.message}`;
    }
    if (id === this.#id) put($("job-events-problem"), "textContent", problem);
  }

  async #clicked({ target }) {
    const link = target.closest("[data-key]");
    if (link) return this.#openFile(link);
    const button = target.closest("[data-action]");
    if (!button || button.ariaDisabled === "true" || !this.#job) return;
    const job = this.#job;
    if (button.dataset.action === "delete" && !(await this.confirm(`Delete ${title(job)}?`, DELETION, "Delete"))) return;
    this.act(button.dataset.action, job, button);
  }

  async #openFile(link) {
    const tab = link.dataset.copy ? null : open("about:blank", "_blank"); // at once: a browser blocks a later one
    try {
      const url = artifact(await this.sign(this.#job.asset_id), link.dataset.key);
      if (tab) tab.location = url;
      else await navigator.clipboard.writeText(url);
      if (!tab) link.textContent = "Copied";
    } catch (error) {
      tab?.close();
      put($("job-files-problem"), "textContent", `The link could not be made: ${error.message}`);
    }
  }
}

const DELETION = "The job and the files that it published are removed; the asset, too, if this is its only job. This cannot be undone.";

const moment = (time) => time && new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

function eventItem(event) {
  const item = build("li", { className: "event", dataset: { row: event.id } });
  const time = element("time", "", new Date(event.time).toLocaleTimeString());
  time.dateTime = event.time;
  time.title = event.time;
  item.append(time, element("span", "", eventText(event)));
  return item;
}

function fileGroup(step, group) {
  const item = build("li", { className: "file-group", dataset: { row: step } });
  item.append(element("h4", "", step));
  const list = element("ul", "files");
  list.append(...group.slice(0, MOST_FILES).map(fileItem));
  item.append(list);
  if (group.length > MOST_FILES) {
    const rest = element("details", "");
    rest.append(element("summary", "", `${group.length - MOST_FILES} more`));
    const more = element("ul", "files");
    more.append(...group.slice(MOST_FILES).map(fileItem));
    rest.append(more);
    item.append(rest);
  }
  return item;
}

function fileItem({ name, key }) {
  const item = element("li", "");
  const link = Object.assign(element("button", "link", name), { type: "button" });
  link.dataset.key = key;
  item.append(link);
  if (navigator.clipboard) {
    const copy = Object.assign(element("button", "button plain", "Copy link"), { type: "button" });
    Object.assign(copy.dataset, { key, copy: "true" });
    copy.setAttribute("aria-label", `Copy link of ${name}`);
    item.append(copy);
  }
  return item;
}

function waterfallRow(job, step, bars, axis, now_ms) {
  const row = element("li", "lane");
  Object.assign(row.dataset, { status: step.status, held: String(isHeld(step)) });
  const track = element("span", "track");
  for (const bar of bars) track.append(...segments(bar, axis));
  row.append(element("span", "step-name", step.name), track, element("span", "step-note", stepNote(step, now_ms)));
  const parts = Object.entries(step.status === "active" ? (step.parts ?? {}) : {});
  if (parts.length > 1) row.append(element("p", "lane-parts", parts.map(([name, part]) => `${name} ${Math.floor(part)} %`).join(" · ")));
  for (const { attempt, run, error, outcome } of bars) {
    if (error && (outcome === "retried" || run < job.run || bars.length > 1)) {
      row.append(element("p", "lane-error", `${run > 1 ? `Run ${run}, try` : "Try"} ${attempt}: ${error.code}: ${error.message}`));
    }
  }
  return row;
}

/** The bars of one attempt: waiting, then running. */
function segments(bar, { from_ms, to_ms }) {
  const percent = (ms) => (100 * (ms - from_ms)) / (to_ms - from_ms);
  const segment = (className, start_ms, end_ms) => {
    const node = element("span", `bar ${className}`);
    node.style.setProperty("--from", `${percent(start_ms)}%`);
    node.style.setProperty("--width", `${Math.max(0, percent(end_ms) - percent(start_ms))}%`);
    return node;
  };
  const running = segment(bar.outcome, bar.from_ms, bar.to_ms);
  running.title = `${bar.step}, try ${bar.attempt}: ${bar.outcome} after ${duration((bar.to_ms - bar.from_ms) / 1000)}`;
  const waited_s = (bar.from_ms - bar.ready_ms) / 1000;
  if (waited_s < 0.05) return [running];
  const waiting = segment("waited", bar.ready_ms, bar.from_ms);
  waiting.title = `${bar.step}, try ${bar.attempt}: waited ${duration(waited_s)}`;
  return [waiting, running];
}
