// What the browser remembers for the page. It may keep nothing: with cookies blocked, reading `localStorage` throws.

/** What is stored as `name`; "" for nothing. `kind`: "localStorage" (by browser) or "sessionStorage" (by tab). */
export function recall(kind, name) {
  try {
    return globalThis[kind].getItem(name) ?? "";
  } catch {
    return "";
  }
}

/** Stores `value` as `name`, "" removes it. Returns whether it is stored: the browser may refuse, or be full. */
export function remember(kind, name, value) {
  try {
    if (value) globalThis[kind].setItem(name, value);
    else globalThis[kind].removeItem(name);
    return true;
  } catch {
    return false;
  }
}
