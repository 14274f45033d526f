// Where resumable uploads are at the server, by their file: a page that was closed meanwhile goes on where it was.

import { recall, remember } from "./storage.js";

const KEY = "kinolog.uploads";
const MOST = 50;

// Files that this page sends now: two with the same name, size and time may be different ones.
const inUse = new Set();

/** What makes a file, with what was chosen for it, the same one again. */
export const fingerprint = ({ name, size, lastModified }, fields) => JSON.stringify([name, size, lastModified, fields]);

/** The id of the upload that an earlier page began for this file, and did not end; null for none. */
export function placeOf(print) {
  const place = inUse.has(print) ? null : (places().get(print) ?? null);
  inUse.add(print);
  return place;
}

/** Keeps the id of the file's upload; null once it has ended. The oldest ones are forgotten: they expire. */
export function keepPlace(print, place) {
  const kept = places();
  kept.delete(print);
  if (place) kept.set(print, place);
  else inUse.delete(print);
  remember("localStorage", KEY, JSON.stringify([...kept].slice(-MOST)));
}

function places() {
  try {
    return new Map(JSON.parse(recall("localStorage", KEY) || "[]"));
  } catch {
    return new Map(); // somebody else wrote it
  }
}
