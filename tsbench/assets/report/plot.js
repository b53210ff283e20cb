/* Speed against quality. */
const workload = document.getElementById("workload");
const speed = document.getElementById("speed");
const metric = document.getElementById("metric");
const NARROW = matchMedia("(max-width: 40rem)"); // as in report.css: of a telephone, where a finger has to hit a point
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
  if (cells.some((cell) => cell.disturbed)) legend.append(legendEntry("timing disturbed", { class: "hollow", d: MARKERS.o }));
  markIdentical(plot);
  place.append(plot.svg);
}

/** What lies at the edge since all of its images are full compute's. */
function markIdentical({ chosen, cells, at, svg }) {
  const identical = cells.filter((cell) => !Number.isFinite(heightOf(chosen, valueOf(chosen, cell)))).map(at);
  if (!identical.length) return;
  const [x, y] = identical.reduce((last, point) => (point[0] > last[0] ? point : last));
  const beyond = x > FRAME.right - 90;
  const place = { x: beyond ? x - 12 : x + 12, y: y + 4, "text-anchor": beyond ? "end" : "start" };
  svg.append(element("text", place, identical.length > 1 ? `${identical.length} identical` : "identical"));
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
  const round = choices.find((choice) => choice.length <= 8) ?? choices.at(-1);
  const distances = round.length < 2 ? ticks(10 ** least, 10 ** most).filter(within) : round;
  return distances.map((distance) => Number((best + sign * distance).toFixed(12)));
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
    transform: `translate(${px} ${py}) scale(${NARROW.matches ? 1.8 : 1})`,
    fill: cell.disturbed ? "var(--paper)" : colour,
    stroke: cell.disturbed ? colour : "var(--paper)",
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
  return `${cell.name}: ${fast}, ${good}${cell.disturbed ? "; timing disturbed" : ""}`;
}

function onKeys(keys, act) {
  return (event) => {
    if (!keys.includes(event.key)) return;
    event.preventDefault();
    act();
  };
}
