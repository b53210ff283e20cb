/* All settings, to be sorted and filtered. */
const workloadParts = Object.values(data.workloads).map((title) => title.split(", "));
const columns = [
  { title: "Workload", of: (cell) => ownParts(cell.workload) },
  { title: "Setting", of: (cell) => cell.name },
  { title: "Status", of: (cell) => (cell.status !== "ok" ? cell.status : cell.disturbed ? "timing disturbed" : "") },
  { title: "Computed", of: (cell) => cell.computed_steps, digits: 1, text: computedOf },
  { title: "Speed-up", of: (cell) => cell.speedup, digits: 2, text: (cell) => shown(cell.speedup, 2) + cell.speedup_interval },
  ...data.metrics.map((m) => ({ title: m.label, of: (cell) => cell[m.column], digits: m.digits })),
  { title: "Front", of: (cell) => cell.front },
  { title: "Latency (s)", of: (cell) => cell.latency_s, digits: 3 },
  { title: "TFLOP", of: (cell) => cell.tflop, digits: tflopDigits() },
  { title: "FLOPs speed-up", of: (cell) => cell.flops_speedup, digits: 2 },
  { title: "Published", of: (cell) => cell.published.map((p) => `${p.figure} ${p.published}`).join(", ") },
  { title: "Note", of: (cell) => cell.says },
].filter((column) => data.cells.some((cell) => !isMissing(column.of(cell)) && column.of(cell) !== ""));
let order = { column: null, down: false };
let openKey = null; // of the setting that is shown below

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

function computedOf(cell) {
  return isMissing(cell.computed_steps) ? "" : `${Number(cell.computed_steps.toFixed(2))}/${cell.steps}`;
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
    const plain = column.digits === undefined ? String(value ?? "") : shown(value, column.digits);
    const text = column.text ? column.text(cell) : plain;
    return element("td", classOf(column, value), text);
  });
  const chosen = cell.key === openKey ? { class: "chosen" } : {};
  const attributes = { ...chosen, tabindex: 0, "data-key": cell.key, onclick: open, onkeydown: onKeys(["Enter"], open) };
  return element("tr", attributes, ...entries);
}
