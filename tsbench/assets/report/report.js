"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byKey = new Map(data.cells.map((cell) => [cell.key, cell]));
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const series = [...new Set(data.cells.filter((c) => c.key !== c.reference).map((c) => c.series))];
const colourOf = (name) => (name === data.control ? "currentColor" : colours[series.indexOf(name) % colours.length]);
const shapes = [
  "M-6 0A6 6 0 1 0 6 0A6 6 0 1 0-6 0Z", "M-5.5-5.5H5.5V5.5H-5.5Z", "M0-7L6.5 5H-6.5Z", "M0-7.5L7.5 0L0 7.5L-7.5 0Z", "M0 7L6.5-5H-6.5Z",
];
const shapeOf = (name) => shapes[Math.floor(series.indexOf(name) / colours.length) % shapes.length];

function element(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "circle", "line", "path", "text", "title"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}
const shown = (value, digits, suffix = "") => (value === null || value === undefined ? "" : value.toFixed(digits) + suffix);

/* ---- the plot ---- */
const workload = document.getElementById("workload");
const speed = document.getElementById("speed");
const metric = document.getElementById("metric");
for (const [key, title] of Object.entries(data.workloads)) workload.append(element("option", { value: key }, title));
for (const [key, title] of Object.entries(data.speeds)) speed.append(element("option", { value: key }, title));
for (const m of data.metrics) metric.append(element("option", { value: m.column }, m.label));

function ticks(low, high) {
  const raw = (high - low) / 6 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw);
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + 1e-9; x += step) found.push(Number(x.toPrecision(12)));
  return found;
}

function drawPlot() {
  const place = document.getElementById("plot");
  place.replaceChildren();
  const legend = document.getElementById("legend");
  legend.replaceChildren();
  const chosen = data.metrics.find((m) => m.column === metric.value);
  const cells = data.cells.filter(
    (c) => c.reference === workload.value && c.status === "ok" && c.key !== c.reference && chosen && c[chosen.column] !== null && c[speed.value] !== null);
  if (!cells.length) { place.append(element("p", {}, "No setting of this workload has both figures.")); return; }
  const width = 900, height = 460, left = 70, right = 20, top = 15, bottom = 50;
  const xs = cells.map((c) => c[speed.value]).concat(speed.value === "computed_steps" ? [] : [1]), ys = cells.map((c) => c[chosen.column]);
  const span = (values) => { const lo = Math.min(...values), hi = Math.max(...values), pad = (hi - lo || 1) * 0.07; return [lo - pad, hi + pad]; };
  const [x0, x1] = span(xs), [y0, y1] = span(ys);
  const X = (v) => left + ((v - x0) / (x1 - x0)) * (width - left - right);
  const Y = (v) => height - bottom - ((v - y0) / (y1 - y0)) * (height - top - bottom);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${speed.selectedOptions[0].text} against ${chosen.label}` });
  for (const t of ticks(x0, x1)) svg.append(element("line", { class: "grid", x1: X(t), x2: X(t), y1: top, y2: height - bottom }), element("text", { x: X(t), y: height - bottom + 18, "text-anchor": "middle" }, String(t)));
  for (const t of ticks(y0, y1)) svg.append(element("line", { class: "grid", x1: left, x2: width - right, y1: Y(t), y2: Y(t) }), element("text", { x: left - 8, y: Y(t) + 4, "text-anchor": "end" }, String(t)));
  const steps = speed.value === "computed_steps";
  svg.append(element("text", { x: (left + width) / 2, y: height - 10, "text-anchor": "middle" }, speed.selectedOptions[0].text + (steps ? "" : " (x)")));
  svg.append(element("text", { transform: `translate(16 ${height / 2}) rotate(-90)`, "text-anchor": "middle" }, `${chosen.label}, ${chosen.higher_is_better ? "higher" : "lower"} is better`));
  const front = cells.filter((c) => (c[data.fronts[speed.value]] || "").split(";").includes(chosen.name)).sort((a, b) => a[speed.value] - b[speed.value]);
  if (front.length > 1) {
    svg.append(element("path", { class: "front", d: front.map((c, i) => `${i ? "L" : "M"}${X(c[speed.value])} ${Y(c[chosen.column])}`).join("") }));
    legend.append(element("li", {}, element("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, element("path", { class: "front", d: "M-8 0H8" })), "Pareto front"));
  }
  for (const name of new Set(cells.map((c) => c.series))) {
    const own = cells.filter((c) => c.series === name).sort((a, b) => a[speed.value] - b[speed.value]);
    const path = own.map((c, i) => `${i ? "L" : "M"}${X(c[speed.value])} ${Y(c[chosen.column])}`).join("");
    svg.append(element("path", { d: path, fill: "none", stroke: colourOf(name), "stroke-width": 1, "stroke-dasharray": name === data.control ? "5 4" : "none" }));
    const mark = element("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, element("path", { d: shapeOf(name), fill: colourOf(name) }));
    legend.append(element("li", {}, mark, name));
  }
  for (const c of cells) {
    const low = c[chosen.column + "_low"], high = c[chosen.column + "_high"];
    if (low !== null && low !== undefined) svg.append(element("line", { x1: X(c[speed.value]), x2: X(c[speed.value]), y1: Y(Math.max(low, y0)), y2: Y(Math.min(high, y1)), stroke: colourOf(c.series), opacity: 0.5 }));
    const label = `${c.name}: ${steps ? `${shown(c[speed.value], 1)} computed steps` : `${shown(c[speed.value], 2)}x`}, ${chosen.label} ${shown(c[chosen.column], chosen.digits)}`;
    svg.append(element("path", {
      class: "point", d: shapeOf(c.series), transform: `translate(${X(c[speed.value])} ${Y(c[chosen.column])})`, fill: colourOf(c.series), stroke: "var(--paper)", tabindex: 0, role: "button", "aria-label": label,
      onclick: () => openCell(c.key), onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); openCell(c.key); } },
    }, element("title", {}, label)));
  }
  place.append(svg);
}
for (const control of [workload, speed, metric]) control.addEventListener("change", drawPlot);

/* ---- the table ---- */
const columns = [
  { title: "Workload", of: (c) => c.workload }, { title: "Setting", of: (c) => c.name }, { title: "Status", of: (c) => c.status },
  { title: "Computed", of: (c) => c.computed_steps, digits: 1 }, { title: "Latency (s)", of: (c) => c.latency_s, digits: 3 },
  { title: "Speed-up", of: (c) => c.speedup, digits: 2 }, { title: "TFLOP", of: (c) => c.tflop, digits: 3 }, { title: "FLOPs speed-up", of: (c) => c.flops_speedup, digits: 2 },
  ...data.metrics.map((m) => ({ title: m.label, of: (c) => c[m.column], digits: m.digits })),
  { title: "Published", of: (c) => c.published.map((p) => `${p.figure} ${p.published}`).join(", ") }, { title: "Note", of: (c) => c.says },
].filter((column) => column.title !== "Workload" || Object.keys(data.workloads).length > 1).filter((column) => data.cells.some((c) => ![null, undefined, ""].includes(column.of(c))));
let order = { column: -1, down: false };
function drawTable() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const head = document.querySelector("#cells thead"), body = document.querySelector("#cells tbody");
  head.replaceChildren(element("tr", {}, ...columns.map((column, i) => {
    const cell = element("th", column.digits === undefined ? {} : { class: "number" }, element("button", { type: "button", onclick: () => { order = { column: i, down: order.column === i && !order.down }; drawTable(); } }, column.title + (order.column === i ? (order.down ? " ▼" : " ▲") : "")));
    cell.setAttribute("aria-sort", order.column === i ? (order.down ? "descending" : "ascending") : "none");
    return cell;
  })));
  let rows = data.cells.filter((c) => words.every((w) => columns.some((column) => String(column.of(c) ?? "").toLowerCase().includes(w))));
  if (order.column >= 0) {
    const of = columns[order.column].of;
    const rank = (c) => { const v = of(c); return v === null || v === undefined ? null : v; };
    rows = [...rows].sort((a, b) => { const x = rank(a), y = rank(b); if (x === null) return 1; if (y === null) return -1; const s = typeof x === "number" ? x - y : String(x).localeCompare(String(y)); return order.down ? -s : s; });
  }
  body.replaceChildren(...rows.map((c) => element("tr", {
    tabindex: 0, "data-key": c.key, onclick: () => openCell(c.key), onkeydown: (event) => { if (event.key === "Enter") openCell(c.key); },
  }, ...columns.map((column) => { const v = column.of(c); return element("td", column.digits === undefined ? (v === "failed" ? { class: "failed" } : {}) : { class: "number" }, typeof v === "number" ? shown(v, column.digits ?? 0) : String(v ?? "")); }))));
  document.getElementById("count").textContent = `${rows.length} of ${data.cells.length}`;
}
document.getElementById("filter").addEventListener("input", drawTable);

/* ---- one cell ---- */
function strip(schedule) {
  return element("span", { class: "strip", role: "img", "aria-label": schedule }, ...[...schedule].map((letter) => element("i", letter === "C" ? { class: "c" } : {})));
}
function errorPlot(cell) {
  const width = 640, height = 200, left = 60, bottom = 34, top = 8, schedule = cell.schedules[0], count = cell.errors.length;
  const known = cell.errors.filter((e) => e > 0).map(Math.log10);
  const low = Math.floor(Math.min(...known)), high = Math.max(low + 1, Math.ceil(Math.max(...known)));
  const X = (step) => left + ((step + 0.5) / count) * (width - left), Y = (log) => top + ((high - log) / (high - low)) * (height - top - bottom);
  const svg = element("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `largest ${Math.max(...cell.errors).toPrecision(2)}, at the end ${cell.errors[count - 1].toPrecision(2)}` });
  for (let log = low; log <= high; log++) svg.append(element("line", { class: "grid", x1: left, x2: width, y1: Y(log), y2: Y(log) }), element("text", { x: left - 6, y: Y(log) + 4, "text-anchor": "end" }, `1e${log}`));
  const points = cell.errors.map((e, step) => [step, e]).filter(([, e]) => e > 0);
  svg.append(element("path", { class: "errors", d: points.map(([step, e], i) => `${i ? "L" : "M"}${X(step)} ${Y(Math.log10(e))}`).join("") }));
  for (let step = 0; step < count; step++) svg.append(element("path", { class: schedule[step] === "C" ? "computed" : "skipped", d: `M${X(step) - (width - left) / count * 0.42} ${height - bottom + 8}h${(width - left) / count * 0.84}v10h${-(width - left) / count * 0.84}Z` }));
  svg.append(element("text", { x: left, y: height - 3 }, "denoising step; coloured: computed"));
  return svg;
}
function spread(cell, m, show) {
  const samples = cell.samples.map((sample, i) => [i, sample.values[m.column], sample.text]).filter(([, value]) => value !== null && value !== undefined);
  const width = 640, height = 44, left = 110, right = 60;
  const values = samples.map(([, value]) => value), low = Math.min(...values), high = Math.max(...values);
  if (!samples.length) return element("p", {}, `${m.label}: every image is identical.`);
  const X = (value) => left + ((value - low) / (high - low || 1)) * (width - left - right);
  const svg = element("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${m.label} of every image` });
  svg.append(element("text", { x: 0, y: 18 }, m.label), element("line", { class: "grid", x1: left, x2: width - right, y1: 14, y2: 14 }));
  for (const value of new Set([low, high])) svg.append(element("text", { x: X(value), y: 40, "text-anchor": "middle" }, value.toFixed(m.digits)));
  for (const [i, value, text] of samples) svg.append(element("circle", { class: "sample", cx: X(value), cy: 14, r: 5, onclick: () => show(i) }, element("title", {}, text)));
  return svg;
}
function comparison(cell, sample) {
  const reference = byKey.get(cell.reference), own = cell.images[sample], full = reference && reference.images[sample];
  if (!own || !full) return element("p", {}, "No images are stored for this sample.");
  const top = element("img", { src: full, alt: "computed in full" }), over = element("div", { class: "over" }, top);
  const bottom = element("img", { src: own, alt: cell.name });
  const holder = element("div", { class: "slider" }, bottom, over);
  const range = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "how much of the image computed in full is shown" });
  const fit = () => { over.style.width = `${range.value}%`; top.style.width = `${holder.clientWidth}px`; };
  range.addEventListener("input", fit);
  bottom.addEventListener("load", fit);
  const canvas = element("canvas", { role: "img", "aria-label": "absolute difference, four times as bright" });
  Promise.all([top, bottom].map((image) => image.decode ? image.decode().catch(() => null) : null)).then(() => { fit(); difference(canvas, top, bottom); });
  return element("div", { class: "pair" },
    element("figure", {}, holder, range, element("figcaption", {}, "left of the line: computed in full; right: this setting")),
    element("figure", {}, canvas, element("figcaption", {}, "absolute difference, four times as bright")));
}
function difference(canvas, one, other) {
  const w = one.naturalWidth, h = one.naturalHeight;
  if (!w) return;
  canvas.width = w; canvas.height = h;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = [one, other].map((image) => { context.drawImage(image, 0, 0, w, h); return context.getImageData(0, 0, w, h); });
  const out = context.createImageData(w, h);
  for (let i = 0; i < out.data.length; i += 4) {
    for (let c = 0; c < 3; c++) out.data[i + c] = Math.min(255, 4 * Math.abs(pixels[0].data[i + c] - pixels[1].data[i + c]));
    out.data[i + 3] = 255;
  }
  context.putImageData(out, 0, 0);
}
function openCell(key) {
  const cell = byKey.get(key);
  document.getElementById("cell-title").textContent = cell.name;
  const body = document.getElementById("cell-body");
  body.replaceChildren(element("p", {}, `${cell.workload}. ${cell.says || ""}`));
  if (cell.status === "ok") {
    const facts = [["Speed-up", cell.speedup === null ? "" : `${shown(cell.speedup, 2)}x` + (cell.speedup_low === null ? "" : ` [${shown(cell.speedup_low, 2)}, ${shown(cell.speedup_high, 2)}]`)],
      ["Denoising speed-up", shown(cell.denoise_speedup, 2, "x")], ["FLOPs speed-up", shown(cell.flops_speedup, 2, "x")], ["Latency", shown(cell.latency_s, 4, " s")],
      ...data.metrics.map((m) => [m.label, shown(cell[m.column], m.digits) + (cell[m.column + "_low"] == null ? "" : ` [${shown(cell[m.column + "_low"], m.digits)}, ${shown(cell[m.column + "_high"], m.digits)}]`)])];
    body.append(element("table", {}, element("tbody", {}, ...facts.filter((f) => f[1]).map(([title, text]) => element("tr", {}, element("th", {}, title), element("td", {}, text))))));
    body.append(element("h3", {}, "Steps"), ...[...new Set(cell.schedules)].map((s) => element("p", {}, strip(s), ` ${[...s].filter((l) => l === "C").length} of ${s.length} computed`)));
    if (cell.errors.some((e) => e > 0)) body.append(element("h3", {}, "Error of the latents after every step, relative to full compute"), errorPlot(cell));
    if (cell.published.length) body.append(element("h3", {}, "Published beside measured"), element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["Figure", "Measured here", "Published", "Of"].map((t) => element("th", {}, t)))),
      element("tbody", {}, ...cell.published.map((p) => element("tr", {}, element("th", {}, p.figure), element("td", {}, p.measured), element("td", {}, p.published), element("td", {}, p.of)))))));
    const chain = element("ol", {}, ...cell.explanation.map((line) => element("li", {}, line)));
    if (cell.explanation.length) body.append(element("h3", {}, "Why it is as fast as it is"), chain);
    if (cell.samples.length && cell.key !== cell.reference) {
      const place = element("div", {});
      const show = (index) => place.replaceChildren(element("p", {}, cell.samples[index].text), comparison(cell, cell.samples[index].number));
      body.append(element("h3", {}, "Spread over the images"), ...data.metrics.map((m) => spread(cell, m, show)));
      body.append(element("h3", {}, "Images, the worst first"), element("ol", { class: "prompts" }, ...cell.samples.map((sample, i) => element("li", {}, element("button", { type: "button", onclick: () => show(i) }, sample.text)))), place);
      show(0);
    }
  }
  for (const row of document.querySelectorAll("#cells tbody tr")) row.classList.toggle("chosen", row.dataset.key === key);
  const section = document.getElementById("cell");
  section.focus({ preventScroll: true });
  section.scrollIntoView({ behavior: "smooth" });
}
for (const link of document.querySelectorAll("a[data-key]")) link.addEventListener("click", (event) => { event.preventDefault(); openCell(link.dataset.key); });
drawPlot();
drawTable();
