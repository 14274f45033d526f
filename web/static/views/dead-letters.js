// Dead letters: records of the log that could not be processed. For admins.

import { build } from "../dom.js";
import { tableView } from "./table_view.js";

export const createView = ({ root, call }) =>
  tableView({
    root, title: "Dead letters", key: ({ topic, partition, offset, found_by, code }) => `${topic}/${partition}/${offset}/${found_by}/${code}`,
    head: [build("p", {}, "Records that could not be processed, the newest first. Fix their sender, then send them again.")],
    fetch: async () => (await call("GET", "/v1/dead-letters?limit=200")).data,
    columns, empty: [build("p", { className: "empty-title" }, "No dead letters"), build("p", {}, "Every record on the log could be processed.")],
  });

const columns = [
  { label: "Time", cell: ({ time }) => new Date(time).toLocaleString() },
  { label: "Record", cell: ({ topic, partition, offset, key }) => [build("code", {}, `${topic}/${partition}/${offset}`), key ? ` ${key}` : ""] },
  { label: "Error", cell: ({ code, message }) => [build("b", { className: "bad" }, code), " ", message] },
  { label: "Found by", cell: ({ found_by }) => found_by },
  { label: "Content", cell: ({ preview }) => build("details", {}, build("summary", {}, "Show"), build("pre", {}, preview)) },
];
