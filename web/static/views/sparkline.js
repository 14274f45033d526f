// A small chart of the last hour: one value per minute, as SVG.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [120, 28];

/** An SVG of bars for `values` (numbers or null, the newest last). `label`: what a screen reader says. */
export function sparkline(values, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", bars(values));
  svg.append(path);
  return svg;
}

/** The path of the bars: the highest value fills the height, and what is not 0 is seen. */
export function bars(values) {
  const most = Math.max(...values.map((value) => value ?? 0), 0);
  const width = WIDTH / values.length;
  return values
    .map((value, index) => {
      if (!value) return "";
      const height = Math.max(1.5, (HEIGHT * value) / most);
      return `M${round(index * width)} ${HEIGHT}v${round(-height)}h${round(width * 0.75)}v${round(height)}z`;
    })
    .join("");
}

const round = (number) => Math.round(number * 100) / 100;
