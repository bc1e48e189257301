"use strict";
// Numbers, times, buttons, and tables, as the whole page shows them.

const LONG = new Set(["reason", "text", "now", "then", "left", "params"]); // columns of whole sentences
const drawn = {};

function number(value, digits = 6) {
  if (value === null || value === undefined) return "–";
  return Number(value).toLocaleString(language, { maximumFractionDigits: digits });
}
const money = (value) => number(value, 2);
const two = (part) => String(part).padStart(2, "0");
function time(value) {
  if (!value) return "–";
  const at = new Date(value);
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? clock : `${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}
const sign = (value) => (Number(value) > 0 ? "up" : Number(value) < 0 ? "down" : "");

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function button(text, onClick, className) {
  const made = element("button", text, className);
  made.type = "button";
  made.addEventListener("click", () => onClick().catch(tell));
  return made;
}

const kindOf = (title) => (LONG.has(title) ? "long" : title ? "" : "actions");

function table(id, columns, rows) {
  const head = element("thead");
  const line = head.appendChild(element("tr"));
  for (const [title] of columns) line.append(element("th", title && word(title)));
  const body = element("tbody");
  for (const row of rows) {
    const tr = body.appendChild(element("tr"));
    for (const [title, cell, className] of columns) {
      const content = cell(row);
      const td = element("td", content instanceof Node ? null : content, className ? className(row) : kindOf(title));
      if (content instanceof Node) td.append(content);
      tr.append(td);
    }
  }
  if (!rows.length) {
    const td = element("td", word("none"), "none");
    td.colSpan = columns.length;
    body.appendChild(element("tr")).append(td);
  }
  // What is as it was stays: a button that is made anew between press and release of the mouse is never clicked.
  const shape = JSON.stringify(rows) + head.outerHTML + body.outerHTML;
  if (drawn[id] === shape) return;
  drawn[id] = shape;
  $(id).replaceChildren(head, body);
}
