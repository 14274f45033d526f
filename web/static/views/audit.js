// The audit: who changed what, and what was refused. For admins.

import { build } from "../dom.js";
import { tableView } from "./table_view.js";

export const createView = ({ root, call }) =>
  tableView({
    root, title: "Audit", key: ({ time, action, subject, token_id }) => `${time} ${action} ${subject} ${token_id}`,
    head: [build("p", {}, "The newest entries. ", build("code", {}, "kinolog audit verify"), " checks that none is missing.")],
    fetch: async () => (await call("GET", "/v1/audit?limit=200")).data,
    columns, empty: build("p", {}, "Nothing has been changed or refused so far."),
  });

const columns = [
  { label: "Time", cell: ({ time }) => new Date(time).toLocaleString() },
  { label: "Who", cell: ({ owner, role, token_id }) => [owner ?? token_id ?? "nobody", role ? ` (${role})` : ""].join("") },
  { label: "Action", cell: ({ action }) => action },
  { label: "On", cell: ({ subject }) => subject ?? "" },
  { label: "Result", cell: ({ result, status, code }) => build("span", { className: "badge", dataset: { status: result === "done" ? "" : "failed" } }, [result, code ?? status].filter(Boolean).join(" · ")) },
  { label: "From", cell: ({ remote }) => remote ?? "" },
];
