// Plays a published asset in the page's dialog: hls.js where media source extensions are, else the browser's own HLS.

const HLS_SCRIPT = "/static/vendor/hls.min.js";
const NATIVE_HLS = "application/vnd.apple.mpegurl";

const dialog = document.getElementById("player");
const video = document.getElementById("video");
const problem = document.getElementById("player-problem");

let loading;
let engine = null;

dialog.addEventListener("close", stop);
dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // the backdrop is the dialog itself
document.getElementById("player-close").addEventListener("click", () => dialog.close());
video.addEventListener("error", () => video.error && say("This browser cannot play the stream."));

/** Opens the player on the signed addresses that `signed` resolves to. */
export async function play(title, signed) {
  stop();
  say("");
  document.getElementById("player-title").textContent = title;
  dialog.showModal();
  const { master_url, poster_url } = await signed;
  if (!dialog.open) return;
  if (!master_url) return say("There is nothing to play yet.");
  if (poster_url) video.poster = poster_url;
  await attach(master_url);
  // A browser that does not start by itself shows its play button: nothing is lost.
  await video.play().catch(() => {});
}

async function attach(url) {
  const Hls = await hls();
  if (Hls?.isSupported()) return attachHls(Hls, url);
  if (!video.canPlayType(NATIVE_HLS)) return say("This browser cannot play HLS.");
  video.src = url;
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
    say(`The stream cannot be played (${details}).`);
  });
  current.loadSource(url);
  current.attachMedia(video);
}

function stop() {
  engine?.destroy();
  engine = null;
  video.pause();
  video.removeAttribute("src");
  video.removeAttribute("poster");
  video.load();
}

function say(text) {
  problem.textContent = text;
}
