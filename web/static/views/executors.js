// The executors: what each can run, and what it runs.

import { build, notice } from "../dom.js";
import { routeHash } from "../route.js";
import { age } from "../words.js";
import { Table } from "./table.js";

const REDRAW_MS = 5_000;
const STATUS = { active: "Active", draining: "Draining", silent: "Silent" };

export function createView({ root, call }) {
  const executors = new Map();
  let timer = 0;
  const problem = build("p", { className: "notice", role: "alert", hidden: true });
  root.append(build("header", { className: "view-head" }, build("h2", {}, "Executors")), problem);
  const table = new Table({ root, caption: "Executors", columns, key: ({ id }) => id, empty: emptyText() });
  const draw = () => table.draw([...executors.values()].sort((a, b) => a.id.localeCompare(b.id)));

  async function load() {
    try {
      const { data } = await call("GET", "/v1/executors");
      executors.clear();
      for (const executor of data) executors.set(executor.id, executor);
      notice(problem, "");
      draw();
    } catch (error) {
      notice(problem, `Executors could not be loaded: ${error.message}`);
    }
  }

  return {
    show() {
      clearInterval(timer);
      timer = setInterval(draw, REDRAW_MS);
      return load();
    },
    hide: () => clearInterval(timer),
    arrived(frame) {
      if (frame.type === "snapshot" && frame.last !== false) load();
      if (frame.type !== "executor") return;
      const { executor } = frame;
      if (executor.status === "gone") executors.delete(executor.id);
      else executors.set(executor.id, executor);
      draw();
    },
  };
}

const columns = [
  { label: "Executor", cell: ({ id }) => build("code", {}, id) },
  { label: "Status", cell: ({ status, outdated, version }) => [statusBadge(status), outdated ? ` version ${version}` : ""] },
  { label: "Lane", cell: ({ lane }) => lane },
  { label: "Slots used", cell: ({ slots, active }) => Object.entries(slots).map(([step, count]) => slot(step, active[step] ?? 0, count)) },
  { label: "Runs", cell: ({ attempts }) => attempts.map(attemptLink) },
  { label: "CPUs", isNumber: true, cell: ({ cpus }) => (cpus ? String(cpus) : "") },
  { label: "Last report", cell: ({ reported_at }) => age(reported_at, Date.now()) },
];

const statusBadge = (status) => build("span", { className: "badge", dataset: { status } }, STATUS[status] ?? status);

const slot = (step, active, count) =>
  build("span", { className: "slot", dataset: { busy: String(active > 0) } }, `${step} ${active}/${count}`);

const attemptLink = ({ job_id, step, attempt }) =>
  build("a", { className: "run", href: routeHash("job", job_id) }, attempt > 1 ? `${step} (try ${attempt})` : step);

const emptyText = () => [
  build("p", { className: "empty-title" }, "No executor has reported within the last minute"),
  build("p", {}, "Jobs wait until one is started: ", build("code", {}, "kinolog executor"), "."),
];
