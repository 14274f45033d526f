// The cache: remote media that was downloaded once, its use, and its clean-up.

import { build } from "../dom.js";
import { routeHash } from "../route.js";
import { age } from "../words.js";
import { tableView } from "./table_view.js";

const NUMBER = new Intl.NumberFormat("en");
const STATUS = { CACHED: "active", FAILED: "failed", DOWNLOADING: "draining", PENDING: "" };

export function createView({ root, call, confirm, me }) {
  const summary = build("p", { role: "status" });
  const button = (label, run) => {
    const node = build("button", { type: "button", className: "button needs-editor" }, label);
    node.addEventListener("click", async () => {
      try {
        await run();
        await view.now();
      } catch (error) {
        view.problem(error.message);
      }
    });
    return node;
  };
  const retry = button("Retry failed downloads", () => call("POST", "/v1/cache-assets/retry-failed"));
  const clean = button("Clean up", async () => {
    const text = "Media that was last used more than 30 days ago is removed; it is downloaded again when somebody asks for it.";
    if (await confirm("Clean up the cache?", text, "Clean up", "Not now")) await call("POST", "/v1/cache-assets/cleanup", { older_than_days: 30 });
  });
  const view = tableView({
    root, title: "Cache", key: ({ id }) => id, head: [summary, ...(me.role === "viewer" ? [] : [retry, clean])], frames: ["job", "deleted"],
    fetch: async () => {
      const [list, stats] = await Promise.all([call("GET", "/v1/cache-assets?limit=200"), call("GET", "/v1/cache-assets/stats")]);
      summary.textContent = summaryText(stats.data, list);
      return list.data;
    },
    columns: [...columns, ...(me.role === "admin" ? [{ label: "Owner", cell: ({ owner }) => owner ?? "" }] : [])],
    empty: [build("p", { className: "empty-title" }, "Nothing is cached"), build("p", {}, "Media given as ", build("code", {}, '{"url": …}'), " to ", build("code", {}, "POST /v1/cache-assets"), " is downloaded once and kept.")],
  });
  return view;
}

function summaryText({ assets, bytes, hits, misses, hit_ratio }, { data, next_cursor }) {
  const total = Object.values(assets).reduce((sum, count) => sum + count, 0);
  const ratio = hit_ratio === null ? "" : ` · ${Math.round(hit_ratio * 100)} % of ${NUMBER.format(hits + misses)} lookups hit`;
  return `${NUMBER.format(total)} ${total === 1 ? "file" : "files"}, ${size(bytes)}${ratio}${next_cursor ? ` · the newest ${data.length} are listed` : ""}`;
}

/** 1536 -> "1.5 kB". */
function size(bytes) {
  const power = Math.min(4, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${value < 10 && power ? value.toFixed(1) : Math.round(value)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

const columns = [
  { label: "Source", cell: ({ id, original, job_id }) => (job_id ? build("a", { href: routeHash("job", job_id) }, original ?? id) : (original ?? id)) },
  { label: "Status", cell: ({ status, reason }) => build("span", { className: "badge", dataset: { status: STATUS[status] ?? "" } }, [status.toLowerCase(), reason].filter(Boolean).join(": ")) },
  { label: "Type", cell: ({ content_type, family }) => content_type ?? family ?? "" },
  { label: "Size", isNumber: true, cell: ({ size_bytes }) => (size_bytes === undefined ? "" : size(size_bytes)) },
  { label: "Added", cell: ({ created_at }) => age(created_at, Date.now()) },
];
