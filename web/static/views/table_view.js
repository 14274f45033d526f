// A view that is one table of what the server lists: fetched when it is shown, again when a frame says so, and now and then.

import { build, notice } from "../dom.js";
import { Refresher } from "./refresher.js";
import { Table } from "./table.js";

/**
 * A view as of registry.js. `fetch()` resolves to the rows; `columns`, `key`, `empty` as of Table; `act(action, row, button)` may
 * throw: the message is shown, and the rows are fetched again after it; `head`: nodes next to the title; `above`: nodes before the
 * table; `frames`: types of live frames after which the rows may be others; `arrived(frame, view)`: further work for a frame.
 */
export function tableView({ root, title, fetch, columns, key, empty, act, head = [], above = [], frames = [], arrived }) {
  const problem = build("p", { className: "notice", role: "alert", hidden: true });
  root.append(build("header", { className: "view-head" }, build("h2", {}, title), head), problem, ...above);
  const table = new Table({ root, caption: title, columns, key, empty, act: run });
  const types = new Set(["snapshot", ...frames]);
  const view = {
    rows: [],
    draw: () => table.draw(view.rows),
    show: () => refresher.start(),
    hide: () => refresher.stop(),
    now: () => refresher.now(),
    problem: (text) => notice(problem, text),
    arrived(frame) {
      if (types.has(frame.type)) refresher.changed();
      arrived?.(frame, view);
    },
  };
  const refresher = new Refresher({
    fetch: async () => {
      view.rows = await fetch();
      view.draw();
    },
    onProblem: (error) => notice(problem, error ? `${title} could not be loaded: ${error.message}` : ""),
  });

  async function run(action, row, button) {
    if (button) button.ariaDisabled = "true";
    try {
      await act(action, row, view);
      await refresher.now();
    } catch (error) {
      notice(problem, error.message);
    } finally {
      if (button) button.ariaDisabled = "false";
    }
  }

  return view;
}

/** A button of a table's row. */
export const action = (name, label, ariaLabel, more = "") =>
  build("button", { type: "button", className: `button ${more}`, dataset: { action: name }, ariaLabel }, label);
