/* What listens, and the first drawing. */
for (const control of [workload, speed, metric]) control.addEventListener("change", drawPlot);
document.getElementById("filter").addEventListener("input", drawTable);
addEventListener("hashchange", openLinked);
const recommended = [...document.querySelectorAll("a[href^='#']")];
for (const link of recommended) {
  link.addEventListener("click", () => openCell(link.hash.slice(1)));
}
fillSelects();
drawPlot();
drawTable();
openLinked();
if (!openKey && recommended.length) fillCell(recommended[0].hash.slice(1)); // the address names no setting
