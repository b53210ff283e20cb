/* One setting: its figures, schedule, errors, code and images. */
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
  fillCell(key);
  const section = document.getElementById("cell");
  section.focus({ preventScroll: true });
  section.scrollIntoView({ behavior: "smooth" });
}

function fillCell(key) {
  const cell = byKey.get(key);
  document.getElementById("cell-title").textContent = cell.name;
  const parts = [element("p", {}, `${cell.workload}. ${cell.says}`)];
  if (cell.status === "ok") {
    parts.push(figuresOf(cell), ...stepsOf(cell), ...publishedOf(cell), ...reasonsOf(cell));
    parts.push(...imagesOf(cell), ...codeOf(cell));
  }
  document.getElementById("cell-body").replaceChildren(...parts);
  openKey = key;
  for (const row of document.querySelectorAll("#cells tbody tr")) {
    row.classList.toggle("chosen", row.dataset.key === openKey);
  }
}

function figuresOf(cell) {
  const figures = [
    ["Speed-up", shown(cell.speedup, 2, "x") + cell.speedup_interval],
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
