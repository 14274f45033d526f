// A card for each queue: what waits, runs and failed, and its last hour.

import { build } from "../dom.js";
import { routeHash } from "../route.js";
import { age, duration } from "../words.js";
import { sparkline } from "./sparkline.js";

const NUMBER = new Intl.NumberFormat("en");

/**
 * Cards of the queues that matter. `oldest`: the job that waits longest, by queue; `history`: ended steps by minute, for
 * admins; `now_ms` since the epoch.
 */
export const queueCards = (queues, { oldest, history, now_ms }) =>
  queues.filter(isUsed).map((queue) => queueCard(queue, oldest[queue.name], history.find(({ name }) => name === queue.name), now_ms));

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
