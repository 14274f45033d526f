// The pipeline and the priority of the files that are added next, remembered by the browser.

import { backoff_ms } from "./kinolog.js";
import { build } from "./dom.js";
import { recall, remember } from "./storage.js";

const PRIORITIES = { high: "High", normal: "Normal", low: "Low" };
const KEY = "kinolog.upload.";

/** Two selects in `root`. `offered()` resolves to the server's pipelines, [{name, default}]. */
export class UploadChoice {
  #wished = recall("localStorage", `${KEY}pipeline`);

  constructor({ root, offered }) {
    // Until the server's are known, what was chosen last is taken: it is the likeliest.
    this.pipeline = select(this.#wished ? { "": "Default", [this.#wished]: this.#wished } : { "": "Default" }, this.#wished);
    this.priority = select(PRIORITIES, recall("localStorage", `${KEY}priority`), "normal");
    root.append(field("Pipeline", this.pipeline), field("Priority", this.priority));
    for (const name of ["pipeline", "priority"]) {
      this[name].addEventListener("change", ({ target }) => remember("localStorage", KEY + name, target.value));
    }
    this.#load(offered, 0);
  }

  /** {pipeline, priority} as they are now: a file that waits keeps those that it was added with. */
  fields() {
    return { pipeline: this.pipeline.value, priority: this.priority.value };
  }

  async #load(offered, tries) {
    try {
      this.#show(await offered());
    } catch (error) {
      if (error.status < 500 && error.status !== 429) return; // the server's default is left
      setTimeout(() => this.#load(offered, tries + 1), backoff_ms(tries, Math.random()));
    }
  }

  /** A pipeline that is offered no longer is not chosen, though it is remembered. */
  #show(pipelines) {
    const { value } = this.pipeline;
    const standard = pipelines.find((pipeline) => pipeline.default);
    const names = pipelines.map(({ name }) => name).filter((name) => name !== standard?.name);
    const given = [["", standard ? `${standard.name} (default)` : "Default"], ...names.map((name) => [name, name])];
    this.pipeline.replaceChildren(...given.map(([name, text]) => build("option", { value: name }, text)));
    this.pipeline.value = names.includes(value) ? value : "";
  }
}

function field(text, control) {
  control.id = `upload-${text.toLowerCase()}`;
  return build("div", {}, build("label", { htmlFor: control.id }, text), control);
}

function select(options, chosen, otherwise = "") {
  const control = build("select", {}, Object.entries(options).map(([value, text]) => build("option", { value }, text)));
  control.value = Object.hasOwn(options, chosen) ? chosen : otherwise;
  return control;
}
