// The files of an asset with their sizes, and its renditions.

import { build } from "../dom.js";
import { artifact } from "../posters.js";
import { files } from "../timeline.js";
import { size } from "../words.js";
import { copyButton } from "./copy.js";

const AT_A_TIME = 4;
// A recording of hours has hundreds of pictures: their sizes are not asked for.
const MOST_SIZES = 40;

/** Rows of the table of renditions: pictures first, the largest first. */
export const renditionsOf = ({ transcode }) =>
  [...(transcode?.renditions ?? [])].sort((a, b) => (b.height_px ?? 0) - (a.height_px ?? 0));

export const RENDITION_COLUMNS = [
  { label: "Rendition", cell: ({ name }) => name },
  { label: "Picture", cell: ({ width_px, height_px, fps }) => (width_px ? `${width_px} × ${height_px}${fps ? `, ${Math.round(fps * 100) / 100} fps` : ""}` : "sound only") },
  { label: "Codecs", cell: ({ codecs }) => build("code", {}, codecs) },
  { label: "Average", isNumber: true, cell: ({ average_bps }) => rate(average_bps) },
  { label: "Peak", isNumber: true, cell: ({ peak_bps }) => rate(peak_bps) },
];

const rate = (bps) => (bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`);

/** The files that the steps of an asset published, as of `files` for a job. */
export const filesOf = (outputs) => files({ steps: Object.entries(outputs).map(([name, value]) => ({ name, outputs: value })) });

/** Fills `list` with links to the files, grouped by step, and then with their sizes. */
export async function showFiles(list, outputs, signed) {
  const found = filesOf(outputs);
  const groups = Map.groupBy(found, ({ step }) => step);
  const notes = new Map();
  list.replaceChildren(...[...groups].map(([step, group]) => groupItem(step, group, signed, notes)));
  const queue = found.slice(0, MOST_SIZES);
  const next = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) notes.get(file.key).textContent = await sizeOf(artifact(signed, file.key));
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, next));
}

function groupItem(step, group, signed, notes) {
  const rows = group.map(({ name, key }) => {
    const note = build("span", { className: "file-size" });
    notes.set(key, note);
    const url = artifact(signed, key);
    const link = build("a", { className: "link", href: url, target: "_blank", rel: "noreferrer" }, name);
    return build("li", {}, link, note, copyButton(() => url, `Copy link of ${name}`, "Copy link", "button plain"));
  });
  const heading = build("h4", {}, step);
  const list = build("ul", { className: "files" }, rows);
  return build("li", { className: "file-group" }, heading, rows.length > 6 ? build("details", {}, build("summary", {}, `${rows.length} files`), list) : list);
}

async function sizeOf(url) {
  try {
    const response = await fetch(url, { method: "HEAD" });
    const bytes = Number(response.headers.get("Content-Length"));
    return response.ok && bytes ? size(bytes) : "";
  } catch {
    return ""; // the link is of use without its size
  }
}
