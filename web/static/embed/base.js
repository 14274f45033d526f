// Base of the elements: attributes, the shared feed, events and the shadow root. An element starts when it is in a page,
// starts again when an attribute changes, and stops when it is removed; a move within the page is neither.

import { feed } from "./feed.js";
import { adopt } from "./style.js";

// A page is rendered on servers, too, where there are no elements.
const Element = globalThis.HTMLElement ?? class {};

/** Root of the service that this module was loaded from. */
const ORIGIN = new URL("../..", import.meta.url).href.replace(/\/$/, "");

/** An element `tag` with properties, `data-` and ARIA ones included, and children. No HTML is parsed. */
export function h(tag, properties = {}, ...children) {
  const { dataset = {}, part, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, dataset);
  if (part) node.setAttribute("part", part);
  node.append(...children);
  return node;
}

/** Common behaviour of the elements; a subclass has `build()` for its shadow root and `run()`, which returns a stop function. */
export class KinologElement extends Element {
  static observedAttributes = ["token", "src"];
  #token;
  #isQueued = false;
  #running = null;
  #stop = () => {};

  connectedCallback() {
    if (!this.shadowRoot) {
      this.#takeEarlyProperties();
      adopt(this.attachShadow({ mode: "open" }));
      this.build();
    }
    this.#update();
  }

  disconnectedCallback() {
    this.#update();
  }

  attributeChangedCallback() {
    this.#update();
  }

  /** The token; as a property it is not written into the document. */
  get token() {
    return this.#token ?? this.getAttribute("token") ?? "";
  }

  set token(value) {
    const before = this.token;
    this.#token = value ?? undefined;
    if (this.token !== before) this.changed();
  }

  /** Root of the service; by default the one that the module was loaded from. */
  get src() {
    return new URL(this.getAttribute("src") || ORIGIN, document.baseURI).href.replace(/\/$/, "");
  }

  set src(value) {
    this.setAttribute("src", value);
  }

  /** The live feed of this token, which all elements of it share. */
  get feed() {
    return feed(this.src, this.token);
  }

  /** Starts again with new properties. */
  changed() {
    this.#running = null;
    this.#update();
  }

  /** Dispatches an event. It does not bubble: the page's own handlers of `error` are about the page. */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Properties that were set before the element was defined. */
  #takeEarlyProperties() {
    for (const name of Object.keys(this)) {
      if (!(name in Object.getPrototypeOf(this))) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
  }

  #update() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    queueMicrotask(() => {
      this.#isQueued = false;
      const next = this.isConnected ? this.constructor.observedAttributes.map((name) => this.getAttribute(name)).join("\n") : null;
      if (next === this.#running) return;
      this.#running = next;
      this.#stop();
      this.#stop = (next !== null && this.run()) || (() => {});
    });
  }
}

/** Defines an element unless the page has it already: two copies of this module may be loaded. */
export function define(name, element) {
  if (globalThis.customElements && !customElements.get(name)) customElements.define(name, element);
}
