// Plays a published asset in the page's dialog: hls.js where media source extensions are, else the browser's own HLS.

const HLS_SCRIPT = "/static/vendor/hls.min.js";
const NATIVE_HLS = "application/vnd.apple.mpegurl";

const dialog = document.getElementById("player");
const video = document.getElementById("video");
const problem = document.getElementById("player-problem");

let loading;
let engine = null;
let latest = null;
// Start position of the next stream, seconds; 0 once it plays.
let begin_s = 0;

dialog.addEventListener("close", stop);
dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // the backdrop is the dialog itself
document.getElementById("player-close").addEventListener("click", () => dialog.close());
video.addEventListener("loadedmetadata", () => {
  if (begin_s) video.currentTime = begin_s;
  begin_s = 0;
});
video.addEventListener("error", () => video.error && showProblem("This browser cannot play the stream."));

/** Opens the player with the signed URLs that `signed` resolves to, at `at_s` seconds. Shows errors in the player. */
export async function play(title, signed, at_s = 0) {
  stop();
  showProblem("");
  const turn = (latest = {});
  document.getElementById("player-title").textContent = title;
  dialog.showModal();
  try {
    const [urls, Hls] = await Promise.all([signed, hls()]);
    if (turn === latest) start(Hls, urls, at_s); // else it was closed meanwhile, and maybe opened on another one
  } catch (error) {
    if (turn === latest) showProblem(error.message);
  }
}

function start(Hls, { master_url, poster_url }, at_s) {
  if (!master_url) return showProblem("This asset is not playable yet.");
  if (poster_url) video.poster = poster_url;
  begin_s = at_s;
  if (Hls?.isSupported()) attachHls(Hls, master_url);
  else if (video.canPlayType(NATIVE_HLS)) video.src = master_url;
  else return showProblem("This browser cannot play HLS.");
  // A browser that blocks autoplay shows its play button.
  video.play().catch(() => {});
}

/** The global Hls, loaded at first use; undefined when it is not installed. */
function hls() {
  loading ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = HLS_SCRIPT;
    script.onload = script.onerror = () => resolve(window.Hls);
    document.head.append(script);
  });
  return loading;
}

function attachHls(Hls, url) {
  const current = (engine = new Hls({ capLevelToPlayerSize: true }));
  let recovered = false;
  current.on(Hls.Events.ERROR, (_event, { fatal, type, details }) => {
    if (!fatal) return;
    if (type === Hls.ErrorTypes.MEDIA_ERROR && !recovered) {
      recovered = true;
      return current.recoverMediaError();
    }
    showProblem(`The stream could not be played (${details}).`);
  });
  current.loadSource(url);
  current.attachMedia(video);
}

function stop() {
  latest = null;
  begin_s = 0;
  engine?.destroy();
  engine = null;
  video.pause();
  video.removeAttribute("src");
  video.removeAttribute("poster");
  video.load();
}

function showProblem(text) {
  problem.textContent = text;
}
