// Pictures of a job's row: its poster, and a storyboard to skim through with the pointer.

import { ROOT } from "./connection.js";
import { output, storyboard } from "./words.js";

// A URL must outlive a long film and a pause: it is valid for a day and reused for half a day.
const TTL_S = 86_400;
const KEEP_MS = (TTL_S / 2) * 1000;
// What has not come after so long is given up, and requested again at the pointer's next movement.
const LONGEST_MS = 10_000;

/**
 * `sign(asset_id)`: the signed URLs {base_url, …} of an asset; cached, and requested once at a time.
 * `sign.refresh(asset_id)`: the current ones: cached URLs may be older than the stream.
 */
export function signer(call) {
  const known = new Map();

  async function request(asset_id) {
    const path = `/v1/assets/${encodeURIComponent(asset_id)}/playback`;
    const { data } = await call("POST", path, { ttl_s: TTL_S }, { signal: AbortSignal.timeout(LONGEST_MS) });
    const [base_url, master_url, poster_url] = [data.base_url, data.master_url, data.poster_url].map(local);
    return { ...data, base_url, master_url, poster_url };
  }

  function refresh(asset_id) {
    const response = request(asset_id);
    known.set(asset_id, { response, until_ms: Date.now() + KEEP_MS });
    response.catch(() => known.delete(asset_id)); // the caller sees the error; the next call requests again
    return response;
  }

  function sign(asset_id) {
    const found = known.get(asset_id);
    return found && found.until_ms > Date.now() ? found.response : refresh(asset_id);
  }

  return Object.assign(sign, { refresh });
}

/** A signed URL as seen from the page, which may be open at another address than the public one. */
const local = (url) => url && ROOT + url.slice(url.indexOf("/media/s/") + 1);

/** Signed URL of the artifact with the store key `assets/<asset_id>/…`; undefined without a key. */
export const artifact = (signed, key) => key && signed.base_url + key.split("/").slice(2).join("/");

/** Shows the job's poster in its row, once there is one. A repeat does nothing until there is a newer one. */
export async function showPoster(row, sign) {
  const key = output(row.job, "poster");
  if (!key || row.posterKey === key) return;
  row.posterKey = key;
  const image = row.poster.querySelector("img");
  image.onload = () => (image.hidden = false);
  try {
    image.src = artifact(await sign(row.job.asset_id), key);
  } catch {
    row.posterKey = undefined; // the row works without a poster, and tries again when it changes
  }
}

/** Shows the frame of the media at the pointer's position, left to right from start to end. */
export async function skim(row, { offsetX }, sign) {
  const key = output(row.job, "storyboard");
  if (!key) return;
  row.cues ??= inTime((signal) => cues(row.job.asset_id, key, sign, signal)).catch(() => {
    row.cues = undefined; // the poster stays, and the next movement tries again
    return [];
  });
  const found = await row.cues;
  const box = row.poster;
  const cue = found[Math.min(found.length - 1, Math.floor((found.length * offsetX) / box.clientWidth))];
  if (cue && box.matches(":hover")) paint(row.skim, cue, box);
}

/** What `load(signal)` resolves to. Rejects when it takes too long, whichever part of it is stuck. */
function inTime(load) {
  const signal = AbortSignal.timeout(LONGEST_MS);
  const late = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  return Promise.race([load(signal), late]);
}

async function cues(asset_id, key, sign, signal) {
  const url = new URL(artifact(await sign(asset_id), key));
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`storyboard: ${response.status}`);
  const listed = storyboard(await response.text());
  if (!listed.length) throw new Error("storyboard: empty"); // it may have been cut off
  const sheets = new Map();
  await Promise.all(
    [...new Set(listed.map(({ image }) => image))].map(async (name) =>
      sheets.set(name, await sheet(new URL(name, url), signal)),
    ),
  );
  return listed.map((cue) => ({ ...cue, sheet: sheets.get(cue.image) }));
}

/**
 * The sheet's picture. Fetched, not an image's own `src`: a browser gives two images of one URL the same request,
 * so what is stuck would hold every later try, too.
 */
async function sheet(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`storyboard: ${response.status}`);
  const src = URL.createObjectURL(await response.blob());
  const image = Object.assign(new Image(), { alt: "" });
  try {
    // Not decode(): it waits for frames, and a page that is still may draw none.
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject, src }));
  } finally {
    URL.revokeObjectURL(src); // what has loaded stays with the image
  }
  return image;
}

function paint(tile, { sheet, x, y, w, h }, box) {
  const scale = Math.min(box.clientWidth / w, box.clientHeight / h);
  const px = (size) => `${size * scale}px`;
  Object.assign(tile.style, { width: px(w), height: px(h) });
  Object.assign(sheet.style, { left: px(-x), top: px(-y), width: px(sheet.naturalWidth), height: px(sheet.naturalHeight) });
  if (sheet.parentNode !== tile) tile.replaceChildren(sheet);
  tile.hidden = false;
}
