// What every part of the page does with the document.

const templates = new Map();

/** A copy of the only element in the template with this id. */
export function clone(id) {
  if (!templates.has(id)) templates.set(id, compact(document.getElementById(id).content.firstElementChild));
  return templates.get(id).cloneNode(true);
}

/** `node` without its line breaks: of ten thousand rows they are half of all nodes. */
function compact(node) {
  const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const breaks = [];
  while (texts.nextNode()) if (/^\s*\n\s*$/.test(texts.currentNode.data)) breaks.push(texts.currentNode);
  for (const text of breaks) text.remove();
  return node;
}

/** Sets a property only where it differs: a thousand unchanged assignments cost a layout. */
export function put(node, property, value) {
  if (node[property] !== value) node[property] = value;
}

/** A new element with these properties and children: `build("button", {type: "button"}, "Retry")`. `dataset` is merged. */
export function build(tag, { dataset = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  Object.assign(node.dataset, dataset);
  node.append(...children.flat().filter((child) => child != null && child !== ""));
  return node;
}

/** A new element with this class and text. */
export function element(tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/**
 * Makes the children of `parent` like `nodes`, of which those with a `data-row` may move. What is alike keeps its node, and so
 * the selected text, the keyboard's focus, and what a person has opened.
 */
export function patch(parent, nodes) {
  const rows = new Map([...parent.children].map((child) => [child.dataset.row, child]));
  nodes.forEach((node, index) => {
    const place = parent.childNodes[index] ?? null;
    const present = node.dataset?.row ? rows.get(node.dataset.row) : place;
    const kept = (present && adapted(present, node)) ?? node;
    if (kept !== place) parent.insertBefore(kept, place);
  });
  while (parent.childNodes.length > nodes.length) parent.lastChild.remove();
}

/** `present` with the content of `node`; null when it is of another kind. */
function adapted(present, node) {
  if (present.isEqualNode(node)) return present;
  if (present.nodeName !== node.nodeName) return null;
  if (present.nodeType === Node.TEXT_NODE) return Object.assign(present, { data: node.data });
  const names = new Set([...present.getAttributeNames(), ...node.getAttributeNames()]);
  for (const name of names) if (!BY_OTHERS.has(name) && present.getAttribute(name) !== node.getAttribute(name)) copy(name, present, node);
  put(present.style, "cssText", node.style.cssText);
  patch(present, [...node.childNodes]);
  return present;
}

// A content policy forbids the attribute `style`; `open` is set by a person.
const BY_OTHERS = new Set(["style", "open"]);

function copy(name, present, node) {
  if (node.hasAttribute(name)) present.setAttribute(name, node.getAttribute(name));
  else present.removeAttribute(name);
}

/** Shows a notice; an empty text hides it. */
export function notice(place, text) {
  place.textContent = text;
  place.hidden = !text;
}
