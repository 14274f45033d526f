// <kinolog-jobs>: the newest jobs of a token, live.

import { announcement } from "../words.js";
import { KinologElement, h } from "./base.js";
import { followJobs } from "./follow.js";
import { endOf, jobRow } from "./status.js";

const LIMIT = 10;
const MOST = 100;

/**
 * The element. Attributes: `status`, `pipeline` and `asset` as of `GET /v1/jobs`, `limit` (1 to 100). Events: `complete`
 * and `error` of jobs that end while they are listed, `change` with the list.
 */
export class KinologJobs extends KinologElement {
  static observedAttributes = ["status", "pipeline", "asset", "limit", ...KinologElement.observedAttributes];
  #rows = new Map();
  #list;
  #note;
  #announcer;

  build() {
    this.#list = h("ul", { className: "list", part: "list", ariaLabel: "Jobs" });
    this.#note = h("p", { className: "problem", part: "problem" });
    this.#announcer = h("p", { className: "unseen", role: "status" });
    this.shadowRoot.append(h("div", { className: "card", part: "card" }, this.#list, this.#note), this.#announcer);
  }

  run() {
    let before = null;
    this.#show([]);
    this.#say("", false);
    const query = { status: this.getAttribute("status"), pipeline: this.getAttribute("pipeline"), asset_id: this.getAttribute("asset") };
    const limit = Math.min(MOST, Math.max(1, Number.parseInt(this.getAttribute("limit"), 10) || LIMIT));
    return followJobs(this.feed, { query, limit }, {
      onJobs: (jobs) => {
        this.#show(jobs);
        this.#say(jobs.length ? "" : "No jobs.", false);
        if (before) this.#announce(before, jobs);
        before = new Map(jobs.map((job) => [job.id, job]));
        this.emit("change", jobs);
      },
      onProblem: (problem) => {
        this.#say(problem.message, true);
        this.emit("error", problem);
      },
      onState: (state) => this.#list.classList.toggle("lost", state === "lost"),
    });
  }

  /** Rows are kept and moved only where the order differs: focus and animations of the others stay. */
  #show(jobs) {
    const rows = new Map(jobs.map((job) => [job.id, this.#rows.get(job.id) ?? newRow()]));
    for (const [id, { item }] of this.#rows) if (!rows.has(id)) item.remove();
    jobs.forEach((job, place) => {
      const { item, show } = rows.get(job.id);
      show(job);
      if (this.#list.children[place] !== item) this.#list.insertBefore(item, this.#list.children[place] ?? null);
    });
    this.#rows = rows;
  }

  #announce(before, jobs) {
    for (const job of jobs) {
      const old = before.get(job.id);
      const text = announcement({ before: old, after: job });
      if (text) this.#announcer.textContent = text;
      if (!old || (old.status === job.status && old.run === job.run)) continue;
      if (job.status === "completed") this.emit("complete", job);
      if (job.status === "failed" || job.status === "cancelled") this.emit("error", endOf(job));
    }
  }

  #say(text, isProblem) {
    this.#note.className = isProblem ? "problem" : "note";
    this.#note.textContent = text;
    this.#note.hidden = !text;
  }
}

function newRow() {
  const { node, show } = jobRow();
  return { item: h("li", {}, node), show };
}
