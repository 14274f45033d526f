// The executors: what each can run, and what it runs.

import { build } from "../dom.js";
import { routeHash } from "../route.js";
import { age } from "../words.js";
import { tableView } from "./table_view.js";

// Attempts of one executor that are listed.
const MOST_RUNS = 12;
const STATUS = { active: "Active", draining: "Draining", silent: "Silent" };

export const createView = ({ root, call }) =>
  tableView({
    root, title: "Executors", key: ({ id }) => id, columns, empty: emptyText(),
    fetch: async () => (await call("GET", "/v1/executors")).data,
    arrived: ({ type, executor }, view) => {
      if (type !== "executor") return;
      const others = view.rows.filter(({ id }) => id !== executor.id);
      view.rows = (executor.status === "gone" ? others : [...others, executor]).sort((a, b) => (a.id < b.id ? -1 : 1));
      view.draw();
    },
  });

/** The columns, which the overview has, too. */
export const columns = [
  { label: "Executor", cell: ({ id }) => build("code", {}, id) },
  { label: "Status", cell: ({ status, outdated, version }) => [build("span", { className: "badge", dataset: { status } }, STATUS[status] ?? status), outdated ? ` version ${version}` : ""] },
  { label: "Lane", cell: ({ lane }) => lane },
  { label: "Slots used", cell: ({ slots, active }) => Object.entries(slots).map(([step, count]) => slot(step, active[step] ?? 0, count)) },
  { label: "Runs", cell: runs },
  { label: "CPUs", isNumber: true, cell: ({ cpus }) => (cpus ? String(cpus) : "") },
  { label: "Last report", cell: ({ reported_at }) => age(reported_at, Date.now()) },
];

const slot = (step, active, count) => build("span", { className: "slot", dataset: { busy: String(active > 0) } }, `${step} ${active}/${count}`);

function runs({ attempts }) {
  const others = attempts.length - MOST_RUNS;
  return [...attempts.slice(0, MOST_RUNS).map(attemptLink), others > 0 ? `and ${others} more` : ""];
}

const attemptLink = ({ job_id, step, attempt }) =>
  build("a", { className: "run", href: routeHash("job", job_id) }, attempt > 1 ? `${step} (try ${attempt})` : step);

const emptyText = () => [
  build("p", { className: "empty-title" }, "No executor has reported within the last minute"),
  build("p", {}, "Jobs wait until one is started: ", build("code", {}, "kinolog executor"), "."),
];
