// How files come to the page: chosen, or dropped anywhere on it.

import { MOST_FILES, droppedFiles } from "./dropped.js";
import { UploadChoice } from "./upload_choice.js";

const $ = (id) => document.getElementById(id);

/** Adds what is chosen or dropped to `uploads`, with the pipeline and the priority that are chosen then. */
export function listenForFiles(uploads, call) {
  const choice = new UploadChoice({ root: $("upload-choice"), offered: async () => (await call("GET", "/v1/pipelines")).data });

  function add({ files, left = 0 }) {
    const surplus = uploads.add(files, choice.fields());
    $("upload-note").textContent = [leftText(left), surplus ? `No room for ${surplus} more: wait until some uploads are done.` : ""].filter(Boolean).join(" ");
  }

  $("picker").addEventListener("change", ({ target }) => {
    add({ files: [...target.files] });
    target.value = ""; // the same file may be chosen again
  });
  listenForDrops(async (transfer) => add(await droppedFiles(transfer)));
}

const leftText = (left) =>
  left ? `${left} ${left === 1 ? "file was" : "files were"} left out: no media, not readable, or beyond ${MOST_FILES} at once.` : "";

function listenForDrops(onDrop) {
  let depth = 0; // dragenter of a child comes before dragleave of its parent
  const mark = (change) => document.body.classList.toggle("dragging", (depth = change) > 0);
  const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  // A browser offers the page's own pictures as files, too.
  addEventListener("dragstart", (event) => event.target.localName === "img" && event.preventDefault());
  addEventListener("dragenter", (event) => hasFiles(event) && mark(depth + 1));
  addEventListener("dragleave", (event) => hasFiles(event) && mark(Math.max(0, depth - 1)));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(0);
    onDrop(event.dataTransfer);
  });
}
