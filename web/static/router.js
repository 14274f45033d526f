// Shows the view that the URL names: one at a time, loaded when it is first needed.

import { parseRoute } from "./route.js";

/**
 * The router of the page. `views`: the registry; `mount(name)` gives a view's root, an empty and hidden element;
 * `create(module, root)` its {show, hide, arrived}; `onRoute(name, root, top_px)` is called when another view is shown,
 * before its `show`, with the scroll position of its last visit; `onProblem(message)` when a view is unknown or cannot be
 * loaded, with "" when one is shown.
 */
export class Router {
  #loaded = new Map();
  #current = null;
  #turn = 0;
  #tops_px = new Map();

  constructor({ views, mount, create, onRoute, onProblem, window: target = globalThis }) {
    Object.assign(this, { views, mount, create, onRoute, onProblem, window: target });
  }

  /** Adds a view whose module is loaded already. */
  add(name, root, view) {
    this.#loaded.set(name, Promise.resolve({ name, root, view }));
  }

  start() {
    this.window.addEventListener("hashchange", () => this.open());
    return this.open();
  }

  /** Shows the view of the current URL. A view that is still being loaded when the URL changes is not shown. */
  async open() {
    const turn = ++this.#turn;
    const { view: name, id, params } = parseRoute(this.window.location.hash);
    try {
      const next = await this.#load(name);
      if (turn === this.#turn) this.#show(next, params, id);
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  /** Passes a live frame to the current view. */
  arrived(frame) {
    this.#current?.view.arrived?.(frame);
  }

  #load(name) {
    if (!Object.hasOwn(this.views, name)) throw new Error("There is no such page.");
    if (!this.#loaded.has(name)) this.#loaded.set(name, this.#fetch(name));
    return this.#loaded.get(name);
  }

  async #fetch(name) {
    try {
      const module = await this.views[name].load();
      const root = await this.mount(name, this.views[name]);
      return { name, root, view: this.create(module, root) };
    } catch (error) {
      console.error(error);
      this.#loaded.delete(name); // the next visit tries again
      throw new Error("This page could not be loaded. Reload it when the server can be reached.");
    }
  }

  #show(next, params, id) {
    if (next !== this.#current) this.#leave();
    const isOther = next !== this.#current;
    this.#current = next;
    next.root.hidden = false;
    this.onProblem("");
    if (isOther) this.onRoute(next.name, next.root, this.#tops_px.get(next.name) ?? 0);
    next.view.show(params, id);
  }

  #leave() {
    if (!this.#current) return;
    this.#tops_px.set(this.#current.name, this.window.scrollY);
    this.#current.view.hide?.();
    this.#current.root.hidden = true;
    this.#current = null;
  }

  #fail(error) {
    this.#leave();
    this.onProblem(error.message);
  }
}
