"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byKey = new Map(data.cells.map((cell) => [cell.key, cell]));

/* Matplotlib's markers as outlines, in a square of 16 around 0. */
const MARKERS = {
  o: "M-6 0A6 6 0 1 0 6 0A6 6 0 1 0-6 0Z",
  s: "M-5.5-5.5H5.5V5.5H-5.5Z",
  "^": "M0-7L6.5 5H-6.5Z",
  v: "M0 7L6.5-5H-6.5Z",
  D: "M0-7.5L7.5 0L0 7.5L-7.5 0Z",
  P: "M-2.5-6.5H2.5V-2.5H6.5V2.5H2.5V6.5H-2.5V2.5H-6.5V-2.5H-2.5Z",
  x: "M-6-4L-4-6L0-2L4-6L6-4L2 0L6 4L4 6L0 2L-4 6L-6 4L-2 0Z",
};
const SVG = "http://www.w3.org/2000/svg";
const SVG_ELEMENTS = new Set(["svg", "circle", "line", "path", "text", "title"]);

/* ---- elements and numbers ---- */
function element(name, attributes = {}, ...children) {
  const node = SVG_ELEMENTS.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function isMissing(value) {
  return value === null || value === undefined;
}

function shown(value, digits, suffix = "") {
  return isMissing(value) ? "" : value.toFixed(digits) + suffix;
}

function withInterval(cell, column, digits, suffix = "") {
  const [low, high] = [cell[`${column}_low`], cell[`${column}_high`]];
  const interval = isMissing(low) ? "" : ` [${shown(low, digits)}, ${shown(high, digits)}]`;
  return isMissing(cell[column]) ? "" : shown(cell[column], digits, suffix) + interval;
}

function line(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
}

/** Where values from `low` to `high` lie between `start` and `end`. */
function scale(low, high, start, end) {
  return (value) => start + ((value - low) / (high - low || 1)) * (end - start);
}

/** The same for values of any size, which lie at the ends at most. */
function clamped([low, high], start, end) {
  const within = scale(low, high, start, end);
  return (value) => within(Math.min(Math.max(value, low), high));
}

function ticks(low, high) {
  const raw = (high - low) / 6 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + 1e-9; x += step) found.push(Number(x.toPrecision(12)));
  return found;
}

/** 0.00001, not 1e-5. */
function decimal(value) {
  return Math.abs(value) < 1e-4 && value !== 0 ? value.toFixed(12).replace(/0+$/, "") : String(value);
}

/* ---- the plot ---- */
const workload = document.getElementById("workload");
const speed = document.getElementById("speed");
const metric = document.getElementById("metric");
const FRAME = { width: 900, height: 460, left: 70, right: 880, top: 15, bottom: 410 };

function fillSelects() {
  for (const [key, title] of Object.entries(data.workloads)) workload.append(element("option", { value: key }, title));
  for (const [key, title] of Object.entries(data.speeds)) speed.append(element("option", { value: key }, title));
  for (const m of data.metrics) metric.append(element("option", { value: m.column }, m.label));
}

function drawPlot() {
  const place = document.getElementById("plot");
  const legend = document.getElementById("legend");
  place.replaceChildren();
  legend.replaceChildren();
  const chosen = data.metrics.find((m) => m.column === metric.value);
  const cells = chosen ? plottedCells(chosen) : [];
  if (!cells.length) {
    place.append(element("p", {}, "No setting of this workload has both figures."));
    return;
  }
  const plot = { chosen, cells, ...plotScales(chosen, cells), svg: emptyPlot(chosen) };
  plot.at = (cell) => [plot.x(cell[speed.value]), plot.y(valueOf(chosen, cell))];
  plot.svg.append(...gridOf(plot));
  drawFront(plot, legend);
  for (const name of new Set(cells.map((cell) => cell.series))) drawSeries(plot, name, legend);
  for (const cell of cells) drawPoint(plot, cell);
  place.append(plot.svg);
}

function plottedCells(chosen) {
  return data.cells.filter((cell) => {
    const drawn = cell.status === "ok" && cell.key !== cell.reference && cell.reference === workload.value;
    return drawn && !isMissing(valueOf(chosen, cell)) && !isMissing(cell[speed.value]);
  });
}

/** Where all images are full compute's, PSNR is infinite, which JSON cannot say. */
function valueOf(chosen, cell) {
  return chosen.name === "psnr" && cell.n_identical === cell.n_samples ? Infinity : cell[chosen.column];
}

function plotScales(chosen, cells) {
  const always = speed.value === "computed_steps" ? [] : [1];
  const xRange = padded([...cells.map((cell) => cell[speed.value]), ...always]);
  const yRange = padded(cells.map((cell) => heightOf(chosen, valueOf(chosen, cell))));
  const x = clamped(xRange, FRAME.left, FRAME.right);
  const height = clamped(yRange, FRAME.bottom, FRAME.top);
  return { xRange, yRange, x, y: (value) => height(heightOf(chosen, value)) };
}

/** A value on the upright axis; of most metrics the logarithm of its distance to identical images, as in pareto.png. */
function heightOf({ best, higher_is_better: higher }, value) {
  if (best === null) return value;
  const sign = higher ? -1 : 1;
  const distance = sign * (value - best);
  return distance > 1e-9 ? sign * Math.log10(distance) : -sign * Infinity;
}

function valueTicks({ best, higher_is_better: higher }, [low, high]) {
  if (best === null) return ticks(low, high);
  const sign = higher ? -1 : 1;
  const [least, most] = higher ? [-high, -low] : [low, high];
  const powers = Array.from({ length: Math.ceil(most) - Math.floor(least) + 1 }, (_, i) => Math.floor(least) + i);
  const within = (distance) => Math.log10(distance) >= least && Math.log10(distance) <= most;
  const roundOf = (digits) => powers.flatMap((power) => digits.map((digit) => Number(`${digit}e${power}`))).filter(within);
  const choices = [[1, 2, 5], [1, 3], [1]].map(roundOf);
  return (choices.find((choice) => choice.length <= 8) ?? choices.at(-1)).map((distance) => Number((best + sign * distance).toFixed(12)));
}

function padded(values) {
  const finite = values.filter(Number.isFinite);
  const [low, high] = finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
  const pad = (high - low || 1) * 0.07;
  return [low - pad, high + pad];
}

function emptyPlot(chosen) {
  const { width, height, left } = FRAME;
  const speedTitle = speed.selectedOptions[0].text;
  const xTitle = speedTitle + (speed.value === "computed_steps" ? "" : " (x)");
  const yTitle = `${chosen.label}, ${chosen.higher_is_better ? "higher" : "lower"} is better`;
  const turned = `translate(16 ${height / 2}) rotate(-90)`;
  return element(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${speedTitle} against ${chosen.label}` },
    element("text", { x: (left + width) / 2, y: height - 10, "text-anchor": "middle" }, xTitle),
    element("text", { transform: turned, "text-anchor": "middle" }, yTitle),
  );
}

function gridOf({ chosen, x, y, xRange, yRange }) {
  const { left, right, top, bottom } = FRAME;
  const upright = ticks(...xRange).flatMap((tick) => [
    element("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: bottom }),
    element("text", { x: x(tick), y: bottom + 18, "text-anchor": "middle" }, String(tick)),
  ]);
  const level = valueTicks(chosen, yRange).flatMap((tick) => [
    element("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
    element("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, decimal(tick)),
  ]);
  return [...upright, ...level];
}

/** Between two points of a front nothing was measured: what is as fast there as can be had is the faster one. */
function staircase(points) {
  return points.flatMap(([x, y], i) => (i ? [[points[i - 1][0], y], [x, y]] : [[x, y]]));
}

function bySpeed(cells) {
  return [...cells].sort((a, b) => a[speed.value] - b[speed.value]);
}

function drawFront({ chosen, cells, at, svg }, legend) {
  const column = data.fronts[speed.value];
  const front = cells.filter((cell) => (cell[column] || "").split(";").includes(chosen.name));
  if (front.length < 2) return;
  svg.append(element("path", { class: "front", d: line(staircase(bySpeed(front).map(at))) }));
  legend.append(legendEntry("Pareto front", { class: "front", d: "M-8 0H8" }));
}

function drawSeries({ cells, at, svg }, name, legend) {
  const { colour, marker, dashed } = data.looks[name];
  const own = cells.filter((cell) => cell.series === name); // by parameter, as in the table
  const dashes = dashed ? "5 4" : "none";
  svg.append(element("path", { d: line(own.map(at)), fill: "none", stroke: colour, "stroke-dasharray": dashes }));
  legend.append(legendEntry(name, { d: MARKERS[marker], fill: colour }));
}

function legendEntry(name, mark) {
  const picture = element("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, element("path", mark));
  return element("li", {}, picture, name);
}

function intervalOf(cell, column, toPixels) {
  const [low, high] = [cell[`${column}_low`], cell[`${column}_high`]];
  return isMissing(low) ? null : [toPixels(low), toPixels(high)];
}

function drawPoint({ chosen, at, x, y, svg }, cell) {
  const { colour, marker } = data.looks[cell.series];
  const bar = { stroke: colour, opacity: 0.4 };
  const [px, py] = at(cell);
  const upright = intervalOf(cell, chosen.column, y);
  if (upright) svg.append(element("line", { x1: px, x2: px, y1: upright[0], y2: upright[1], ...bar }));
  const level = intervalOf(cell, speed.value, x);
  if (level) svg.append(element("line", { x1: level[0], x2: level[1], y1: py, y2: py, ...bar }));
  const label = pointLabel(chosen, cell);
  const open = () => openCell(cell.key);
  const attributes = {
    class: "point",
    d: MARKERS[marker],
    transform: `translate(${px} ${py})`,
    fill: colour,
    stroke: "var(--paper)",
    tabindex: 0,
    role: "button",
    "aria-label": label,
    onclick: open,
    onkeydown: onKeys(["Enter", " "], open),
  };
  svg.append(element("path", attributes, element("title", {}, label)));
}

function pointLabel(chosen, cell) {
  const times = cell[speed.value];
  const fast = speed.value === "computed_steps" ? `${shown(times, 1)} computed steps` : shown(times, 2, "x");
  const value = valueOf(chosen, cell);
  const good = value === Infinity ? "identical images" : `${chosen.label} ${shown(value, chosen.digits)}`;
  return `${cell.name}: ${fast}, ${good}`;
}

function onKeys(keys, act) {
  return (event) => {
    if (!keys.includes(event.key)) return;
    event.preventDefault();
    act();
  };
}

/* ---- the table ---- */
const workloadParts = Object.values(data.workloads).map((title) => title.split(", "));
const columns = [
  { title: "Workload", of: (cell) => ownParts(cell.workload) },
  { title: "Setting", of: (cell) => cell.name },
  { title: "Status", of: (cell) => (cell.status === "ok" ? "" : cell.status) },
  { title: "Computed", of: (cell) => cell.computed_steps, digits: 1 },
  { title: "Speed-up", of: (cell) => cell.speedup, digits: 2 },
  ...data.metrics.map((m) => ({ title: m.label, of: (cell) => cell[m.column], digits: m.digits })),
  { title: "Front", of: (cell) => cell.front },
  { title: "Latency (s)", of: (cell) => cell.latency_s, digits: 3 },
  { title: "TFLOP", of: (cell) => cell.tflop, digits: tflopDigits() },
  { title: "FLOPs speed-up", of: (cell) => cell.flops_speedup, digits: 2 },
  { title: "Published", of: (cell) => cell.published.map((p) => `${p.figure} ${p.published}`).join(", ") },
  { title: "Note", of: (cell) => cell.says },
].filter((column) => data.cells.some((cell) => !isMissing(column.of(cell)) && column.of(cell) !== ""));
let order = { column: null, down: false };

function drawTable() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const holds = (cell, word) => columns.some((column) => String(column.of(cell) ?? "").toLowerCase().includes(word));
  const rows = data.cells.filter((cell) => words.every((word) => holds(cell, word)));
  if (order.column) rows.sort(inOrder);
  document.querySelector("#cells thead").replaceChildren(element("tr", {}, ...columns.map(heading)));
  document.querySelector("#cells tbody").replaceChildren(...rows.map(tableRow));
  document.getElementById("count").textContent = `${rows.length} of ${data.cells.length}`;
}

/** What tells a workload from the others; nothing where there is just one. */
function ownParts(title) {
  const shared = (part) => workloadParts.every((parts) => parts.includes(part));
  return title.split(", ").filter((part) => !shared(part)).join(", ");
}

/** Two decimals, as the papers write it, and of small models so many that the least has three digits. */
function tflopDigits() {
  const least = Math.min(...data.cells.map((cell) => cell.tflop).filter(Boolean));
  return least < 1 ? 2 - Math.floor(Math.log10(least)) : 2;
}

/** What is missing comes last, in either direction. */
function inOrder(a, b) {
  const [x, y] = [order.column.of(a), order.column.of(b)];
  if (isMissing(x) || isMissing(y)) return isMissing(x) - isMissing(y);
  const sign = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
  return order.down ? -sign : sign;
}

function heading(column) {
  const chosen = order.column === column;
  const arrow = chosen ? (order.down ? " ▼" : " ▲") : "";
  const sort = () => {
    order = { column, down: chosen && !order.down };
    drawTable();
  };
  return element(
    "th",
    { ...classOf(column), "aria-sort": chosen ? (order.down ? "descending" : "ascending") : "none" },
    element("button", { type: "button", onclick: sort }, column.title + arrow),
  );
}

function classOf(column, value) {
  if (column.digits !== undefined) return { class: "number" };
  return value === "failed" ? { class: "failed" } : {};
}

function tableRow(cell) {
  const open = () => openCell(cell.key);
  const entries = columns.map((column) => {
    const value = column.of(cell);
    const text = column.digits === undefined ? String(value ?? "") : shown(value, column.digits);
    return element("td", classOf(column, value), text);
  });
  const attributes = { tabindex: 0, "data-key": cell.key, onclick: open, onkeydown: onKeys(["Enter"], open) };
  return element("tr", attributes, ...entries);
}

/* ---- one cell ---- */
/** Its address is the page's with #KEY. */
function openCell(key) {
  if (location.hash === `#${key}`) showCell(key);
  else location.hash = key; // and `hashchange` shows it
}

function openLinked() {
  const key = location.hash.slice(1);
  if (byKey.has(key)) showCell(key);
}

function showCell(key) {
  const cell = byKey.get(key);
  document.getElementById("cell-title").textContent = cell.name;
  const parts = [element("p", {}, `${cell.workload}. ${cell.says}`)];
  if (cell.status === "ok") {
    parts.push(figuresOf(cell), ...stepsOf(cell), ...publishedOf(cell), ...reasonsOf(cell));
    parts.push(...imagesOf(cell), ...codeOf(cell));
  }
  document.getElementById("cell-body").replaceChildren(...parts);
  for (const row of document.querySelectorAll("#cells tbody tr")) {
    row.classList.toggle("chosen", row.dataset.key === key);
  }
  const section = document.getElementById("cell");
  section.focus({ preventScroll: true });
  section.scrollIntoView({ behavior: "smooth" });
}

function figuresOf(cell) {
  const figures = [
    ["Speed-up", withInterval(cell, "speedup", 2, "x")],
    ["Denoising speed-up", shown(cell.denoise_speedup, 2, "x")],
    ["FLOPs speed-up", shown(cell.flops_speedup, 2, "x")],
    ["Latency", shown(cell.latency_s, 4, " s")],
    ...data.metrics.map((m) => [m.label, withInterval(cell, m.column, m.digits)]),
  ].filter(([, text]) => text);
  const rows = figures.map(([title, text]) => element("tr", {}, element("th", {}, title), element("td", {}, text)));
  return element("table", {}, element("tbody", {}, ...rows));
}

function stepsOf(cell) {
  const strips = [...new Set(cell.schedules)].map((schedule) => {
    const computed = [...schedule].filter((letter) => letter === "C").length;
    return element("p", {}, strip(schedule), ` ${computed} of ${schedule.length} computed`);
  });
  const title = "Error of the latents after every step, relative to full compute (first batch)";
  const errors = cell.errors.some((error) => error > 0) ? [element("h3", {}, title), errorPlot(cell)] : [];
  return [element("h3", {}, "Steps"), ...strips, ...errors];
}

function strip(schedule) {
  const letters = [...schedule].map((letter) => element("i", letter === "C" ? { class: "c" } : {}));
  return element("span", { class: "strip", role: "img", "aria-label": schedule }, ...letters);
}

function errorPlot(cell) {
  const [width, height, left, top, bottom] = [640, 200, 60, 8, 166];
  const count = cell.errors.length;
  const points = cell.errors.map((error, step) => [step, Math.log10(error)]).filter(([, log]) => Number.isFinite(log));
  const low = Math.floor(Math.min(...points.map(([, log]) => log)));
  const high = Math.max(low + 1, Math.ceil(Math.max(...points.map(([, log]) => log))));
  const x = scale(-0.5, count - 0.5, left, width);
  const y = scale(low, high, bottom, top);
  const [largest, last] = [Math.max(...cell.errors), cell.errors[count - 1]].map((error) => error.toPrecision(2));
  const svg = element("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `largest ${largest}, at the end ${last}`,
  });
  for (let log = low; log <= high; log++) {
    svg.append(
      element("line", { class: "grid", x1: left, x2: width, y1: y(log), y2: y(log) }),
      element("text", { x: left - 6, y: y(log) + 4, "text-anchor": "end" }, `1e${log}`),
    );
  }
  svg.append(element("path", { class: "errors", d: line(points.map(([step, log]) => [x(step), y(log)])) }));
  const half = 0.42 * (x(1) - x(0));
  for (let step = 0; step < count; step++) {
    const box = `M${x(step) - half} ${bottom + 8}h${2 * half}v10h${-2 * half}Z`;
    svg.append(element("path", { class: cell.schedules[0][step] === "C" ? "computed" : "skipped", d: box }));
  }
  svg.append(element("text", { x: left, y: height - 3 }, "denoising step; coloured: computed"));
  return svg;
}

function publishedOf(cell) {
  if (!cell.published.length) return [];
  const titles = ["Figure", "Measured here", "Published", "Of"].map((title) => element("th", {}, title));
  const rows = cell.published.map((found) => {
    const texts = [found.measured, found.published, found.of].map((text) => element("td", {}, text));
    return element("tr", {}, element("th", {}, found.figure), ...texts);
  });
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...titles)), element("tbody", {}, ...rows));
  return [element("h3", {}, "Published beside measured"), element("div", { class: "scroll" }, table)];
}

function reasonsOf(cell) {
  if (!cell.explanation.length) return [];
  const lines = cell.explanation.map((text) => element("li", {}, text));
  return [element("h3", {}, "Why it is as fast as it is"), element("ol", {}, ...lines)];
}

function codeOf(cell) {
  return [
    element("h3", {}, "Draw with it in Python"),
    element("pre", {}, cell.python),
    element("h3", {}, "Measure it again"),
    element("pre", {}, cell.command),
  ];
}

function imagesOf(cell) {
  if (!cell.images.length) return [];
  const place = element("div", {});
  const show = (index) => {
    const sample = cell.samples[index];
    place.replaceChildren(element("p", {}, sample.text), pictures(cell, sample.number));
  };
  show(0);
  const measured = data.metrics.filter((m) => m.column in cell.samples[0].values);
  const spreads = measured.length
    ? [element("h3", {}, "Spread over the images"), ...measured.map((m) => spread(cell, m, show))]
    : [];
  const buttons = cell.samples.map((sample, index) =>
    element("li", {}, element("button", { type: "button", onclick: () => show(index) }, sample.text)),
  );
  const title = measured.length ? "Images, the worst first" : "Images";
  return [...spreads, element("h3", {}, title), element("ol", { class: "prompts" }, ...buttons), place];
}

function spread(cell, m, show) {
  const samples = cell.samples
    .map((sample, index) => ({ index, value: sample.values[m.column], text: sample.text }))
    .filter(({ value }) => !isMissing(value));
  if (!samples.length) return element("p", {}, `${m.label}: every image is identical.`);
  const identical = cell.samples.length - samples.length;
  const [width, height, left, right, level] = [720, 44, 110, 580, 14];
  const values = samples.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = scale(low, high, left, right);
  const ends = [...new Set([low, high])].map((value) =>
    element("text", { x: x(value), y: 40, "text-anchor": "middle" }, value.toFixed(m.digits)),
  );
  const dots = samples.map(({ index, value, text }) => {
    const attributes = { class: "sample", cx: x(value), cy: level, r: 5, onclick: () => show(index) };
    return element("circle", attributes, element("title", {}, text));
  });
  return element(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${m.label} of every image` },
    element("text", { x: 0, y: 18 }, m.label),
    element("line", { class: "grid", x1: left, x2: right, y1: level, y2: level }),
    ...ends,
    ...dots,
    ...(identical ? [element("text", { x: right + 20, y: 18 }, `${identical} identical`)] : []),
  );
}

function pictures(cell, sample) {
  const own = cell.images[sample];
  const full = byKey.get(cell.reference)?.images[sample];
  const bottom = element("img", { src: own, alt: cell.name });
  if (cell.key === cell.reference) return element("div", { class: "pair" }, captioned("computed in full", bottom));
  if (!full) return element("div", { class: "pair" }, captioned("this setting; nothing was computed in full", bottom));
  const top = element("img", { src: full, alt: "computed in full" });
  const words = "absolute difference, four times as bright";
  return element(
    "div",
    { class: "pair" },
    captioned("left of the line: computed in full; right: this setting", ...slider(top, bottom)),
    captioned(words, element("img", { src: cell.differences[sample], alt: words })),
  );
}

function captioned(text, ...nodes) {
  return element("figure", {}, ...nodes, element("figcaption", {}, text));
}

function slider(top, bottom) {
  const over = element("div", { class: "over" }, top);
  const holder = element("div", { class: "slider" }, bottom, over);
  const label = "how much of the image computed in full is shown";
  const range = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": label });
  const fit = () => {
    over.style.width = `${range.value}%`;
    top.style.width = `${holder.clientWidth}px`;
  };
  range.addEventListener("input", fit);
  new ResizeObserver(fit).observe(holder);
  return [holder, range];
}

for (const control of [workload, speed, metric]) control.addEventListener("change", drawPlot);
document.getElementById("filter").addEventListener("input", drawTable);
addEventListener("hashchange", openLinked);
for (const link of document.querySelectorAll("a[href^='#']")) {
  link.addEventListener("click", () => openCell(link.hash.slice(1)));
}
fillSelects();
drawPlot();
drawTable();
openLinked();
