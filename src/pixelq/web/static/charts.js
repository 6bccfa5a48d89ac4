// Drawing on canvases: curves with a pointer that reads them off, small bars, distributions. No state of the page.

const NAMES = ["text", "dim", "line", "accent", "warm", "taken", "violet", "teal", "grey", "band", "card", "heat"];

/** The page's colours, as the style sheet has them for dark or light. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** A canvas' context in CSS pixels, sharp on every screen, cleared. */
export function surface(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const box = canvas.getBoundingClientRect();
  const style = getComputedStyle(canvas);
  const width = Math.max(1, Math.round(box.width));
  const height = Math.max(1, Math.round(box.height - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom)));
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  return [context, width, height];
}

/** A count for a person: 1.2M, 340k, 12. */
export function count(value) {
  if (value == null) return "–";
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    const part = value / Math.max(unit === 1e4 ? 1e3 : unit, 1);
    if (Math.abs(value) >= unit) return `${trim(part, Math.abs(part) >= 100 ? 0 : Math.abs(part) >= 10 ? 1 : 2)}${letter}`;
  }
  return `${Math.round(value).toLocaleString("en")}`;
}

/** A number for a person, with about three digits. */
export function number(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return trim(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4);
}

function trim(value, digits = 2) {
  return String(Number(value.toFixed(digits)));
}

/** About `wanted` round numbers from `low` to `high`. */
export function ticks(low, high, wanted) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9) + 0; k * step <= high + step * 1e-9; k += 1) found.push(k * step + 0);
  return found;
}

/**
 * Curves over agent steps. `show` takes
 * { end, lines: [{x, y, colour, name, dots, dash, width, alpha}], band: {x, low, high, mean, label} | null }.
 */
export class CurveChart {
  constructor(canvas, what) {
    this.canvas = canvas;
    this.what = what;
    this.data = null;
    this.pointer = null;
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerdown", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  point(event) {
    this.pointer = event.clientX - this.canvas.getBoundingClientRect().left;
    this.draw();
  }

  show(data) {
    this.data = data;
    this.canvas.setAttribute("aria-label", this.told());
    this.draw();
  }

  /** The newest value of each line, for those who cannot see the picture. */
  told() {
    const parts = this.data.lines.filter((line) => line.y.length && line.name)
      .map((line) => `${line.name} ${number(line.y.at(-1))} at ${count(line.x.at(-1))} agent steps`);
    return parts.length ? `${this.what}: ${parts.join(", ")}` : `${this.what}: nothing yet`;
  }

  draw() {
    if (!this.data) return;
    const [g, width, height] = surface(this.canvas);
    const colours = palette();
    const { lines, band } = this.data;
    const values = lines.flatMap((line) => line.y.filter((y) => y != null));
    const end = Math.max(this.data.end || 0, ...lines.map((line) => line.x.at(-1) || 0)) || 1;
    if (!values.length) {
      g.fillStyle = colours.dim;
      g.textAlign = "center";
      g.fillText("nothing written yet", width / 2, height / 2);
      if (!band) return;
    }
    const shown = band ? band.x.map((x, i) => [x, band.low[i], band.high[i], band.mean[i]]).filter(([x]) => x <= end * 1.1) : [];
    for (const [, low, high] of shown) values.push(low, high);
    if (!values.length) return;
    let low = Math.min(...values), high = Math.max(...values);
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    low = low >= 0 && low - room < 0 ? 0 : low - room;
    high += room;
    const marks = ticks(low, high, Math.max(2, height / 45));
    const left = Math.max(...marks.map((y) => g.measureText(number(y)).width)) + 10;
    const box = { left, right: width - 6, top: 6, bottom: height - 20 };
    const px = (x) => box.left + (x / end) * (box.right - box.left);
    const py = (y) => box.bottom - ((y - low) / (high - low)) * (box.bottom - box.top);

    g.textBaseline = "middle";
    g.lineWidth = 1;
    for (const y of marks) {
      g.strokeStyle = colours.line;
      g.beginPath(); g.moveTo(box.left, Math.round(py(y)) + 0.5); g.lineTo(box.right, Math.round(py(y)) + 0.5); g.stroke();
      g.fillStyle = colours.dim; g.textAlign = "right"; g.fillText(number(y), box.left - 7, py(y));
    }
    g.textBaseline = "alphabetic";
    for (const x of ticks(0, end, Math.max(2, (box.right - box.left) / 90))) {
      g.textAlign = px(x) > box.right - 14 ? "right" : x === 0 ? "left" : "center";
      g.fillStyle = colours.dim; g.fillText(count(x), px(x), height - 4);
    }
    g.save();
    g.beginPath(); g.rect(box.left, 0, box.right - box.left + 2, box.bottom + 1); g.clip();
    if (shown.length) {
      g.fillStyle = colours.band;
      g.beginPath();
      shown.forEach(([x, , top]) => g.lineTo(px(x), py(top)));
      [...shown].reverse().forEach(([x, bottom]) => g.lineTo(px(x), py(bottom)));
      if (shown.length === 1) g.rect(px(shown[0][0]) - 2, py(shown[0][2]), 4, py(shown[0][1]) - py(shown[0][2]));
      g.fill();
      stroke(g, shown.map(([x, , , mean]) => [px(x), py(mean)]), colours.grey, 1.3, [5, 4]);
    }
    for (const line of lines) {
      const places = line.x.map((x, i) => [px(x), line.y[i] == null ? null : py(line.y[i])]).filter(([, y]) => y != null);
      g.globalAlpha = line.alpha ?? 1;
      if (line.dots) dots(g, places, colours[line.colour], line.dots);
      else stroke(g, places, colours[line.colour], line.width ?? 1.6, []);
      g.globalAlpha = 1;
    }
    g.restore();
    if (this.pointer != null) this.read(g, colours, box, end, px, py, shown);
  }

  /** A line at the pointer, and the values there. */
  read(g, colours, box, end, px, py, shown) {
    const at = ((Math.min(Math.max(this.pointer, box.left), box.right) - box.left) / (box.right - box.left)) * end;
    const texts = [[`${count(at)} agent steps`, colours.text]];
    g.strokeStyle = colours.grey;
    g.beginPath(); g.moveTo(px(at), box.top); g.lineTo(px(at), box.bottom); g.stroke();
    for (const line of this.data.lines.filter((one) => one.name && one.x.length)) {
      const i = nearest(line.x, at);
      if (line.y[i] == null || Math.abs(px(line.x[i]) - px(at)) > 30) continue;
      texts.push([`${line.name} ${number(line.y[i])}`, colours[line.colour]]);
      dots(g, [[px(line.x[i]), py(line.y[i])]], colours[line.colour], 3.5);
    }
    if (shown.length) {
      const [x, low, high] = shown[nearest(shown.map(([one]) => one), at)];
      if (Math.abs(px(x) - px(at)) < 60) texts.push([`published ${number(low)} to ${number(high)}`, colours.dim]);
    }
    const wide = Math.max(...texts.map(([text]) => g.measureText(text).width)) + 16;
    const x = px(at) + 10 + wide > box.right ? px(at) - 10 - wide : px(at) + 10;
    g.fillStyle = colours.card; g.strokeStyle = colours.line;
    g.beginPath(); g.roundRect(x, box.top + 4, wide, texts.length * 16 + 10, 7); g.fill(); g.stroke();
    g.textAlign = "left";
    texts.forEach(([text, colour], i) => { g.fillStyle = colour; g.fillText(text, x + 8, box.top + 20 + i * 16); });
  }
}

function nearest(sorted, value) {
  let best = 0;
  for (let i = 1; i < sorted.length; i += 1) if (Math.abs(sorted[i] - value) <= Math.abs(sorted[best] - value)) best = i;
  return best;
}

function stroke(g, places, colour, width, dash) {
  g.strokeStyle = colour; g.lineWidth = width; g.lineJoin = "round"; g.setLineDash(dash);
  g.beginPath();
  places.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
  g.stroke();
  g.setLineDash([]);
  if (places.length === 1) dots(g, places, colour, width + 0.6);
}

function dots(g, places, colour, radius) {
  g.fillStyle = colour;
  for (const [x, y] of places) { g.beginPath(); g.arc(x, y, radius, 0, 7); g.fill(); }
}

/** Bars from the bottom, the newest at the right: [{share 0..1, colour}]. */
export function bars(canvas, values, most) {
  const [g, width, height] = surface(canvas);
  const colours = palette();
  const step = width / most;
  values.slice(-most).forEach(({ share, colour, alpha }, i, all) => {
    const tall = Math.max(1, share * (height - 2));
    g.globalAlpha = alpha ?? 1;
    g.fillStyle = colours[colour];
    g.fillRect(width - (all.length - i) * step, height - tall, Math.max(1, step - 0.8), tall);
  });
  g.globalAlpha = 1;
}

/** The highest Q-value of the last steps as bars on their own scale, coloured by who chose the action. */
export function trace(canvas, values, most) {
  const known = values.filter((one) => one.value != null).slice(-most);
  const [g, width, height] = surface(canvas);
  const colours = palette();
  g.fillStyle = colours.dim; g.textBaseline = "top"; g.textAlign = "left";
  g.fillText(`highest Q-value, last ${most} agent steps`, 0, 0);
  if (!known.length) return;
  const all = known.map((one) => one.value);
  const low = Math.min(...all), high = Math.max(...all);
  const labels = 54, top = 18, step = (width - labels) / most;
  known.forEach(({ value, colour }, i) => {
    const tall = 3 + (high > low ? (value - low) / (high - low) : 0.5) * (height - top - 4);
    g.fillStyle = colours[colour];
    g.globalAlpha = colour === "taken" ? 0.8 : 1;
    g.fillRect(width - labels - (known.length - i) * step, height - tall, Math.max(1, step - 0.7), tall);
  });
  g.globalAlpha = 1;
  g.fillStyle = colours.dim; g.textAlign = "right";
  g.fillText(number(high), width, top - 2);
  g.textBaseline = "bottom"; g.fillText(number(low), width, height);
}

/** One histogram below the other, a mark at each mean; the chosen action stands out. */
export function distributions(canvas, found, names, chosen, colour) {
  const [g, width, height] = surface(canvas);
  const colours = palette();
  const rows = found.probabilities.length, bottom = height - 20, row = bottom / rows;
  const bins = found.probabilities[0].length;
  const x = (i) => (i / (bins - 1 || 1)) * (width - 12) + 6;
  const highest = Math.max(...found.probabilities.flat()) || 1;
  found.probabilities.forEach((shares, action) => {
    const base = (action + 1) * row, tall = row * 0.8;
    g.strokeStyle = colours.line; g.lineWidth = 1;
    g.beginPath(); g.moveTo(0, Math.round(base) + 0.5); g.lineTo(width, Math.round(base) + 0.5); g.stroke();
    g.fillStyle = action === chosen ? colours[colour] : colours.accent;
    g.globalAlpha = action === chosen ? 0.95 : 0.5;
    const wide = Math.max(1, (width - 12) / bins - 0.8);
    let mean = 0;
    shares.forEach((share, i) => {
      mean += share * i;
      const size = (share / highest) * tall;
      if (size > 0.3) g.fillRect(x(i) - wide / 2, base - size, wide, size);
    });
    g.globalAlpha = 1;
    g.strokeStyle = colours.text; g.beginPath(); g.moveTo(x(mean), base - 7); g.lineTo(x(mean), base); g.stroke();
    g.fillStyle = action === chosen ? colours.text : colours.dim;
    g.textAlign = "left"; g.textBaseline = "top";
    g.fillText(names[action] ?? `action ${action}`, 2, base - row + 3);
  });
  g.fillStyle = colours.dim; g.textBaseline = "bottom";
  for (const [i, share] of [[0, 0], [bins - 1, 1]]) {
    g.textAlign = i ? "right" : "left";
    g.fillText(number(found.low + share * (found.high - found.low)), i ? width - 2 : 2, height);
  }
  g.textAlign = "center"; g.fillText("return", width / 2, height);
}

/** A grey map 0..255 as a veil of one colour, the more opaque the higher. */
export function veil(canvas, picture) {
  canvas.width = picture.width;
  canvas.height = picture.height;
  const g = canvas.getContext("2d", { willReadFrequently: true });
  g.drawImage(picture, 0, 0);
  const pixels = g.getImageData(0, 0, canvas.width, canvas.height);
  const [red, green, blue] = palette().heat.split(",").map(Number);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const value = pixels.data[i] / 255;
    pixels.data.set([red, green + (255 - green) * value * value * 0.55, blue, 215 * Math.sqrt(value) * (value > 0.03)], i);
  }
  g.putImageData(pixels, 0, 0);
}

/** The path of a small curve in a box of 100 by 24. */
export function spark(values) {
  const known = values.filter((value) => value != null);
  if (known.length < 2) return "";
  const low = Math.min(...known), high = Math.max(...known);
  const y = (value) => 22 - (high > low ? (value - low) / (high - low) : 0.5) * 20;
  return known.map((value, i) => `${i ? "L" : "M"}${((i / (known.length - 1)) * 100).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}
