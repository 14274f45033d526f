// The files of a drop: those in folders, too.

// What a folder may hold besides media has a type that says so, as far as the browser knows it.
const MEDIA = /^$|^(?:audio|video)\/|^application\/(?:octet-stream|ogg|mxf|x-matroska|mp4)/;
/** Files that one drop adds at most. */
export const MOST_FILES = 1000;

/**
 * The files of a drop as {files, left}; `left`: how many were left out. In a folder that is what is hidden, no media or not
 * readable, and what is beyond MOST_FILES. Call it before the event is over: a drop is emptied then.
 */
export async function droppedFiles({ items, files }) {
  const found = { files: [], left: 0 };
  const given = [...(items ?? [])].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  if (!given.length) given.push(...files);
  for (const item of given) await take(item, found);
  return found;
}

async function take(item, found) {
  if (found.files.length >= MOST_FILES) found.left += 1;
  else if (item instanceof Blob) found.files.push(item);
  else if (item?.isDirectory) await takeFolder(item, found);
  else await takeFile(item, found, () => true);
}

/** `readEntries` gives a hundred at a time at most, and an empty list at the end. */
async function takeFolder(folder, found) {
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve) => reader.readEntries(resolve, () => resolve(null)));
    if (!entries) found.left += 1;
    if (!entries?.length) return;
    for (const entry of entries) {
      if (entry.isDirectory) await take(entry, found);
      else if (found.files.length >= MOST_FILES) found.left += 1;
      else await takeFile(entry, found, isMedia);
    }
  }
}

const isMedia = ({ name, type }) => !name.startsWith(".") && MEDIA.test(type);

async function takeFile(entry, found, isWanted) {
  const file = await new Promise((resolve) => (entry ? entry.file(resolve, () => resolve(null)) : resolve(null)));
  if (file && isWanted(file)) found.files.push(file);
  else found.left += 1;
}
