// Search over the table of proteins; sorting comes from tables.js.

const table = document.getElementById("table");
const search = document.getElementById("search");
const kin = document.getElementById("kin"); // absent where no network was used

function filterRows() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const related = !kin || !kin.value || row.dataset.kin === kin.value;
    row.hidden = !(related && words.every((word) => row.dataset.search.includes(word)));
    shown += !row.hidden;
  }
  document.getElementById("found").textContent = `${shown} of ${table.tBodies[0].rows.length} proteins`;
}

search.addEventListener("input", filterRows);
kin?.addEventListener("change", filterRows);
makeSortable(table);
filterRows();
