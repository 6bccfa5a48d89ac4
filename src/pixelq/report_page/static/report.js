// Draws a report's curves as SVG and reads them off at the pointer or with the arrow keys. It stands in the page after
// charts.js, from which it has count, number and ticks.
{
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 8;
  const DASHES = ["", "6 4", "2 3", "9 3 2 3"];
  const MOST_READ = 9;
  const games = JSON.parse(document.getElementById("curves").textContent);

  const make = (name, attributes = {}, text = null, kind = null) => {
    const node = kind === "html" ? document.createElement(name) : document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text != null) node.textContent = text;
    return node;
  };
  const html = (name, attributes, text) => make(name, attributes, text, "html");
  const colour = (group) => `c${group % COLOURS}`;
  const dashes = (group) => DASHES[Math.floor(group / COLOURS) % DASHES.length];

  /** Index of the last x that is not above `at`; -1: there is none. */
  const before = (x, at) => {
    let low = 0, high = x.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };
  const nearestTo = (x, at) => {
    const i = before(x, at);
    if (i < 0) return 0;
    return i + 1 < x.length && x[i + 1] - at < at - x[i] ? i + 1 : i;
  };

  /** Seconds as the axis has them: a unit of which the longest run has three. */
  const clock = (seconds) => (seconds >= 3 * 3600 ? [3600, "hours"] : seconds >= 180 ? [60, "minutes"] : [1, "seconds"]);

  class Chart {
    constructor(figure, chart, game) {
      this.chart = chart;
      this.game = game;
      this.plot = figure.querySelector(".plot");
      this.at = null;
      this.pointerY = null;
      this.box = html("div", { class: "readout", hidden: "" });
      this.plot.setAttribute("tabindex", "0");
      this.plot.setAttribute("role", "slider");
      this.plot.setAttribute("aria-label", `${game.title}: ${chart.title}`);
      this.plot.setAttribute("aria-valuemin", "0");
      this.plot.setAttribute("aria-valuenow", "0");
      this.plot.setAttribute("aria-valuetext", "the arrow keys read it off");
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerdown", (event) => this.point(event));
      this.plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.leave(); });
      this.plot.addEventListener("blur", () => this.leave());
      this.plot.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.plot);
    }

    /** What is shown now: lines with the x of the chosen axis, in its unit. */
    shown() {
      const byTime = this.game.axis === "time";
      const visible = this.chart.lines.filter((line) => !this.game.hidden.has(line.g));
      const longest = Math.max(0, ...visible.map((line) => line.t?.at(-1) ?? 0));
      const [unit, name] = byTime ? clock(longest) : [1, "agent steps"];
      const lines = visible.filter((line) => !byTime || line.t)
        .map((line) => ({ ...line, x: byTime ? line.t.map((t) => t / unit) : line.x }));
      const steps = byTime ? [] : this.chart.bands.filter((band) => !this.game.hidden.has(band.g));
      return { lines, bands: steps, published: byTime ? [] : this.chart.published, levels: this.chart.levels, name };
    }

    draw() {
      const width = Math.round(this.plot.clientWidth);
      const height = Math.round(this.plot.clientHeight);
      if (width < 40) return;
      this.data = this.shown();
      const { lines, bands, published, levels } = this.data;
      const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" });
      const end = Math.max(0, ...lines.map((line) => line.x.at(-1) ?? 0)) || 1;
      const inside = (x) => x <= end * 1.04;
      const all = [
        ...lines.flatMap((line) => line.y),
        // Not the bands: the interval of two seeds is 13 times as wide as they are apart, and would flatten the curves.
        ...published.flatMap((one) => [...one.y, ...one.low, ...one.high].filter((_, i) => inside(one.x[i % one.x.length]))),
      ].filter((value) => value != null);
      this.plot.setAttribute("aria-valuemax", String(end));
      if (!lines.length || !all.length) {
        svg.append(make("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "tick" }, "no finished game yet"));
        this.plot.replaceChildren(svg, this.box);
        this.scale = null;
        return;
      }
      let low = Math.min(...all), high = Math.max(...all);
      const near = levels.filter((level) => level.y <= high + 1.5 * (high - low) && level.y >= low - (high - low));
      for (const level of near) [low, high] = [Math.min(low, level.y), Math.max(high, level.y)];
      const room = (high - low || Math.abs(high) || 1) * 0.06;
      low = low >= 0 && low - room < 0 ? 0 : low - room;
      high += room;
      const marks = ticks(low, high, Math.max(2, height / 48));
      const left = Math.max(...marks.map((y) => number(y).length)) * 6.6 + 14;
      const area = { left, right: width - 10, top: 8, bottom: height - 34 };
      const px = (x) => area.left + (x / end) * (area.right - area.left);
      const py = (y) => area.bottom - ((y - low) / (high - low)) * (area.bottom - area.top);
      this.scale = { end, px, py, area };

      for (const y of marks) {
        svg.append(make("line", { x1: area.left, x2: area.right, y1: py(y), y2: py(y), class: "grid" }));
        svg.append(make("text", { x: area.left - 8, y: py(y) + 4, "text-anchor": "end", class: "tick" }, number(y)));
      }
      for (const x of ticks(0, end, Math.max(2, (area.right - area.left) / 90))) {
        const anchor = px(x) > area.right - 16 ? "end" : x === 0 ? "start" : "middle";
        svg.append(make("text", { x: px(x), y: area.bottom + 17, "text-anchor": anchor, class: "tick" }, count(x)));
      }
      svg.append(make("text", { x: area.right, y: height - 3, "text-anchor": "end", class: "axis" }, this.data.name));
      svg.append(make("text", { x: area.left, y: height - 3, class: "axis" }, this.chart.unit));

      const clipped = make("svg", {
        x: area.left, y: area.top - 2, width: Math.max(1, area.right - area.left), height: area.bottom - area.top + 4,
        viewBox: `${area.left} ${area.top - 2} ${Math.max(1, area.right - area.left)} ${area.bottom - area.top + 4}`,
      });
      for (const one of published) {
        if (one.x.length === 1) clipped.append(make("circle", { cx: px(one.x[0]), cy: py(one.y[0]), r: 4, class: "published-dot" }));
        clipped.append(make("path", { d: area_path(one, px, py), class: "published-band" }));
        clipped.append(make("path", { d: path(one.x, one.y, px, py), class: "published" }));
      }
      for (const level of near) {
        clipped.append(make("line", { x1: area.left, x2: area.right, y1: py(level.y), y2: py(level.y), class: "published level" }));
      }
      for (const band of bands) clipped.append(make("path", { d: area_path(band, px, py), class: `band ${colour(band.g)}` }));
      const grouped = new Set(lines.filter((line) => line.k === "mean").map((line) => line.g));
      const order = { run: 0, test: 1, mean: 2 };
      for (const line of [...lines].sort((a, b) => order[a.k] - order[b.k])) {
        const kind = line.k === "run" && grouped.has(line.g) ? "thin" : line.k;
        const drawn = { d: path(line.x, line.y, px, py), class: `line ${kind} ${colour(line.g)}` };
        if (dashes(line.g)) drawn["stroke-dasharray"] = dashes(line.g);
        clipped.append(make("path", drawn));
        if (line.k === "test" || line.x.length === 1) {
          line.x.forEach((x, i) => clipped.append(make("circle", { cx: px(x), cy: py(line.y[i]), r: 2.8, class: `dot ${colour(line.g)}` })));
        }
      }
      svg.append(clipped);
      this.marks = make("g");
      svg.append(this.marks);
      this.plot.replaceChildren(svg, this.box);
      if (this.at != null) this.read();
    }

    point(event) {
      if (!this.scale) return;
      const place = this.plot.getBoundingClientRect();
      const { area, end } = this.scale;
      const x = Math.min(Math.max(event.clientX - place.left, area.left), area.right);
      this.at = ((x - area.left) / (area.right - area.left)) * end;
      this.pointerY = event.clientY - place.top;
      this.read();
    }

    key(event) {
      if (!this.scale) return;
      const { end } = this.scale;
      const step = { ArrowLeft: -0.01, ArrowRight: 0.01, PageDown: -0.1, PageUp: 0.1 }[event.key];
      if (event.key === "Escape") { this.leave(); return; }
      if (event.key === "Home") this.at = 0;
      else if (event.key === "End") this.at = end;
      else if (step) this.at = Math.min(end, Math.max(0, (this.at ?? end) + step * end));
      else return;
      event.preventDefault();
      this.pointerY = null;
      this.read();
    }

    leave() {
      this.at = null;
      this.box.hidden = true;
      this.marks?.replaceChildren();
    }

    /** The values at the place, the published ones and means first, then the runs nearest to the pointer. */
    read() {
      const { px, py, area, end } = this.scale;
      const { lines, bands, published, name } = this.data;
      const reach = end * 0.02;
      const rows = [];
      for (const line of lines) {
        const i = line.k === "test" ? nearestTo(line.x, this.at) : before(line.x, this.at);
        if (i < 0 || line.y[i] == null) continue;
        if (line.k === "test" ? Math.abs(line.x[i] - this.at) > reach * 2 : this.at > line.x.at(-1) + reach) continue;
        const band = line.k === "mean" ? bands.find((one) => one.g === line.g) : null;
        const j = band ? before(band.x, this.at) : -1;
        const spread = band && band.low[j] != null ? ` (${number(band.low[j])} to ${number(band.high[j])})` : "";
        const far = this.pointerY == null ? 0 : Math.abs(py(line.y[i]) - this.pointerY);
        rows.push({ text: `${line.n}`, value: `${number(line.y[i])}${spread}`, g: line.g, x: line.x[i], y: line.y[i],
          rank: line.k === "mean" ? -1 : far });
      }
      for (const one of published) {
        const i = nearestTo(one.x, this.at);
        if (one.y[i] == null || this.at > one.x.at(-1) + reach || this.at < one.x[0] - one.x[0] * 0.5) continue;
        const spread = one.low[i] != null ? ` (${number(one.low[i])} to ${number(one.high[i])})` : "";
        rows.push({ text: `published: ${one.n}`, value: `${number(one.y[i])}${spread} at ${count(one.x[i])}`, g: null,
          x: one.x[i], y: one.y[i], rank: -2 });
      }
      rows.sort((a, b) => a.rank - b.rank);
      const kept = rows.slice(0, MOST_READ);
      const where = `${name === "agent steps" ? Math.round(this.at).toLocaleString("en") : number(this.at)} ${name}`;
      const frames = name === "agent steps" && this.game.frame_skip > 1
        ? `${count(this.at * this.game.frame_skip)} frames` : "";

      this.marks.replaceChildren(make("line", { x1: px(this.at), x2: px(this.at), y1: area.top, y2: area.bottom, class: "rule" }));
      for (const row of kept) {
        if (px(row.x) <= area.right + 1) {
          this.marks.append(make("circle", { cx: px(row.x), cy: py(row.y), r: 3.6, class: row.g == null ? "published-dot" : `dot ${colour(row.g)}` }));
        }
      }
      const list = html("ul");
      for (const row of kept) {
        const item = html("li");
        item.append(html("i", { class: row.g == null ? "key grey" : `key ${colour(row.g)}` }), html("span", {}, row.text), html("b", {}, row.value));
        list.append(item);
      }
      if (rows.length > kept.length) list.append(html("li", { class: "more" }, `and ${rows.length - kept.length} more`));
      this.box.replaceChildren(html("div", { class: "where" }, frames ? `${where}, ${frames}` : where), list);
      this.box.hidden = false;
      const wide = this.box.offsetWidth;
      const place = px(this.at) + 14 + wide > this.plot.clientWidth ? px(this.at) - 14 - wide : px(this.at) + 14;
      this.box.style.left = `${Math.max(2, Math.min(place, this.plot.clientWidth - wide - 2))}px`;
      this.plot.setAttribute("aria-valuenow", String(Math.round(this.at)));
      this.plot.setAttribute("aria-valuetext", [where, ...kept.map((row) => `${row.text} ${row.value}`)].join("; "));
    }
  }

  /** A line through the known places; a gap where a value is not known. */
  function path(x, y, px, py) {
    let text = "", pen = false;
    for (let i = 0; i < x.length; i += 1) {
      if (y[i] == null) { pen = false; continue; }
      text += `${pen ? "L" : "M"}${px(x[i]).toFixed(1)} ${py(y[i]).toFixed(1)}`;
      pen = true;
    }
    return text;
  }

  function area_path(band, px, py) {
    const known = band.x.map((_, i) => i).filter((i) => band.low[i] != null && band.high[i] != null);
    if (!known.length) return "";
    const top = known.map((i) => `${px(band.x[i]).toFixed(1)} ${py(band.high[i]).toFixed(1)}`);
    const bottom = known.reverse().map((i) => `${px(band.x[i]).toFixed(1)} ${py(band.low[i]).toFixed(1)}`);
    return `M${top.join("L")}L${bottom.join("L")}Z`;
  }

  for (const section of document.querySelectorAll("section[data-game]")) {
    const game = Object.assign(games[Number(section.dataset.game)], { hidden: new Set(), axis: "steps" });
    const charts = [...section.querySelectorAll("[data-chart]")]
      .map((figure) => new Chart(figure, game.charts[Number(figure.dataset.chart)], game));
    for (const button of section.querySelectorAll("button[data-group]")) {
      button.addEventListener("click", () => {
        const group = Number(button.dataset.group);
        if (!game.hidden.delete(group)) game.hidden.add(group);
        button.setAttribute("aria-pressed", String(!game.hidden.has(group)));
        charts.forEach((chart) => chart.draw());
      });
    }
    for (const radio of section.querySelectorAll("input[type=radio]")) {
      radio.addEventListener("change", () => {
        game.axis = radio.value;
        charts.forEach((chart) => { chart.leave(); chart.draw(); });
      });
    }
    window.addEventListener("beforeprint", () => charts.forEach((chart) => chart.leave()));
  }

  /** A link to a run opens it. */
  const open = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  window.addEventListener("hashchange", open);
  open();

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = "copied";
      } catch {
        button.textContent = "select it and copy by hand";
      }
    });
  }
}
