// Styles of the elements, as a constructed sheet: a page's content policy needs no exception for it. Pages change them
// by the custom properties, by ::part(), and by `color-scheme`, which decides between light and dark.

const TEXT = `
:host {
  --ground: var(--kinolog-ground, light-dark(#ffffff, #1b1d20));
  --raised: var(--kinolog-raised, light-dark(#f0eeea, #26292d));
  --line: var(--kinolog-line, light-dark(#e3e0da, #303439));
  --ink: var(--kinolog-ink, light-dark(#1c1b19, #eceae6));
  --soft: var(--kinolog-soft, light-dark(#625f59, #a3a5a9));
  --accent: var(--kinolog-accent, light-dark(#1f57b8, #84b0ff));
  --good: var(--kinolog-good, light-dark(#1d6b3c, #6fce93));
  --bad: var(--kinolog-bad, light-dark(#b3261e, #ff9d93));
  --warn: var(--kinolog-warn, light-dark(#8a5300, #f0bd6a));
  display: block;
  color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
p, ul { margin: 0; padding: 0; }
ul { list-style: none; }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.card { background: var(--ground); border: 1px solid var(--line); border-radius: 12px; padding: 14px 18px; }
.list > li + li { border-top: 1px solid var(--line); margin-top: 12px; padding-top: 12px; }
.head { display: flex; align-items: baseline; justify-content: space-between; gap: 12px; }
.name { font-weight: 600; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.status { flex: none; font-size: 0.9em; color: var(--soft); font-variant-numeric: tabular-nums; }
.job[data-status="completed"] .status { color: var(--good); }
.job[data-status="failed"] .status, .job[data-status="failed"] .note, .problem { color: var(--bad); }
.note { color: var(--soft); font-size: 0.9em; overflow-wrap: anywhere; margin-top: 4px; }
.card > .note:first-child, .list:empty + .note { margin-top: 0; }
.lost .status { color: var(--warn); }
.lost .status::after { content: " · reconnecting"; }
progress { appearance: none; display: block; width: 100%; height: 5px; border: 0; border-radius: 3px; overflow: hidden; background: var(--raised); margin-top: 8px; }
progress::-webkit-progress-bar { background: var(--raised); }
progress::-webkit-progress-value { background: var(--accent); border-radius: 3px; transition: width 400ms ease-out; }
progress::-moz-progress-bar { background: var(--accent); border-radius: 3px; }

.screen { position: relative; background: #000; border-radius: 12px; overflow: hidden; }
.screen video { display: block; width: 100%; aspect-ratio: 16 / 9; max-height: 80vh; background: #000; outline-offset: -3px; }
.screen .poster { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; pointer-events: none; }
.message { position: absolute; inset: auto 0 0 0; padding: 10px 16px; color: #f4f3f0; background: rgb(10 11 13 / 0.82); font-size: 0.95em; }
.message[data-kind="waiting"] { inset: 0; display: grid; place-content: center; text-align: center; background: rgb(10 11 13 / 0.6); }
.strip { position: relative; height: 46px; margin-top: 8px; border-radius: 8px; background: var(--raised); }
.frames { position: absolute; inset: 0; display: flex; overflow: hidden; border-radius: 8px; }
.frame { position: relative; overflow: hidden; flex: none; }
.frame img { position: absolute; inset: 0 auto auto 0; max-width: none; transform-origin: 0 0; }
.played { position: absolute; inset: 0 auto 0 0; border-right: 3px solid var(--accent); background: rgb(10 11 13 / 0.45); border-radius: 8px 0 0 8px; pointer-events: none; }
.strip input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
.strip:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: 2px; }
.preview { position: absolute; bottom: calc(100% + 10px); transform: translateX(-50%); padding: 4px 4px 0; border-radius: 8px; background: #101114; color: #f4f3f0; font-size: 0.8em; text-align: center; font-variant-numeric: tabular-nums; pointer-events: none; z-index: 1; box-shadow: 0 4px 16px rgb(0 0 0 / 0.4); }
.preview .frame { border-radius: 5px; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
`;

let sheet;

/** Applies the styles to a shadow root. */
export function adopt(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(TEXT);
  }
  root.adoptedStyleSheets = [sheet];
}
