// The overview: jobs by status, what needs attention, queues with their last hour, executors, failures by their code.

import { ACTIONS, jobsText } from "../bulk.js";
import { build, notice, put } from "../dom.js";
import { STATUSES } from "../filter.js";
import { routeHash } from "../route.js";
import { age, duration } from "../words.js";
import { columns } from "./executors.js";
import { Refresher } from "./refresher.js";
import { sparkline } from "./sparkline.js";
import { Table } from "./table.js";
import { warnings } from "./warnings.js";

const NUMBER = new Intl.NumberFormat("en");
// Frames after which the numbers may be others. Progress is none of them.
const COUNTING = new Set(["snapshot", "job", "deleted", "queue", "executor"]);

// Columns of the executors' own view that it alone has.
const LEFT_OUT = new Set(["Lane", "CPUs", "Last report"]);

export function createView(page) {
  const { root, call, me } = page;
  const get = async (path) => (await call("GET", path)).data;
  const problem = build("p", { className: "notice", role: "alert", hidden: true });
  const cards = build("ul", { className: "cards" });
  const attention = build("ul", { className: "attention", ariaLabel: "Needs attention" });
  const queues = build("ul", { className: "queue-cards" });
  const [executors, failures] = [build("div"), build("div")];
  root.append(
    build("header", { className: "view-head" }, build("h2", {}, "Overview")), problem, cards, attention,
    build("h3", {}, "Queues"), queues, build("h3", {}, "Executors"), executors, build("h3", {}, "Failures"), failures,
  );
  const fleet = new Table({ root: executors, caption: "Executors", columns: columns.filter(({ label }) => !LEFT_OUT.has(label)), key: ({ id }) => id, empty: noExecutor() });
  const errors = new Table({
    root: failures, caption: "Failures by error code", columns: failureColumns(me), key: ({ code }) => code,
    act: (action, group) => command(action, group), empty: build("p", {}, "No failed jobs."),
  });

  async function load() {
    const [stats, queueList, executorList, groups, active, history] = await Promise.all([
      get("/v1/stats"), get("/v1/queues"), get("/v1/executors").catch(() => []), get("/v1/jobs/failures"),
      get("/v1/jobs?status=active&sort=updated_at&limit=50"), me.role === "admin" ? get("/v1/stats/steps") : [],
    ]);
    const oldest = await Promise.all(queueList.filter(({ queued }) => queued).map(async ({ name }) => [name, await oldestOf(name)]));
    const now_ms = Date.now();
    replaced(cards, Object.keys(STATUSES).map((status) => statusCard(status, stats.jobs[status])));
    replaced(attention, warnings({ queues: queueList, executors: executorList, active, now_ms }).map(warning));
    replaced(queues, queueList.filter(isUsed).map((queue) => queueCard(queue, Object.fromEntries(oldest)[queue.name], history.find(({ name }) => name === queue.name), now_ms)));
    fleet.draw(executorList);
    errors.draw(groups);
  }

  const oldestOf = async (step) => (await get(`/v1/jobs?${new URLSearchParams({ step: `${step}:queued`, sort: "created_at", limit: 1 })}`))[0];
  const onProblem = (error) => notice(problem, error ? `The overview could not be loaded: ${error.message}` : "");
  const refresher = new Refresher({ fetch: load, onProblem });

  async function command(action, { code, jobs }) {
    const { label, text, yes, no, path, body } = ACTIONS[action];
    if (!(await page.confirm(`${label} ${jobsText(jobs)} that failed with ${code}?`, text, yes, no))) return;
    try {
      await call("POST", `/v1/jobs/${path}`, { ...body, status: "failed", error_code: code });
      await refresher.now();
    } catch (error) {
      notice(problem, `${label}: ${error.message}`);
    }
  }

  return {
    show: () => refresher.start(),
    hide: () => refresher.stop(),
    arrived: ({ type }) => COUNTING.has(type) && refresher.changed(),
  };
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

/** A step that nothing waits for, runs or offers is of no interest. */
const isUsed = ({ queued, waiting, active, delayed, completed, failed, paused, executors }) =>
  Boolean(queued || waiting || active || delayed || completed || failed || paused || executors);

function queueCard(queue, oldest, history, now_ms) {
  const { name, queued, active, slots, delayed, failed } = queue;
  const fact = (label, text, status, isBad) =>
    build("a", { className: "fact", href: routeHash("jobs", null, { step: `${name}:${status}` }), dataset: { bad: String(Boolean(isBad)) } }, build("b", {}, text), ` ${label}`);
  const held = build("span", { className: "badge", dataset: { status: stateOf(queue)[0] } }, stateOf(queue)[1]);
  return build("li", { className: "queue-card" },
    build("div", { className: "queue-head" }, build("h4", {}, name), held),
    build("p", { className: "facts" },
      fact("waiting", NUMBER.format(queued), "queued"),
      fact("active", slots ? `${active}/${slots}` : String(active), "active"),
      delayed ? fact("to retry", NUMBER.format(delayed), "delayed") : "",
      fact("failed", NUMBER.format(failed), "failed", failed)),
    build("p", { className: "quiet-line" }, oldest ? `Oldest job: ${age(oldest.created_at, now_ms)}` : "Nothing waits"),
    history ? chart(history) : "");
}

function stateOf({ paused, reason, executors, queued }) {
  if (paused) return ["paused", "Paused"];
  if (executors === 0) return [queued ? "failed" : "", "No executor"];
  if (reason === "capped") return ["paused", "At its limit"];
  return ["active", "Open"];
}

function chart({ name, completed, failed, hour_p50_s, hour_p95_s }) {
  const sum = completed.reduce((total, count) => total + count, 0);
  const lost = failed.reduce((total, count) => total + count, 0);
  const took = hour_p50_s == null ? "" : `p50 ${duration(hour_p50_s)} · p95 ${duration(hour_p95_s)}`;
  const text = `${NUMBER.format(sum)} in the last hour${lost ? `, ${NUMBER.format(lost)} failed` : ""}`;
  return build("div", { className: "chart" }, sparkline(completed, `${name}: completed per minute, ${text}`), build("p", { className: "quiet-line" }, `${NUMBER.format(sum)} in the last hour`, build("br"), took));
}

const failureColumns = (me) => [
  { label: "Error", cell: ({ code }) => build("a", { href: routeHash("jobs", null, { status: "failed", error_code: code }) }, code) },
  { label: "Jobs", isNumber: true, cell: ({ jobs }) => NUMBER.format(jobs) },
  { label: "Latest message", cell: ({ message, job_id }) => [message, " ", build("a", { className: "in-text", href: routeHash("job", job_id) }, "Show")] },
  ...(me.role === "viewer" ? [] : [{ label: "Actions", isAction: true, cell: ({ code }) => ["retry", "clear"].map((action) =>
    build("button", { type: "button", className: "button", dataset: { action }, ariaLabel: `${ACTIONS[action].label} jobs with ${code}` }, ACTIONS[action].label)) }]),
];

const noExecutor = () => build("p", {}, "No executor has reported within the last minute. Start one: ", build("code", {}, "kinolog executor"), ".");
