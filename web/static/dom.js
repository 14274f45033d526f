// The two things that every part of the page does with the document.

/** A copy of the only element in the template with this id. */
export const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

/** Sets a property only where it differs: a thousand unchanged assignments cost a layout. */
export function put(node, property, value) {
  if (node[property] !== value) node[property] = value;
}
