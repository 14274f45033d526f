// Transcript search: passages of all media, each played from its start.

import { clone } from "./dom.js";

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&amp;": "&" };
const LIMIT = 20;

/** Wires the form; `play(hit)` opens the player. */
export function listenForSearch({ form, field, note, list, call, play }) {
  let latest = 0;

  async function search(text) {
    const turn = ++latest;
    list.replaceChildren();
    note.textContent = text ? "Searching…" : "";
    if (!text) return;
    try {
      const found = await call("GET", `/v1/search?${new URLSearchParams({ q: text, limit: LIMIT })}`);
      if (turn === latest) show(found); // else another search was started meanwhile
    } catch (error) {
      if (turn === latest) note.textContent = error.message;
    }
  }

  function show({ data, left_out = [] }) {
    list.replaceChildren(...data.map((hit) => row(hit, play)));
    const reasons = left_out.map((reason) => `Searched by words only: ${reason}.`);
    note.textContent = [data.length ? "" : "No matches.", ...reasons].filter(Boolean).join(" ");
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search(field.value.trim());
  });
  field.addEventListener("input", () => field.value || search(""));
}

function row(hit, play) {
  const item = clone("passage-template");
  const name = hit.filename ?? hit.asset_id;
  item.querySelector(".passage-time").textContent = clock(hit.start_ms);
  item.querySelector(".passage-name").textContent = name;
  item.querySelector(".passage-text").append(...marked(hit.highlight));
  const button = item.querySelector("button");
  button.ariaLabel = `Play ${name} from ${clock(hit.start_ms)}`;
  button.addEventListener("click", () => play(hit));
  return item;
}

/** 83000 -> "1:23", 3683000 -> "1:01:23". */
export function clock(at_ms) {
  const seconds = Math.floor(at_ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
}

/** `highlight` as nodes: text, and <mark> with text. No other markup is interpreted. */
export function marked(highlight) {
  return highlight.split(/<mark>|<\/mark>/).map((text, place) => {
    if (place % 2 === 0) return plain(text);
    const mark = document.createElement("mark");
    mark.textContent = plain(text);
    return mark;
  });
}

const plain = (text) => text.replace(/&(?:lt|gt|quot|#x27|amp);/g, (entity) => ENTITIES[entity]);
