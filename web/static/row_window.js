// Which rows of a long list are in the document: those around the screen. Pure.

/** Most rows in the document. A shorter list is there as a whole, so that the browser's own search finds everything. */
export const MOST_ROWS = 300;
const STEP_ROWS = 50;

/**
 * The rows to show as {start, end} of `count` rows of about `row_px`, whose list is scrolled so that its top is `top_px` below
 * that of the screen. It changes in steps: not every pixel draws rows.
 */
export function rowWindow(count, row_px, top_px) {
  if (count <= MOST_ROWS) return { start: 0, end: count };
  const first = Math.floor(-top_px / row_px) - (MOST_ROWS - STEP_ROWS) / 2;
  const start = Math.min(Math.max(0, Math.floor(first / STEP_ROWS) * STEP_ROWS), count - MOST_ROWS);
  return { start, end: start + MOST_ROWS };
}
