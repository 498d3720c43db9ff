// Tables with the class "sortable" are sorted by a click on a heading: numbers by their value, the best first and the
// undefined last; of losses and errors less is better.
// <input type=search data-filters=ID> leaves those rows of a table that have all the words; a word such as map>0.9 asks
// for numbers in the first column whose heading ends so, and seed=3 or policy=fixed for what is in it.
// What scrolls by itself can be reached by the keyboard.
function value(row, column) {
  const cell = row.cells[column], text = (cell.dataset.value ?? cell.textContent).trim();
  const number = Number(text.replaceAll(",", ""));
  return text === "" || text === "-" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
}
function sort(table, column, descending) {
  const rows = [...table.tBodies[0].rows].map(row => [value(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === typeof b ? (a < b ? -1 : +(a > b)) : typeof a === "number" ? -1 : 1;
    return descending ? -order : order;
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const heading of table.tHead.rows[0].cells) heading.removeAttribute("aria-sort");
  table.tHead.rows[0].cells[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
}
for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort"), first = table.tBodies[0].rows[0];
      const isNumber = first && typeof value(first, heading.cellIndex) === "number";
      const moreIsBetter = isNumber && !/(loss|error)$/.test(button.textContent.trim());
      sort(table, heading.cellIndex, before ? before === "ascending" : moreIsBetter);
    });
  }
}
function tester(table, word) {
  const [, name, sign, wanted] = /^([^<>=]+)([<>]=?|=)(.+)$/.exec(word) ?? [];
  const headings = sign ? [...table.tHead.rows[0].cells] : [];
  const column = headings.findIndex(heading => heading.textContent.trim().toLowerCase().endsWith(name));
  if (column < 0) return row => row.textContent.toLowerCase().includes(word);
  return row => {
    const there = value(row, column);
    if (sign === "=") return typeof there === "number" ? there === Number(wanted) : `${there ?? "-"}`.includes(wanted);
    return typeof there === "number" && (sign[0] === ">" ? there >= Number(wanted) : there <= Number(wanted));
  };
}
for (const input of document.querySelectorAll("input[data-filters]")) {
  const table = document.getElementById(input.dataset.filters);
  input.addEventListener("input", () => {
    const tests = input.value.toLowerCase().split(/\s+/).filter(Boolean).map(word => tester(table, word));
    for (const row of table.tBodies[0].rows) row.hidden = !tests.every(test => test(row));
    table.dispatchEvent(new Event("filtered"));
  });
}
for (const box of document.querySelectorAll(".scroll")) {
  if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
}
