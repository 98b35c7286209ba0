"use strict";
// Search, filters and sorting for the table of findings, which is whole without them.
(() => {
  const table = document.getElementById("table");
  const tools = document.getElementById("tools");
  if (!table || !tools) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const column = {};
  heads.forEach((head, index) => { column[["what", "cause", "outcome", "owner", "target"][heads.length - 1 - index]] = index; });
  if (heads.length === 4) { column.target = 0; delete column.owner; }
  const rows = [...body.rows].map((row, place) => ({
    row, place,
    words: row.textContent.toLowerCase(),
    cells: [...row.cells].map((cell) => (cell.querySelector("summary") || cell).textContent.trim()),
  }));
  const words = document.getElementById("words");
  const shown = document.getElementById("shown");
  const filters = ["outcome", "cause", "owner"]
    .map((name) => ({ name, select: document.getElementById(name) }))
    .filter((filter) => filter.select && filter.name in column);

  for (const filter of filters) {
    const counts = new Map();
    for (const one of rows) {
      const value = one.cells[column[filter.name]];
      counts.set(value, (counts.get(value) || 0) + 1);
    }
    for (const [value, count] of [...counts].sort((a, b) => b[1] - a[1])) {
      const option = document.createElement("option");
      option.value = "=" + value;
      option.textContent = `${value || "(none)"} (${count})`;
      filter.select.append(option);
    }
    filter.select.addEventListener("change", show);
  }

  function show() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const one of rows) {
      const fits = filters.every((filter) => !filter.select.value || filter.select.value === "=" + one.cells[column[filter.name]])
        && wanted.every((word) => one.words.includes(word));
      one.row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  }

  let waiting = 0;
  words.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, 120); });
  document.getElementById("reset").addEventListener("click", () => {
    words.value = "";
    for (const filter of filters) filter.select.value = "";
    show();
    words.focus();
  });

  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      // up, down, and back to the order of importance
      const now = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] || "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (now !== "none") head.setAttribute("aria-sort", now);
      const sign = { ascending: 1, descending: -1, none: 0 }[now];
      rows.sort((a, b) => sign * collator.compare(a.cells[index], b.cells[index]) || a.place - b.place);
      body.append(...rows.map((one) => one.row));
    });
  });

  for (const link of document.querySelectorAll("a[data-cause], a[data-owner]")) {
    link.addEventListener("click", () => {
      words.value = "";
      for (const filter of filters) {
        const value = link.dataset[filter.name];
        filter.select.value = value === undefined ? "" : "=" + (value === "(none)" ? "" : value);
        if (filter.select.selectedIndex < 0) filter.select.value = "";
      }
      show();
    });
  }

  // On paper nothing opens any more: what is in sight is opened, unless that were a book.
  const opened = [];
  addEventListener("beforeprint", () => {
    const closed = rows.filter((one) => !one.row.hidden).map((one) => one.row.querySelector("details:not([open])")).filter(Boolean);
    if (closed.length > 200) return;
    for (const one of closed) { one.open = true; opened.push(one); }
  });
  addEventListener("afterprint", () => { for (const one of opened.splice(0)) one.open = false; });

  tools.hidden = false;
  show();
})();
