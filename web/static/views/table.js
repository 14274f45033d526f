// A table that is redrawn in place: cells that are unchanged keep their nodes, and so the keyboard's focus.

import { build, put } from "../dom.js";

/**
 * A table below `root`. `columns`: [{label, cell(row), isNumber?, isAction?}], where `cell` returns text, a node, or a list of
 * both; `key(row)`: what identifies a row; `act(action, row, button)` is called for clicks on [data-action];
 * `empty`: a sentence (or node) for an empty table.
 */
export class Table {
  #rows = new Map();

  constructor({ root, caption, columns, key, act, empty }) {
    Object.assign(this, { columns, key });
    const heads = columns.map(({ label, isNumber, isAction }) =>
      build("th", { scope: "col", className: isNumber ? "number" : "" }, isAction ? build("span", { className: "unseen" }, label) : label),
    );
    this.body = build("tbody");
    this.table = build("table", { className: "table" }, build("caption", { className: "unseen" }, caption), build("thead", {}, build("tr", {}, heads)), this.body);
    this.scroller = build("div", { className: "panel table-panel" }, this.table);
    this.empty = build("div", { className: "empty", hidden: true }, empty);
    root.append(this.scroller, this.empty);
    this.body.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-action]");
      const row = this.#rows.get(target.closest("tr")?.dataset.key)?.row;
      if (button && row && button.ariaDisabled !== "true") act?.(button.dataset.action, row, button);
    });
  }

  /** Shows these rows, in this order. */
  draw(rows) {
    const keys = new Set(rows.map((row) => String(this.key(row))));
    for (const [key, { node }] of this.#rows) if (!keys.has(key)) (node.remove(), this.#rows.delete(key));
    rows.forEach((row, index) => this.#place(row, index));
    put(this.scroller, "hidden", !rows.length);
    put(this.empty, "hidden", rows.length > 0);
  }

  #place(row, index) {
    const key = String(this.key(row));
    if (!this.#rows.has(key)) this.#rows.set(key, { node: build("tr", { dataset: { key } }) });
    const entry = this.#rows.get(key);
    entry.row = row;
    fill(entry.node, this.columns.map((column) => cellOf(column, row)));
    if (this.body.children[index] !== entry.node) this.body.insertBefore(entry.node, this.body.children[index] ?? null);
  }
}

function cellOf({ label, cell, isNumber }, row) {
  const content = [cell(row)].flat();
  return build("td", { className: isNumber ? "number" : "", dataset: { label } }, content);
}

function fill(node, cells) {
  cells.forEach((cell, index) => {
    const present = node.children[index];
    if (!present) return node.append(cell);
    // What a person has opened stays open.
    present.querySelectorAll("details").forEach(({ open }, place) => Object.assign(cell.querySelectorAll("details")[place] ?? {}, { open }));
    if (!present.isEqualNode(cell)) present.replaceWith(cell);
  });
}
