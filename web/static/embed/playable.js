// The signed URLs of an asset, as soon as it can be played. No DOM.

import { persistently, problemOf } from "./follow.js";

/**
 * Resolves the signed URLs of an asset as soon as it can be played. `onPlayback(playback)` is called once, `onWaiting()`
 * when it is not playable yet, `onProblem` as of `followJob`.
 * @returns {() => void} stop
 */
export function untilPlayable(feed, asset_id, { ttl_s, onPlayback, onWaiting, onProblem }) {
  const stop = new AbortController();
  const { signal } = stop;
  let isBusy = false;
  let isStale = false;
  const line = feed.listen({ onFrame: arrived, onRefused: load });

  function arrived(frame) {
    if (frame.type === "snapshot" || (frame.type === "job" && frame.job.asset_id === asset_id)) load();
  }

  async function load() {
    isStale = isBusy;
    if (isBusy) return;
    isBusy = true;
    try {
      shown(await persistently(() => playback(feed, asset_id, { ttl_s, signal }), { signal, onTrouble: onProblem }));
    } catch (error) {
      if (signal.aborted) return;
      close();
      onProblem(problemOf(error));
    }
    isBusy = false;
    if (isStale && !signal.aborted) load();
  }

  function shown(found) {
    if (signal.aborted) return;
    if (!found.master_url) {
      onWaiting(found);
      return line.want(`asset:${asset_id}`);
    }
    close();
    onPlayback(found);
  }

  function close() {
    stop.abort();
    line.close();
  }

  load();
  return close;
}

/** The signed URLs of an asset, seen from where the service is reached: it may know itself by another name. */
export async function playback(feed, asset_id, { ttl_s, signal } = {}) {
  const target = `/v1/assets/${encodeURIComponent(asset_id)}/playback`;
  const { data } = await feed.kinolog.call("POST", target, { ttl_s }, { signal });
  const local = (url) => url && feed.kinolog.url + url.slice(url.indexOf("/media/s/"));
  const [base_url, master_url, poster_url, storyboard_url] = [data.base_url, data.master_url, data.poster_url, data.storyboard_url].map(local);
  return { ...data, base_url, master_url, poster_url, storyboard_url, captions: data.captions.map(local) };
}
