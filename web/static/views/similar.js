// Recordings that are about the same as another one: a search for its words, by meaning.

import { build } from "../dom.js";
import { routeHash } from "../route.js";
import { clock } from "../embed/storyboard.js";

// The longest query of the server, and how many passages are asked for: many may be of the recording itself.
const MOST_CHARS = 400;
const PASSAGES = 50;
const SHOWN = 5;

/** A query from a transcript: whole words of its middle, where a recording is about its subject. */
export function queryOf(segments) {
  const text = segments.map((segment) => segment.text.trim()).join(" ").trim();
  if (text.length <= MOST_CHARS) return text;
  const from = Math.floor((text.length - MOST_CHARS) / 2);
  return text.slice(from, from + MOST_CHARS).replace(/^\S*\s|\s\S*$/g, "");
}

/** The best passage of each other asset, the best first. */
export function othersOf(hits, asset_id) {
  const best = new Map();
  for (const hit of hits) if (hit.asset_id !== asset_id && !best.has(hit.asset_id)) best.set(hit.asset_id, hit);
  return [...best.values()].slice(0, SHOWN);
}

/** Items of recordings like this one, and a note: "" when there are some. */
export async function similarTo(call, asset_id, segments) {
  const q = queryOf(segments);
  if (!q) return { hits: [], note: "Nothing was said in this recording." };
  const { data } = await call("GET", `/v1/search?${new URLSearchParams({ q, mode: "vector", limit: PASSAGES })}`);
  const others = othersOf(data, asset_id);
  return { hits: others.map(item), note: others.length ? "" : "No other recording is about this." };
}

const item = ({ asset_id, filename, start_ms, text }) =>
  build("li", {}, build("a", { href: routeHash("asset", asset_id, { t: start_ms / 1000 }) },
    build("span", { className: "similar-name" }, filename ?? asset_id, build("span", { className: "line-time" }, ` ${clock(start_ms / 1000)}`)),
    build("span", { className: "similar-text" }, text)));
