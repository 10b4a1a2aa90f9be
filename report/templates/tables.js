"use strict";
// Tables whose heads are buttons: a click sorts by the column, a second one turns the order.

const MISSING = "\u2013";

function cellValue(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "" || text === MISSING) return null;
  const number = Number(text.replaceAll(",", ""));
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function compareCells(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null); // nothing known: always last
  if (typeof a === typeof b) return (a < b ? -1 : a > b ? 1 : 0) * sign;
  return typeof a === "number" ? -sign : sign;
}

function sortTable(table, head, direction) {
  const column = [...head.parentElement.children].indexOf(head);
  const sign = direction === "descending" ? -1 : 1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [cellValue(row, column), row]);
  rows.sort((a, b) => compareCells(a[0], b[0], sign));
  body.append(...rows.map((pair) => pair[1]));
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("button")?.addEventListener("click", () => {
      const turned = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      sortTable(table, head, turned);
    });
  }
}

// The order that a reader chose survives new rows.
function sortAgain(table) {
  const head = table.tHead.querySelector("th[aria-sort]");
  if (head) sortTable(table, head, head.getAttribute("aria-sort"));
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
