"use strict";
/* The data of the page, elements and numbers. The files of SCRIPTS in html.py are joined into one. */
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

function withInterval(cell, column, digits) {
  const [low, high] = [cell[`${column}_low`], cell[`${column}_high`]];
  const interval = isMissing(low) ? "" : ` [${shown(low, digits)}, ${shown(high, digits)}]`;
  return isMissing(cell[column]) ? "" : shown(cell[column], digits) + interval;
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
