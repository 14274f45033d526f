// The overview: jobs by status, what needs attention, queues with their last hour, executors, failures by their code.

import { ACTIONS, jobsText } from "../bulk.js";
import { build, notice, put } from "../dom.js";
import { STATUSES } from "../filter.js";
import { routeHash } from "../route.js";
import { columns } from "./executors.js";
import { queueCards } from "./queue_cards.js";
import { Refresher } from "./refresher.js";
import { systemCards } from "./system_cards.js";
import { Table } from "./table.js";
import { warnings } from "./warnings.js";

const NUMBER = new Intl.NumberFormat("en");
// Frames after which the numbers may be others. Progress is none of them.
const COUNTING = new Set(["snapshot", "job", "deleted", "queue", "executor"]);

// Columns of the executors' own view that it alone has.
const LEFT_OUT = new Set(["Lane", "CPUs", "Last report"]);

export function createView(page) {
  const { root, call, me } = page;
  const parts = { problem: build("p", { className: "notice", role: "alert", hidden: true }), ...lists(), ...tables(me, (...given) => command(page, refresher, parts, ...given)) };
  const onProblem = (error) => notice(parts.problem, error ? `The overview could not be loaded: ${error.message}` : "");
  const get = async (path) => (await call("GET", path)).data;
  const refresher = new Refresher({ fetch: async () => draw(parts, await load(get, me)), onProblem });
  root.append(...layout(parts, me));
  return {
    show: () => refresher.start(),
    hide: () => refresher.stop(),
    arrived: ({ type }) => COUNTING.has(type) && refresher.changed(),
  };
}

const lists = () => ({
  cards: build("ul", { className: "cards" }),
  attention: build("ul", { className: "attention", ariaLabel: "Needs attention" }),
  queues: build("ul", { className: "queue-cards" }),
  system: build("ul", { className: "queue-cards" }),
});

function tables(me, act) {
  const [executors, failures] = [build("div"), build("div")];
  const shown = columns.filter(({ label }) => !LEFT_OUT.has(label));
  return {
    executors,
    failures,
    fleet: new Table({ root: executors, caption: "Executors", columns: shown, key: ({ id }) => id, empty: noExecutor() }),
    errors: new Table({
      root: failures, caption: "Failures by error code", columns: failureColumns(me), key: ({ code }) => code, act, empty: build("p", {}, "No failed jobs."),
    }),
  };
}

function layout({ problem, cards, attention, queues, system, executors, failures }, me) {
  const parts = { Queues: queues, Executors: executors, Failures: failures, ...(isOperator(me) ? { System: system } : {}) };
  const headed = Object.entries(parts).flatMap(([heading, part]) => [build("h3", {}, heading), part]);
  return [build("header", { className: "view-head" }, build("h2", {}, "Overview")), problem, cards, attention, ...headed];
}

/** Whether the caller may see what concerns everybody. */
const isOperator = ({ role }) => role === "admin";

/** Everything that the overview shows. `get(path)` resolves to the data of the response. */
async function load(get, me) {
  const forOperators = (path, otherwise) => (isOperator(me) ? get(path) : otherwise);
  const [stats, queues, executors, failures, active, history, system] = await Promise.all([
    get("/v1/stats"), get("/v1/queues"), get("/v1/executors").catch(() => []), get("/v1/jobs/failures"),
    get("/v1/jobs?status=active&sort=updated_at&limit=50"), forOperators("/v1/stats/steps", []), forOperators("/v1/stats/system", null),
  ]);
  const oldestOf = async (step) => (await get(`/v1/jobs?${new URLSearchParams({ step: `${step}:queued`, sort: "created_at", limit: 1 })}`))[0];
  const oldest = await Promise.all(queues.filter(({ queued }) => queued).map(async ({ name }) => [name, await oldestOf(name)]));
  return { stats, queues, executors, failures, active, history, system, oldest: Object.fromEntries(oldest), now_ms: Date.now() };
}

function draw(parts, found) {
  const { stats, queues, executors, failures, system } = found;
  replaced(parts.cards, Object.keys(STATUSES).map((status) => statusCard(status, stats.jobs[status])));
  replaced(parts.attention, warnings(found).map(warning));
  replaced(parts.queues, queueCards(queues, found));
  if (system) replaced(parts.system, systemCards(system));
  parts.fleet.draw(executors);
  parts.errors.draw(failures);
}

/** Retries or clears the failed jobs of a code, once a person has confirmed it. */
async function command({ call, confirm }, refresher, { problem }, action, { code, jobs }) {
  const { label, text, yes, no, path, body } = ACTIONS[action];
  if (!(await confirm(`${label} ${jobsText(jobs)} that failed with ${code}?`, text, yes, no))) return;
  try {
    await call("POST", `/v1/jobs/${path}`, { ...body, status: "failed", error_code: code });
    await refresher.now();
  } catch (error) {
    notice(problem, `${label}: ${error.message}`);
  }
}

/** Replaces the items that differ: what is unchanged keeps its node, and so the keyboard's focus. */
function replaced(list, items) {
  items.forEach((item, index) => {
    const present = list.children[index];
    if (!present) list.append(item);
    else if (!present.isEqualNode(item)) present.replaceWith(item);
  });
  while (list.children.length > items.length) list.lastElementChild.remove();
  put(list, "hidden", !items.length);
}

const statusCard = (status, count) =>
  build("li", {}, build("a", { className: "card", href: routeHash("jobs", null, { status }), dataset: { status, zero: String(!count) } },
    build("b", {}, NUMBER.format(count)), " ", build("span", {}, STATUSES[status])));

const warning = ({ text, view, id, params }) => build("li", {}, build("a", { href: routeHash(view, id, params) }, text));

const failureColumns = (me) => [
  { label: "Error", cell: ({ code }) => build("a", { href: routeHash("jobs", null, { status: "failed", error_code: code }) }, code) },
  { label: "Jobs", isNumber: true, cell: ({ jobs }) => NUMBER.format(jobs) },
  { label: "Latest message", cell: ({ message, job_id }) => [message, " ", build("a", { className: "in-text", href: routeHash("job", job_id) }, "Show")] },
  ...(me.role === "viewer" ? [] : [{ label: "Actions", isAction: true, cell: ({ code }) => ["retry", "clear"].map((action) =>
    build("button", { type: "button", className: "button", dataset: { action }, ariaLabel: `${ACTIONS[action].label} jobs with ${code}` }, ACTIONS[action].label)) }]),
];

const noExecutor = () => build("p", {}, "No executor has reported within the last minute. Start one: ", build("code", {}, "kinolog executor"), ".");
