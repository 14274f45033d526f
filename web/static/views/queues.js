// The queues: what waits and runs in each, and pause, resume and limit for admins.

import { build } from "../dom.js";
import { routeHash } from "../route.js";
import { duration } from "../words.js";
import { action, tableView } from "./table_view.js";

const NUMBER = new Intl.NumberFormat("en");

export function createView({ root, call, confirm, me }) {
  const act = {
    pause: async ({ name }) => {
      const text = "Executors take nothing more from it until it is resumed. Steps that run go on.";
      if (await confirm(`Pause the ${name} queue?`, text, "Pause it", "Not now")) await call("POST", `/v1/queues/${name}/pause`);
    },
    resume: ({ name }) => call("POST", `/v1/queues/${name}/resume`),
    limit: async ({ name }) => {
      const field = root.querySelector(`[data-limit="${name}"]`);
      const text = field.value.trim();
      if (!/^\d{0,6}$/.test(text)) throw new Error("The limit is a number of attempts at a time; empty for none.");
      await call("PATCH", `/v1/queues/${name}`, { max_active: text ? Number(text) : null });
    },
  };
  return tableView({
    root, title: "Queues", key: ({ name }) => name, frames: ["queue", "job", "deleted"],
    fetch: async () => (await call("GET", "/v1/queues")).data,
    act: (name, queue) => act[name](queue),
    columns: me.role === "admin" ? [...columns, { label: "Limit", cell: limit }, { label: "Actions", isAction: true, cell: actions }] : [...columns, { label: "Limit", cell: limitText }],
    empty: build("p", {}, "This server has no steps."),
  });
}

const columns = [
  { label: "Step", cell: ({ name }) => build("b", {}, name) },
  { label: "State", cell: state },
  { label: "Waiting", isNumber: true, cell: (queue) => count(queue, "queued") },
  { label: "Active", isNumber: true, cell: (queue) => count(queue, "active") },
  { label: "Slots", isNumber: true, cell: ({ slots }) => (slots === undefined ? "" : String(slots)) },
  { label: "To retry", isNumber: true, cell: (queue) => count(queue, "delayed") },
  { label: "Failed", isNumber: true, cell: (queue) => count(queue, "failed") },
];

function count({ name, ...queue }, status) {
  const number = queue[status];
  if (!number) return "0";
  return build("a", { href: routeHash("jobs", null, { step: `${name}:${status}` }), className: status === "failed" ? "bad" : "" }, NUMBER.format(number));
}

function state({ paused, paused_at, executors, queued, reason }) {
  const badge = (status, text) => build("span", { className: "badge", dataset: { status } }, text);
  if (paused) return badge("paused", paused_at ? `Paused for ${duration((Date.now() - Date.parse(paused_at)) / 1000)}` : "Paused");
  if (executors === 0) return badge(queued ? "failed" : "", "No executor");
  return reason === "capped" ? badge("paused", "At its limit") : badge("active", "Open");
}

const limitText = ({ max_active }) => (max_active === null ? "none" : String(max_active));

// A cell of its own: what a person types stays while the rest of the row changes.
function limit({ name, max_active }) {
  const field = build("input", { type: "text", inputMode: "numeric", className: "limit", defaultValue: max_active ?? "", placeholder: "none", ariaLabel: `Most active attempts of ${name}`, dataset: { limit: name } });
  return build("span", { className: "limit-cell" }, field, action("limit", "Set", `Set the limit of ${name}`));
}

const actions = ({ name, paused }) =>
  paused ? action("resume", "Resume", `Resume ${name}`) : action("pause", "Pause", `Pause ${name}`);
