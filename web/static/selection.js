// Selected jobs, and the bar with what can be done to all of them.

import { ACTIONS, jobsText, outcomeText, planOf, planOfAll, planText } from "./bulk.js";
import { build, put } from "./dom.js";
import { listed } from "./live.js";

const NUMBER = new Intl.NumberFormat("en");

/**
 * The selection of rows below `list`, with its bar in `root`. `state`: of the list; `counts()`: the number of jobs that match
 * the filter by status, null while unknown; `confirm(heading, text, yes, no)` asks a person.
 */
export class Selection {
  #ids = new Set();
  #isAll = false;
  #last = null;
  // Ids of all rows of the list, also of those that are not in the document.
  #order = [];
  #isBusy = false;
  #isQueued = false;

  constructor({ root, list, state, counts, call, confirm }) {
    Object.assign(this, { list, state, counts, call, confirm });
    const button = (name, label, className = "button") => build("button", { type: "button", className, dataset: { bulk: name } }, label);
    this.count = build("span", { className: "bulk-count" });
    this.every = button("all", "", "button plain");
    this.actions = Object.entries(ACTIONS).map(([name, { label }]) => button(name, label, name === "delete" ? "button danger" : "button"));
    this.none = button("none", "Unselect", "button plain");
    this.bar = build("div", { className: "bulk", role: "group", ariaLabel: "Selected jobs", hidden: true }, this.count, this.every, this.actions, this.none);
    this.progress = build("progress", { max: 1, hidden: true, ariaLabel: "Progress of the command" });
    this.text = build("span", { role: "status" });
    this.close = button("close", "Close", "button plain");
    this.outcome = build("div", { className: "bulk outcome", hidden: true }, this.text, this.progress, this.close);
    root.append(this.bar, this.outcome);
    list.addEventListener("click", (event) => event.target.matches("[data-pick]") && this.#picked(event.target, event.shiftKey));
    root.addEventListener("click", ({ target }) => this.#clicked(target.closest("[data-bulk]")));
  }

  /** Forgets jobs whose rows have gone, so that nothing is done to what is not seen. */
  shown(ids) {
    this.#order = ids;
    const shown = new Set(ids);
    for (const id of this.#ids) if (!shown.has(id)) this.#ids.delete(id);
    if (this.#isAll) for (const id of ids) this.#ids.add(id);
    this.#draw();
  }

  clear() {
    this.#ids.clear();
    this.#isAll = false;
    this.#draw();
  }

  /** Draws the bar again: the jobs or the counts have changed. */
  changed() {
    if (this.bar.hidden || this.#isQueued) return;
    this.#isQueued = true;
    requestAnimationFrame(() => {
      this.#isQueued = false;
      this.#draw();
    });
  }

  #picked(box, isRange) {
    const { id } = box.closest(".job").dataset;
    const from = isRange ? this.#order.indexOf(this.#last) : -1;
    const to = this.#order.indexOf(id);
    const range = from < 0 ? [id] : this.#order.slice(Math.min(from, to), Math.max(from, to) + 1);
    for (const one of range) this.#set(one, box.checked);
    box.closest(".job").dataset.picked = ""; // what the browser has checked is drawn, too
    this.#last = id;
    this.#isAll = false;
    this.#draw();
  }

  #set(id, isPicked) {
    if (isPicked) this.#ids.add(id);
    else this.#ids.delete(id);
  }

  /** Number of selected jobs; in "all" mode of all that match, shown or not. */
  #total() {
    if (!this.#isAll) return this.#ids.size;
    return this.#matching() ?? this.#ids.size;
  }

  #matching() {
    const counts = this.counts();
    const statuses = this.state.filter.status?.split(",") ?? Object.keys(counts ?? {});
    return counts && statuses.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
  }

  #draw() {
    for (const row of this.list.querySelectorAll(".job")) {
      const isPicked = String(this.#ids.has(row.dataset.id));
      if (row.dataset.picked === isPicked) continue;
      row.dataset.picked = isPicked;
      row.querySelector("[data-pick]").checked = isPicked === "true";
    }
    const total = this.#total();
    const matching = this.#matching() ?? 0;
    put(this.bar, "hidden", !total);
    put(this.count, "textContent", `${NUMBER.format(total)} selected`);
    put(this.every, "hidden", this.#isAll || matching <= this.#ids.size);
    put(this.every, "textContent", `Select all ${NUMBER.format(matching)}`);
    for (const button of this.actions) put(button, "ariaDisabled", String(this.#isBusy || !this.#plan(button.dataset.bulk).count));
  }

  #plan(action) {
    if (this.#isAll && this.counts()) return planOfAll(action, this.state.filter, this.counts(), this.#newest_ms());
    return planOf(action, [...this.#ids].map((id) => this.state.jobs.get(id)).filter(Boolean));
  }

  /** A moment after every job that has been seen; by the server's clock where the newest one is in the list. */
  #newest_ms() {
    const [first] = this.state.filter.sort ? [] : listed(this.state);
    return first ? Date.parse(first.created_at) + 1 : Date.now();
  }

  #clicked(button) {
    if (!button || button.ariaDisabled === "true") return;
    const { bulk } = button.dataset;
    if (bulk === "none") this.clear();
    else if (bulk === "close") put(this.outcome, "hidden", true);
    else if (bulk === "all") this.#selectAll();
    else this.#ask(bulk);
  }

  #selectAll() {
    this.#isAll = true;
    this.shown(this.#order);
  }

  async #ask(action) {
    const plan = this.#plan(action);
    const { label, yes, no } = ACTIONS[action];
    if (!(await this.confirm(`${label} ${jobsText(plan.count)}?`, planText(action, plan), yes, no))) return;
    this.#isBusy = true;
    this.#draw();
    await this.#run(action, plan);
    this.#isBusy = false;
    this.clear();
  }

  async #run(action, { count, requests }) {
    let [sent, tried] = [0, 0];
    this.#report(`${ACTIONS[action].label}: ${jobsText(count)}…`, 0);
    try {
      for (const { path, body, count: size } of requests) {
        const { data } = await this.call("POST", path, body);
        sent += data.count;
        tried += size;
        this.#report(`${ACTIONS[action].label}: ${NUMBER.format(tried)} of ${jobsText(count)}…`, tried / count);
      }
      this.#report(outcomeText(action, sent, count), null);
    } catch (error) {
      this.#report(outcomeText(action, sent, count, error), null);
    }
  }

  /** Shows a text, and how much is done: 0-1, null at the end. */
  #report(text, share) {
    put(this.outcome, "hidden", false);
    put(this.text, "textContent", text);
    put(this.progress, "hidden", share === null);
    put(this.close, "hidden", share !== null);
    if (share) put(this.progress, "value", share);
    else this.progress.removeAttribute("value"); // how long the first request takes nobody knows
  }
}
