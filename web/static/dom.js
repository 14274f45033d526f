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

/** Shows a notice; an empty text hides it. */
export function notice(place, text) {
  place.textContent = text;
  place.hidden = !text;
}
