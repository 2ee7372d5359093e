"use strict";
// Makes every table sortable by its column headings; the page reads the same without it.
(function () {
  function value(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.sort === undefined ? cell.textContent.trim() : cell.dataset.sort;
    const number = Number(text);
    return text !== "" && !Number.isNaN(number) ? number : text;
  }

  // Numbers before words, empty cells last, whichever way the column is sorted.
  function compare(left, right, direction) {
    if (left === "" || right === "") {
      return (left === "") - (right === "");
    }
    if (typeof left !== typeof right) {
      return typeof left === "number" ? -1 : 1;
    }
    const order = typeof left === "number" ? left - right : left.localeCompare(right, "en");
    return direction * order;
  }

  function sort(table, heading, column) {
    const descending = heading.getAttribute("aria-sort") === "ascending" ||
      (!heading.hasAttribute("aria-sort") && heading.dataset.better === "up");
    for (const other of table.tHead.rows[0].cells) {
      other.removeAttribute("aria-sort");
    }
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    for (const body of table.tBodies) {
      const rows = Array.from(body.rows).filter((row) => !row.classList.contains("label"));
      rows.sort((a, b) => compare(value(a, column), value(b, column), descending ? -1 : 1));
      body.append(...rows);
    }
  }

  function arm(table) {
    Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading, column));
      heading.append(button);
    });
  }

  document.querySelectorAll("table").forEach((table) => {
    const longest = Math.max(...Array.from(table.tBodies, (body) => body.rows.length));
    if (longest > 1) {
      arm(table);
    }
  });

  // What is folded away on the screen is printed.
  const opened = [];
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach((details) => {
      details.open = true;
      opened.push(details);
    });
  });
  window.addEventListener("afterprint", () => {
    opened.splice(0).forEach((details) => { details.open = false; });
  });
})();
