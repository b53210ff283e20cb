/* What listens, and the first drawing. */
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
