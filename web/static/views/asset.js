// One recording: its player and transcript, what was made of it, its jobs, and others like it.

import { ROOT } from "../connection.js";
import { build, notice } from "../dom.js";
import { define } from "../embed/base.js";
import { KinologPlayer } from "../embed/player.js";
import { artifact } from "../posters.js";
import { routeHash } from "../route.js";
import { age } from "../words.js";
import { RENDITION_COLUMNS, renditionsOf, showFiles } from "./asset_files.js";
import { copyButton } from "./copy.js";
import { similarTo } from "./similar.js";
import { Table } from "./table.js";
import { creditOf, transcriptPanel } from "./transcript.js";

define("kinolog-player", KinologPlayer);

const TOKEN_KEY = "kinolog.token"; // as of app.js
const STATUS = { UPLOADED: "Uploaded", PROCESSING: "In progress", READY: "Ready", FAILED: "Failed", PENDING: "Pending", DOWNLOADING: "Downloading", CACHED: "Cached" };

const JOB_COLUMNS = [
  { label: "Job", cell: ({ id }) => build("a", { href: routeHash("job", id) }, id) },
  { label: "Status", cell: ({ status }) => build("span", { className: "badge", dataset: { status } }, status) },
  { label: "Pipeline", cell: ({ pipeline }) => pipeline },
  { label: "Created", cell: ({ created_at }) => age(created_at, Date.now()) },
];

/** The HTML of a page of another site that shows this asset. */
export const embedCode = (asset_id) =>
  `<script type="module" src="${ROOT}static/elements.js"></script>\n<kinolog-player asset="${asset_id}" token="VIEWER_TOKEN"></kinolog-player>`;

export function createView({ root, call, sign }) {
  const part = (className, heading, ...children) =>
    build("section", { className: `asset-part ${className}`, hidden: true }, build("h3", {}, heading), ...children);
  const title = build("h2");
  const status = build("p", { className: "asset-status" });
  const actions = build("div", { className: "asset-actions" });
  const problem = build("p", { className: "notice", role: "alert", hidden: true });
  const player = build("kinolog-player", { className: "asset-player" });
  const audio = build("audio", { controls: true, preload: "none", crossOrigin: "anonymous" });
  const lines = build("div", { className: "transcript", tabIndex: 0, role: "region", ariaLabel: "Transcript" });
  const credit = build("p", { className: "credit" });
  const similar = build("ul", { className: "similar" });
  const similarNote = build("p", { className: "quiet", role: "status" });
  const fileList = build("ul", { className: "file-groups panel" });
  const renditionRoot = build("div");
  const jobRoot = build("div");
  const words = part("asset-words", "Transcript", credit, lines);
  const parts = {
    words,
    sound: part("asset-sound", "Audio", audio),
    renditions: part("asset-renditions", "Renditions", renditionRoot),
    similar: part("asset-similar", "More like this", similar, similarNote),
    files: part("asset-files", "Files", fileList),
    jobs: part("asset-jobs", "Jobs", jobRoot),
  };
  const renditions = new Table({ root: renditionRoot, caption: "Renditions", columns: RENDITION_COLUMNS, key: ({ name }) => name });
  const jobs = new Table({ root: jobRoot, caption: "Jobs", columns: JOB_COLUMNS, key: ({ id }) => id });
  const stage = build("div", { className: "asset-stage" }, player, words);
  const content = build("div", { hidden: true }, stage, Object.values(parts).filter((one) => one !== words));
  root.append(
    build("a", { className: "back", href: "#" }, "‹ All jobs"),
    build("header", { className: "view-head" }, title, status, actions), problem, content,
  );

  // The id in the URL, and the asset's own: an owner's chosen ids have a longer form.
  let current = null;
  let assetId = null;
  let panel = null;
  let transcriptKey = null;

  async function load() {
    const id = current;
    try {
      const { data } = await call("GET", `/v1/assets/${encodeURIComponent(id)}`);
      if (id === current) await draw(data, () => id === current);
    } catch (error) {
      if (id !== current) return;
      content.hidden = error.status === 404 || content.hidden;
      notice(problem, error.status === 404 ? "There is no such recording, or it is not yours." : `The recording could not be loaded: ${error.message}`);
    }
  }

  async function draw(asset, isCurrent) {
    assetId = asset.id;
    notice(problem, "");
    content.hidden = false;
    title.textContent = asset.filename ?? asset.id;
    status.textContent = [STATUS[asset.status] ?? asset.status, `added ${age(asset.created_at, Date.now())}`].join(" · ");
    drawActions(asset);
    jobs.draw([...asset.jobs].reverse());
    renditions.draw(renditionsOf(asset.outputs));
    parts.jobs.hidden = false;
    parts.renditions.hidden = !renditionsOf(asset.outputs).length;
    player.hidden = !asset.outputs.transcode && !["UPLOADED", "PROCESSING"].includes(asset.status);
    if (!Object.keys(asset.outputs).length) return;
    const signed = await sign(asset.id);
    if (!isCurrent()) return;
    drawSound(asset.outputs.audio, signed);
    parts.files.hidden = false;
    await Promise.all([drawTranscript(asset, signed), showFiles(fileList, asset.outputs, signed)]);
  }

  function drawActions(asset) {
    const playback = async () => (await sign.refresh(asset.id)).master_url;
    actions.replaceChildren(
      ...(asset.master_url ? [copyButton(playback, "Copy playback URL, valid for a day", "Copy playback URL"), copyButton(() => embedCode(asset.id), "Copy embed code", "Copy embed code")] : []),
    );
  }

  function drawSound(outputs, signed) {
    parts.sound.hidden = !outputs?.audio;
    const url = outputs?.audio && artifact(signed, outputs.audio);
    if (url && audio.dataset.key !== outputs.audio) Object.assign(audio, { src: url });
    audio.dataset.key = outputs?.audio ?? "";
  }

  async function drawTranscript(asset, signed) {
    const key = asset.outputs.transcribe?.transcript;
    words.hidden = !key;
    if (!key || key === transcriptKey) return;
    transcriptKey = key;
    try {
      const response = await fetch(artifact(signed, key));
      if (!response.ok) throw new Error(`status ${response.status}`);
      const transcript = await response.json();
      if (key !== transcriptKey) return;
      credit.textContent = creditOf(transcript);
      panel = transcriptPanel(lines, transcript, seek);
      panel.follow(player.currentTime);
      drawSimilar(asset.id, transcript.segments, () => key === transcriptKey);
    } catch (error) {
      transcriptKey = null;
      credit.textContent = `The transcript could not be loaded: ${error.message}`;
    }
  }

  async function drawSimilar(id, segments, isCurrent) {
    parts.similar.hidden = false;
    similarNote.textContent = "Searching…";
    try {
      const { hits, note } = await similarTo(call, id, segments);
      if (!isCurrent()) return;
      similar.replaceChildren(...hits);
      similarNote.textContent = note;
    } catch (error) {
      if (isCurrent()) similarNote.textContent = error.message;
    }
  }

  function seek(at_s) {
    player.currentTime = at_s;
    player.play().catch(() => {});
  }

  player.addEventListener("ready", () => {
    const { video } = player;
    video.ontimeupdate = video.onseeked = () => panel?.follow(video.currentTime);
  });

  function reset(id, at_s) {
    current = id;
    panel = transcriptKey = assetId = null;
    content.hidden = true;
    title.textContent = "";
    status.textContent = "";
    lines.replaceChildren();
    similar.replaceChildren();
    for (const one of Object.values(parts)) one.hidden = true;
    if (at_s) player.setAttribute("start", at_s);
    else player.removeAttribute("start");
    player.token = sessionStorage.getItem(TOKEN_KEY) ?? "";
    player.src = ROOT;
    player.asset = id;
  }

  return {
    show({ t }, id) {
      const at_s = Number(t) || 0;
      if (id === current && at_s) seek(at_s);
      if (id !== current) reset(id, at_s);
      return id ? load() : notice(problem, "There is no such recording.");
    },
    hide() {
      player.removeAttribute("asset"); // frees the stream; the next visit starts again
      audio.pause();
      current = null;
    },
    arrived(frame) {
      if (frame.type === "snapshot" ? frame.last !== false : frame.type === "job" && frame.job.asset_id === assetId) load();
    },
  };
}
