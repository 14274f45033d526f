// Buttons that copy a text.

import { build } from "../dom.js";

const SHOWN_MS = 2_000;

/** A button that copies what `text()` returns or resolves to, and says so. */
export function copyButton(text, name, label, className = "button") {
  const button = build("button", { type: "button", className, ariaLabel: name }, label);
  let timer = 0;
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text)) ? "Copied" : "Not copied";
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = label), SHOWN_MS);
  });
  return button;
}

/** Whether the text was copied. Browsers have a clipboard on https and localhost only; elsewhere a selection is copied. */
async function copied(text) {
  try {
    const value = await text();
    if (navigator.clipboard) await navigator.clipboard.writeText(value);
    else return selected(value);
    return true;
  } catch {
    return false;
  }
}

function selected(value) {
  const field = build("textarea", { className: "unseen", value, readOnly: true });
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
