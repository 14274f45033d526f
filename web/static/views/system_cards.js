// For operators: how far control is behind, and how full the disks are.

import { build } from "../dom.js";
import { duration, size } from "../words.js";

const NUMBER = new Intl.NumberFormat("en");
/** A restart of control takes up to 7 s: what waits for longer is no restart. */
export const BEHIND_S = 10;
const LIST = new Intl.ListFormat("en");

/** Cards of what `GET /v1/stats/system` gives. */
export const systemCards = ({ control, disks }) => [controlCard(control), ...disks.map(diskCard)];

/** A disk by what is on it, e.g. "Disk of log, media, and uploads". */
export const diskName = ({ keeps }) => `Disk of ${LIST.format(keeps)}`;

const card = ({ name, text, note, isBad }, ...more) =>
  build("li", { className: "system-card", dataset: { bad: String(Boolean(isBad)) } }, build("h4", {}, name), build("b", {}, text), build("p", { className: "quiet-line" }, note), ...more);

function controlCard({ behind_records, behind_s, troubles }) {
  if (!behind_records) return card({ name: "Control", text: troubles.length ? "Not working" : "Up to date", note: "Every record is applied", isBad: troubles.length });
  const records = `${NUMBER.format(behind_records)} ${behind_records === 1 ? "record" : "records"} behind`;
  return card({ name: "Control", text: records, note: `The oldest has waited for ${duration(behind_s)}`, isBad: troubles.length || behind_s >= BEHIND_S });
}

function diskCard(disk) {
  const { size_bytes, free_bytes, reserve_bytes, below_reserve } = disk;
  const kept = reserve_bytes ? `, ${size(reserve_bytes)} kept free` : "";
  const note = below_reserve ? `of ${size(size_bytes)}: uploads are refused` : `of ${size(size_bytes)}${kept}`;
  const used = build("progress", { max: 100, value: size_bytes ? 100 * (1 - free_bytes / size_bytes) : 0, ariaLabel: `Used part of the ${diskName(disk).toLowerCase()}` });
  return card({ name: diskName(disk), text: `${size(free_bytes)} free`, note, isBad: below_reserve }, used);
}
