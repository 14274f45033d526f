// Search of everything that was said: by words, by meaning, or by both.

import { build, notice } from "../dom.js";
import { clock } from "../embed/storyboard.js";
import { routeHash } from "../route.js";
import { marked } from "../search.js";

const LIMIT = 50;
const MODES = { hybrid: "Both", text: "Words", vector: "Meaning" };
const MATCHES = { words: "words", meaning: "meaning" };

export function createView({ root, call }) {
  const field = build("input", { type: "search", name: "q", maxLength: 400, placeholder: "Words, or what it was about", ariaLabel: "Search transcripts" });
  const modes = build("fieldset", { className: "filter" }, build("legend", { className: "unseen" }, "Search by"), Object.entries(MODES).map(modeChoice));
  const form = build("form", { className: "search-form", role: "search" }, field, build("button", { className: "button primary", type: "submit" }, "Search"), modes);
  const note = build("p", { className: "search-note", role: "status" });
  const list = build("ol", { className: "found", ariaLabel: "Passages" });
  const problem = build("p", { className: "notice", role: "alert", hidden: true });
  let turn = null;
  root.append(build("header", { className: "view-head" }, build("h2", {}, "Search")), form, problem, note, list);

  const chosen = () => modes.querySelector(":checked").value;
  function submit() {
    const before = location.hash;
    const [q, mode] = [field.value.trim(), chosen()];
    location.hash = routeHash("search", null, { q, mode: mode === "hybrid" ? "" : mode });
    if (location.hash === before) load(q, mode); // again: something else may have been said meanwhile
  }
  form.addEventListener("submit", (event) => (event.preventDefault(), submit()));
  modes.addEventListener("change", () => field.value.trim() && submit());

  async function load(q, mode) {
    turn?.abort();
    turn = new AbortController();
    const { signal } = turn;
    notice(problem, "");
    list.ariaBusy = String(Boolean(q));
    note.textContent = q ? "Searching…" : "";
    if (!q) return list.replaceChildren();
    try {
      const found = await call("GET", `/v1/search?${new URLSearchParams({ q, mode, limit: LIMIT })}`, undefined, { signal });
      if (!signal.aborted) show(q, found);
    } catch (error) {
      if (signal.aborted) return;
      list.replaceChildren();
      note.textContent = "";
      notice(problem, error.message);
    }
    list.ariaBusy = "false";
  }

  function show(q, { data, mode, left_out = [] }) {
    list.replaceChildren(...data.map(item));
    note.textContent = [countText(q, data, mode), ...left_out.map((reason) => `Searched by words only: ${reason}.`)].join(" ");
  }

  return {
    show({ q = "", mode = "hybrid" }) {
      field.value = q;
      const wanted = Object.hasOwn(MODES, mode) ? mode : "hybrid";
      modes.querySelector(`[value=${wanted}]`).checked = true;
      if (!q) field.focus();
      return load(q.trim(), wanted);
    },
    hide: () => turn?.abort(),
  };
}

const modeChoice = ([value, label]) =>
  build("label", {}, build("input", { type: "radio", name: "search-mode", value, checked: value === "hybrid" }), build("span", {}, label));

/** What was found, in a sentence. */
export function countText(q, hits, mode) {
  const where = { text: "has these words", vector: "is about this", hybrid: "has these words or is about this" }[mode] ?? "matches";
  if (!hits.length) return `Nothing matched “${q}”: no passage ${where}.`;
  const assets = new Set(hits.map(({ asset_id }) => asset_id)).size;
  const passages = hits.length === 1 ? "1 passage" : `${hits.length}${hits.length === LIMIT ? " best" : ""} passages`;
  return `${passages} in ${assets === 1 ? "1 recording" : `${assets} recordings`}`;
}

function item(hit) {
  const name = hit.filename ?? hit.asset_id;
  const badges = (hit.matched_by ?? []).map((match) => build("span", { className: "match", dataset: { match } }, MATCHES[match] ?? match));
  const head = build("span", { className: "found-head" }, build("span", { className: "found-name" }, name), build("span", { className: "line-time" }, clock(hit.start_ms / 1000)), badges);
  const link = build("a", { href: routeHash("asset", hit.asset_id, { t: hit.start_ms / 1000 }) }, head, build("span", { className: "found-text" }, marked(hit.highlight)));
  return build("li", {}, link);
}
