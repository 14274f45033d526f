// The controls of the job list's filter: status and text always, the rest folded away. Their state is that of the URL.

import { build, put } from "./dom.js";
import { SORTS, STATUSES, filterOf, filterWords, further } from "./filter.js";

// Pause in typing after which the search is sent.
const PAUSE_MS = 300;
const SINCE_S = { 3600: "Last hour", 86400: "Last 24 hours", 604800: "Last 7 days" };
const STEP_STATUSES = ["queued", "waiting", "active", "delayed", "completed", "failed", "cancelled", "skipped"];

/**
 * The filter bar in `root`. `onChange(filter, wait_ms)` is called when a person has changed it; `options()` resolves to
 * {pipelines, steps} when the folded part is opened; `isAdmin`: whether jobs of others are listed.
 */
export class FilterBar {
  #filter = {};
  #filled = null;

  constructor({ root, onChange, options, isAdmin }) {
    Object.assign(this, { onChange, options });
    this.statuses = build("fieldset", { className: "filter" }, build("legend", { className: "unseen" }, "Status"), radios());
    this.search = build("input", { className: "search", type: "search", maxLength: 200, placeholder: "Find by name", ariaLabel: "Find jobs by name or id" });
    this.controls = {
      pipeline: select("Pipeline", { "": "Any pipeline" }),
      step: select("Step", { "": "Any step" }),
      step_status: select("Status of the step", { "": "in any status", ...Object.fromEntries(STEP_STATUSES.map((name) => [name, name])) }),
      since: select("Created", { "": "Any time", ...SINCE_S }),
      owner: build("input", { type: "search", placeholder: "Any owner", ariaLabel: "Owner", hidden: !isAdmin }),
      error_code: build("input", { type: "search", placeholder: "Any error code", ariaLabel: "Error code" }),
      sort: select("Order", SORTS),
    };
    this.clear = build("button", { className: "button plain", type: "button" }, "Clear filters");
    this.summary = build("summary", {}, "Filters");
    this.details = build("details", { className: "filters" }, this.summary, build("div", { className: "filter-controls" }, Object.values(this.controls), this.clear));
    root.append(build("div", { className: "toolbar" }, build("h2", { id: "jobs-heading" }, "Jobs"), this.statuses, this.search), this.details);
    this.#listen();
  }

  #listen() {
    this.statuses.addEventListener("change", ({ target }) => this.#change({ status: target.value }));
    this.search.addEventListener("input", () => this.#change({ q: this.search.value }, PAUSE_MS));
    this.details.addEventListener("toggle", () => this.details.open && this.#fill());
    this.clear.addEventListener("click", () => this.#replace({}, 0));
    for (const [name, control] of Object.entries(this.controls)) {
      control.addEventListener(control.localName === "select" ? "change" : "input", () => this.#controlled(name, control));
    }
  }

  #controlled(name, { value, localName }) {
    const wait_ms = localName === "select" ? 0 : PAUSE_MS;
    const { step, step_status } = this.controls;
    if (name.startsWith("step")) this.#change({ step: step.value && [step.value, step_status.value].filter(Boolean).join(":") });
    else if (name === "since") this.#change({ created_after: value && new Date(Date.now() - value * 1000).toISOString(), created_before: "" });
    else this.#change({ [name]: value.trim() }, wait_ms);
  }

  #change(part, wait_ms = 0) {
    this.#replace({ ...this.#filter, ...part }, wait_ms);
  }

  #replace(params, wait_ms) {
    this.show(filterOf(params));
    this.onChange(this.#filter, wait_ms);
  }

  /** Shows this filter in the controls. */
  show(filter) {
    this.#filter = filter;
    for (const radio of this.statuses.querySelectorAll("input")) radio.checked = radio.value === (filter.status ?? "");
    if (this.search.value.trim() !== (filter.q ?? "")) this.search.value = filter.q ?? "";
    const [step, step_status] = (filter.step ?? "").split(":");
    const since = filter.created_after ?? "";
    const values = { ...filter, step, step_status, sort: filter.sort ?? "-created_at" };
    for (const [name, control] of Object.entries(this.controls)) if (name !== "since") choose(control, values[name] ?? "");
    if (since && !this.controls.since.value) choose(this.controls.since, since, filterWords({ created_after: since })[0]);
    if (!since) this.controls.since.value = "";
    const words = [...filterWords(filter), ...(filter.sort ? [SORTS[filter.sort].toLowerCase()] : [])];
    put(this.summary, "textContent", words.length ? `Filters: ${words.join(" · ")}` : "Filters");
    if (Object.keys(further(filter)).length) this.#fill();
    put(this.clear, "hidden", !Object.keys(filter).length);
  }

  /** Shows the number of jobs by status; null: unknown. */
  count(counts) {
    const total = counts && Object.values(counts).reduce((sum, count) => sum + count, 0);
    for (const badge of this.statuses.querySelectorAll("[data-count]")) {
      const { count } = badge.dataset;
      put(badge, "textContent", counts ? String(count ? (counts[count] ?? 0) : total) : "");
    }
  }

  #fill() {
    this.#filled ??= this.options().then(({ pipelines, steps }) => {
      for (const name of pipelines) choice(this.controls.pipeline, name);
      for (const name of steps) choice(this.controls.step, name);
    }, () => (this.#filled = null)); // the next opening tries again
  }
}

function radios() {
  return Object.entries({ "": "All", ...STATUSES }).map(([value, name]) =>
    build("label", {}, build("input", { type: "radio", name: "status", value }), build("span", { dataset: { status: value } }, name, " ", build("b", { dataset: { count: value } }))),
  );
}

function select(label, options) {
  const control = build("select", { ariaLabel: label });
  const given = Object.entries(options).sort(([a], [b]) => (a === "" ? -1 : b === "" ? 1 : 0));
  for (const [value, text] of given) choice(control, value, text);
  return control;
}

function choice(control, value, text = value) {
  if (![...control.options].some((option) => option.value === value)) control.append(build("option", { value }, text));
}

/** Selects a value, also one that is not among the options (yet). */
function choose(control, value, text = value) {
  if (control.localName === "select") choice(control, value, text);
  if (document.activeElement !== control || !value) control.value = value;
}
