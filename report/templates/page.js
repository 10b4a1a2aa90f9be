// Controls, table and the reading of a pair. `model`, `methods` and the drawing come from map.js.

const AMINO = "ACDEFGHIKLMNPQRSTVWY";
const get = (id) => document.getElementById(id);
const state = { method: model.best, range: { low: model.minSeparation, high: Infinity }, hover: null, pinned: null };
const gaps = new Uint8Array(buffer(model.gaps));
const blocks = model.blocks && {
  place: new Map(Array.from(new Uint32Array(buffer(model.blocks.pairs)), (p, k) => [p, k])),
  scale: new Float32Array(buffer(model.blocks.scale)),
  values: new Int8Array(buffer(model.blocks.values)),
};
const number = (value, digits) => (value === null || value === undefined ? MISSING : value.toFixed(digits));
const queryName = (k) => `${model.query[k]}${k + model.first}`;
const structureName = (k) => (model.residue && model.residue[k]) || MISSING;
const repeated = pairSet(model.repeats.repeat); // of the best 3 L pairs alone
const moved = pairSet(model.repeats.moved);
const tested = model.significance && {
  place: new Map(Array.from(new Uint32Array(buffer(model.significance.pairs)), (p, k) => [p, k])),
  p: new Float32Array(buffer(model.significance.p)),
  q: new Float32Array(buffer(model.significance.q)),
};
// p or q of a coupling: null where it was not tested or is larger than what is kept.
function significanceOf(p, which) {
  const place = tested ? tested.place.get(p) : undefined;
  return place === undefined ? null : tested[which][place];
}
const tiny = (value) => (value < 0.001 ? value.toExponential(0) : value.toPrecision(1));
function qText(p) {
  const q = significanceOf(p, "q");
  if (q !== null) return tiny(q);
  const least = model.significance.above;
  return apart(p) < model.minSeparation || least === null ? MISSING : `\u2265 ${tiny(least)}`;
}
const probabilityOf = (p) => (model.probability ? scoreOf(methods.get(model.probability), p) : null);

let scene = { shown: [], below: null, sheet: null, cross: null };

function compose() {
  const method = methods.get(state.method);
  const count = Number(get("count").value);
  const below = get("below").value;
  scene.shown = Array.from(rankedPairs(method, state.range).order.subarray(0, count));
  scene.below = below ? rankedPairs(methods.get(below), state.range).order.subarray(0, count) : null;
  scene.sheet = get("shade").value ? shading(method, state.range) : null;
}

function redraw() {
  scene.cross = state.pinned ?? state.hover;
  drawMap(scene);
}

function recross() {
  scene.cross = state.pinned ?? state.hover;
  drawOver(scene);
}

const listeners = []; // called with the pair in focus whenever the choice of pairs or of one pair changes
const tell = () => listeners.forEach((listener) => listener(state.pinned ?? scene.shown[0] ?? null));

let opening = true; // the first drawing
let ready = false; // the table is that of the file until the page has come to rest

function update() {
  compose();
  redraw();
  get("count-text").textContent = `${scene.shown.length} (${(scene.shown.length / L).toFixed(2)} L)`;
  get("contacts-of").textContent = `of ${state.method}`;
  fillTally();
  if (ready) fillTable();
  inspect(state.pinned ?? scene.shown[0] ?? null); // opens on the best pair
  tell();
}

let waiting = false;
function soon(work) {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; work(); });
}

const words = {
  hit: "contact (< 8 \u00c5)", copy: "contact with another copy (< 8 \u00c5)", near: `near (8 to ${NEAR} \u00c5)`, miss: `wrong (\u2265 ${NEAR} \u00c5)`,
  unresolved: "not resolved", open: "predicted",
};
const shapes = {
  hit: '<circle cx="7" cy="7" r="5" fill="C"/>', open: '<circle cx="7" cy="7" r="5" fill="C"/>',
  near: '<path d="M7 1l6 6-6 6-6-6z" fill="none" stroke="C" stroke-width="2"/>',
  miss: '<path d="M2 2l10 10M12 2L2 12" stroke="C" stroke-width="2"/>',
  copy: '<path d="M2 2h10v10H2z" fill="none" stroke="C" stroke-width="2"/>',
  unresolved: '<circle cx="7" cy="7" r="5" fill="none" stroke="C" stroke-width="2"/>',
};

const symbols = new Map(); // parsed once: a table has thousands

function symbol(kind) {
  if (!symbols.has(kind)) {
    const box = element("span");
    // constant text only, nothing from the data
    box.innerHTML = `<svg viewBox="0 0 14 14" aria-hidden="true">${shapes[kind].replace("C", `var(${marks[kind].colour})`)}</svg>`;
    symbols.set(kind, box.firstChild);
  }
  return symbols.get(kind).cloneNode(true);
}

function fillTally() {
  const tally = { hit: 0, copy: 0, near: 0, miss: 0, unresolved: 0, open: 0 };
  for (const p of scene.shown) tally[verdict(p)]++;
  const list = get("tally");
  list.replaceChildren();
  for (const [kind, count] of Object.entries(tally)) {
    if (count === 0) continue;
    const item = element("li");
    item.append(symbol(kind), `${count} ${words[kind]}`);
    list.append(item);
  }
  const resolved = tally.hit + tally.copy + tally.near + tally.miss;
  if (resolved) {
    const text = `${model.kind === "model" ? "agreement" : "precision"} ${(tally.hit / resolved).toFixed(2)} of ${resolved} resolved pairs`;
    list.append(element("li", text, { id: "shown-precision" }));
  }
}

function tableRow(p, rank) {
  const [i, j] = [rowOf[p], columnOf[p]];
  const row = element("tr", null, { "data-pair": p });
  const cells = [
    [rank], [queryName(i), i], [queryName(j), j], [structureName(i), i], [structureName(j), j], [j - i],
    [number(scoreOf(methods.get(state.method), p), 3)], [number(probabilityOf(p), 2)],
    ...(tested ? [[qText(p), significanceOf(p, "q") ?? 1]] : []),
  ];
  for (const [text, value] of cells) {
    row.append(element("td", text, value === undefined || text === MISSING ? {} : { "data-value": value }));
  }
  const kind = verdict(p);
  const last = element("td");
  const mark = element("span", null, { class: kind });
  if (distances) mark.append(symbol(kind), distanceOf(p) === null ? MISSING : shownDistance(p));
  else mark.append(MISSING);
  last.dataset.value = distanceOf(p) ?? "";
  last.append(mark);
  row.append(last);
  return row;
}

const rowsOfTable = new Map(); // pair to its row
let marked = null; // the row of the pair that is read

function fillTable() {
  rowsOfTable.clear();
  marked = null;
  const made = scene.shown.map((p, k) => tableRow(p, k + 1));
  made.forEach((row, k) => rowsOfTable.set(scene.shown[k], row));
  get("contacts").tBodies[0].replaceChildren(...made);
  sortAgain(get("contacts"));
}

function markRow(p) {
  const row = rowsOfTable.get(p) ?? null;
  if (row === marked) return;
  marked?.removeAttribute("aria-current");
  row?.setAttribute("aria-current", "true");
  marked = row;
}

// Work that can wait until the page is read and nobody moves on the map: the first hover comes before it.
const REST = 300; // milliseconds

function atRest(work) {
  (window.requestIdleCallback ?? setTimeout)(() => {
    if (performance.now() - (state.moved ?? 0) < REST) setTimeout(() => atRest(work), REST);
    else work();
  }, { timeout: 1000 }); // on a busy machine too
}

function inSteps([work, ...rest]) {
  if (!work) return;
  atRest(() => { work(); inSteps(rest); });
}

// Reasons why a pair may be no contact of this chain, as the table of reasons counts them.
function reasons(p) {
  const found = [];
  const ends = [rowOf[p], columnOf[p]];
  const around = (reach, holds) =>
    ends.some((k) => Array.from({ length: 2 * reach + 1 }, (_, at) => k - reach + at).some((at) => at >= 0 && at < L && holds(at)));
  if (touchesCopy(p)) found.push("touches another copy in the assembly");
  if (elsewhere !== null && elsewhere.has(p)) found.push("a contact in another structure of the row");
  if (repeated?.has(p)) found.push("at the same place of two repeats");
  else if (moved?.has(p)) found.push("a contact once one end is moved to another repeat");
  if (around(model.reasons.gapReach, (k) => gaps[k] / 255 > model.reasons.gapRich)) found.push("near a gap-rich column");
  if (around(model.reasons.unresolvedReach, (k) => model.residue[k] === "")) found.push("near an unresolved residue");
  return found;
}

function facts(p) {
  const method = methods.get(state.method);
  const [i, j] = [rowOf[p], columnOf[p]];
  const ranked = rankedPairs(method, state.range);
  const rank = ranked.rank[p];
  const rows = [
    ["query numbering", `${queryName(i)}, ${queryName(j)}`],
    ["structure numbering", model.residue ? `${structureName(i)}, ${structureName(j)}` : "no structure"],
    ["alignment columns", `${model.columns[i]}, ${model.columns[j]}`],
    ...(model.uniprot ? [["UniProt numbering", `${model.uniprot[i] || MISSING}, ${model.uniprot[j] || MISSING}`]] : []),
    ["apart in sequence", j - i],
    ["rank in this range", rank ? `${rank} of ${ranked.order.length}` : "outside the range"],
  ];
  if (model.probability) rows.push([`probability (${model.probability})`, number(probabilityOf(p), 3)]);
  if (tested) {
    const chance = significanceOf(p, "p");
    rows.push(["coupling (plm)", `${chance === null ? "" : `p ${tiny(chance)}, `}q ${qText(p)}`]);
  }
  if (distances) rows.push([model.kind === "model" ? "distance in the model" : "true distance", distanceText(p)]);
  const why = distances && !["hit", "unresolved"].includes(verdict(p)) ? reasons(p) : [];
  if (why.length) rows.push(["note", why.join("; ")]);
  return rows;
}

function distanceText(p) {
  const distance = distanceOf(p);
  return distance === null ? "not resolved" : `${shownDistance(p)} \u00c5, ${words[verdict(p)].split(" (")[0]}`;
}

function inspect(p) {
  const box = get("inspect");
  if (p === null) return;
  state.read = p;
  const [i, j] = [rowOf[p], columnOf[p]];
  const list = element("dl");
  for (const [name, value] of facts(p)) list.append(element("dt", name), element("dd", value));
  const all = element("dl");
  for (const method of methods.values()) {
    const place = method.place[p];
    const rank = place < 0 ? `> ${method.order.length}` : place + 1;
    all.append(element("dt", method.name), element("dd", `${number(scoreOf(method, p), 3)} \u00b7 rank ${rank}`));
  }
  const [left, right] = [element("div"), element("div")];
  left.append(list);
  right.append(element("h3", "Every method: value and rank among all"), all);
  box.replaceChildren(element("div", `${queryName(i)} \u2013 ${queryName(j)}`, { class: "pair" }), left, right);
  cardSoon(p);
  markRow(p);
}

// The card follows once the pointer rests: its pictures are laid out and drawn anew for each pair.
let cardWaits = 0;
function cardSoon(p) {
  clearTimeout(cardWaits);
  if (opening) return;
  if (p === state.pinned) fillCard(p);
  else cardWaits = setTimeout(() => fillCard(p), 60);
}

// The evidence of one pair: what the network expects, the couplings, the sequences that carry it.
function fillCard(p) {
  const [left, right] = [element("div"), element("div")];
  get("card").replaceChildren(left, right); // in the page first: canvases need a width
  addBlock(left, p);
  addBins(right, p);
  addLetters(right, p);
  if (!left.firstChild) left.remove();
  if (!right.firstChild) right.replaceChildren(element("p", "No more is kept of this pair: it is not among the best L.", { class: "muted" }));
}

function addLetters(box, p) {
  const rows = model.letters.rows[p];
  if (!rows || rows.length === 0) return;
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const name of ["Pair", "Sequences", "Share", "If independent", "For example"]) {
    head.append(element("th", name, { scope: "col", class: name === "For example" ? "text" : "" }));
  }
  const body = table.createTBody();
  const own = model.query[rowOf[p]] + model.query[columnOf[p]];
  for (const [letters, count, share, expected, example] of rows) {
    const row = body.insertRow();
    row.append(
      element("th", `${letters[0]}\u2013${letters[1]}${letters === own ? " (query)" : ""}`, { scope: "row" }),
      element("td", count.toLocaleString("en")), element("td", percent(share)), element("td", percent(expected)),
      element("td", model.letters.names[example], { class: "text clip mono", title: model.letters.names[example] }),
    );
  }
  const scroll = element("div", null, { class: "scroll" });
  scroll.append(table);
  const text = `Most frequent residues at ${queryName(rowOf[p])} and ${queryName(columnOf[p])}, among the sequences without a gap \
at either; shares are weighted. A pair that is much more frequent than its letters would be alone speaks for a contact.`;
  box.append(element("h3", "Sequences that carry it"), scroll, element("p", text, { class: "caption" }));
}

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

function addBins(box, p) {
  const chosen = methods.get(state.method);
  const method = chosen.bins ? chosen : methods.get(model.probability);
  if (!method || !method.bins) return;
  const place = method.place[p];
  const size = method.edges.length - 1;
  if (place < 0 || (place + 1) * size > method.bins.length) return;
  const sheet = element("canvas", null, { role: "img", "aria-label": "Predicted distribution of the distance" });
  const text = `Bars: the network's probability per \u00e5ngstr\u00f6m; blue: below ${model.contact} \u00c5${
    distanceOf(p) === null ? "" : "; orange line: the distance in the structure, at the edge if it lies beyond"}.`;
  box.append(element("h3", `Predicted distance, ${method.name} (\u00c5)`), sheet, element("p", text, { class: "caption" }));
  drawBins(sheet, method.bins.subarray(place * size, (place + 1) * size), method.edges, distanceOf(p));
}

function sized(sheet, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = sheet.clientWidth;
  sheet.width = width * ratio;
  sheet.height = height * ratio;
  sheet.style.height = `${height}px`;
  const g = sheet.getContext("2d");
  g.scale(ratio, ratio);
  g.font = "11px system-ui, sans-serif";
  g.textAlign = "center";
  return [g, width];
}

// Bars as wide as their bins, so that areas are probabilities; what lies beyond the last edge is told in words.
function drawBins(sheet, shares, edges, truth) {
  const [g, width] = sized(sheet, 104);
  const open = edges.at(-1) === null || edges.at(-1) > 100; // the last bin has no end: infinity, or far away
  const last = open ? edges.length - 2 : edges.length - 1;
  const [low, high] = [edges[0], edges[last]];
  const floor = 84;
  const across = (distance) => 4 + ((width - 8) * (distance - low)) / (high - low);
  const density = Array.from({ length: last }, (_, k) => shares[k] / (edges[k + 1] - edges[k]));
  const top = Math.max(...density, 1e-9);
  density.forEach((value, k) => {
    const height = ((floor - 22) * value) / top;
    g.fillStyle = themed(edges[k + 1] <= model.contact ? "--c-blue" : "--true");
    g.fillRect(across(edges[k]) + 0.5, floor - height, across(edges[k + 1]) - across(edges[k]) - 1, height);
  });
  g.fillStyle = themed("--muted");
  g.fillRect(across(low), floor, across(high) - across(low), 1);
  for (let tick = Math.ceil(low / 4) * 4; tick <= high; tick += 4) g.fillText(tick, Math.min(across(tick), width - 10), floor + 14);
  const total = shares.reduce((sum, share) => sum + share, 0) || 1;
  const under = edges.slice(1).reduce((sum, edge, k) => sum + (edge !== null && edge <= model.contact ? shares[k] : 0), 0);
  g.textAlign = "left";
  g.fillText(`below ${model.contact} \u00c5: ${percent(under / total)}`, 4, 11);
  g.textAlign = "right";
  if (open) g.fillText(`beyond ${high} \u00c5: ${percent(shares[last] / total)}`, width - 4, 11);
  if (truth === null) return;
  g.fillStyle = themed("--c-orange");
  g.fillRect(across(Math.min(Math.max(truth, low), high)) - 1, 18, 2, floor - 18);
}

function addBlock(box, p) {
  const place = blocks ? blocks.place.get(p) : undefined;
  if (place === undefined) return;
  const values = blocks.values.subarray(400 * place, 400 * place + 400);
  const scale = blocks.scale[place] / 127;
  const best = Array.from(values.keys()).sort((a, b) => values[b] - values[a]).slice(0, 3);
  const name = (k) => `${AMINO[Math.floor(k / 20)]}\u2013${AMINO[k % 20]} ${(values[k] * scale).toFixed(2)}`;
  const sheet = element("canvas", null, { role: "img", "aria-label": "Couplings of the 20 by 20 residue pairs" });
  box.append(element("h3", "Couplings (plm)"), sheet);
  const text = `Down: residue at ${queryName(rowOf[p])}; across: at ${queryName(columnOf[p])}. Blue favours a pair of \
residues, orange disfavours it; the query's own pair is framed. Most favoured: ${best.map(name).join(", ")}.`;
  box.append(element("p", text, { class: "caption" }));
  drawBlock(sheet, values, p);
}

function drawBlock(sheet, values, p) {
  const [g, width] = sized(sheet, sheet.clientWidth);
  const cell = (width - 16) / 20;
  const [muted, favoured, disfavoured] = ["--muted", "--c-blue", "--c-red"].map(themed); // once: each look-up lays the page out
  const [blue, orange] = [favoured, disfavoured].map(rgb);
  g.textBaseline = "middle";
  for (let a = 0; a < 20; a++) {
    g.fillStyle = muted;
    g.fillText(AMINO[a], 6, 16 + (a + 0.5) * cell);
    g.fillText(AMINO[a], 16 + (a + 0.5) * cell, 7);
    for (let b = 0; b < 20; b++) {
      const value = values[20 * a + b];
      g.fillStyle = `rgba(${value > 0 ? blue : orange},${Math.abs(value) / 127})`;
      g.fillRect(16 + b * cell, 16 + a * cell, cell - 0.5, cell - 0.5);
    }
  }
  const [a, b] = [rowOf[p], columnOf[p]].map((k) => AMINO.indexOf(model.query[k]));
  g.strokeStyle = themed("--ink");
  g.lineWidth = 1.5;
  if (a >= 0 && b >= 0) g.strokeRect(16 + b * cell, 16 + a * cell, cell, cell);
}

function pin(p) {
  state.pinned = p;
  recross();
  inspect(p);
  tell();
}

// The words beside the pointer: what a pair is, in three lines.
function fillTip(p) {
  const tip = get("tip");
  tip.hidden = p === null;
  if (p === null) return;
  const [i, j] = [rowOf[p], columnOf[p]];
  const rank = rankedPairs(methods.get(state.method), state.range).rank[p];
  const lines = [
    `${queryName(i)} \u2013 ${queryName(j)}${model.residue ? ` \u00b7 structure ${structureName(i)}, ${structureName(j)}` : ""}`,
    `alignment columns ${model.columns[i]}, ${model.columns[j]} \u00b7 ${rank ? `rank ${rank}` : "outside the range"}`,
    `score ${number(scoreOf(methods.get(state.method), p), 3)}${model.probability ? ` \u00b7 probability ${number(probabilityOf(p), 2)}` : ""}${tested ? ` \u00b7 q ${qText(p)}` : ""}${
      distances ? ` \u00b7 ${distanceText(p)}` : ""}`,
  ];
  tip.replaceChildren(...lines.map((line) => element("div", line)));
}

function placeTip(event) {
  const box = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const tip = get("tip");
  tip.style.left = x < box.width / 2 ? `${x + 16}px` : "auto";
  tip.style.right = x < box.width / 2 ? "auto" : `${box.width - x + 16}px`;
  tip.style.top = y < box.height / 2 ? `${y + 14}px` : "auto";
  tip.style.bottom = y < box.height / 2 ? "auto" : `${box.height - y + 14}px`;
}

function step(by) {
  const at = scene.shown.indexOf(state.pinned);
  const next = at < 0 ? 0 : (at + by + scene.shown.length) % scene.shown.length;
  pin(scene.shown[next]);
}

function move(down, across) {
  const p = state.pinned ?? scene.shown[0];
  const [i, j] = [rowOf[p] + down, columnOf[p] + across];
  if (i >= 0 && i < j && j < L) pin(pairOf(i, j));
}

const keys = {
  ArrowUp: () => move(-1, 0), ArrowDown: () => move(1, 0), ArrowLeft: () => move(0, -1), ArrowRight: () => move(0, 1),
  n: () => step(1), p: () => step(-1), Escape: () => pin(null),
};

function saveCsv() {
  const lines = ["i,aa_i,j,aa_j,score,probability,residue_i,residue_j,distance,uniprot_i,uniprot_j,coupling_p,coupling_q"];
  for (const p of scene.shown) {
    const [i, j] = [rowOf[p], columnOf[p]];
    const known = (value, digits) => (value === null ? "" : value.toFixed(digits));
    const residues = [i, j].map((k) => (model.residue ? model.residue[k] : ""));
    const score = scoreOf(methods.get(state.method), p).toPrecision(6);
    lines.push([i + model.first, model.query[i], j + model.first, model.query[j], score, known(probabilityOf(p), 6),
      ...residues, known(distanceOf(p), 2), ...[i, j].map((k) => (model.uniprot && model.uniprot[k]) || ""),
      ...["p", "q"].map((which) => significanceOf(p, which)?.toPrecision(3) ?? "")].join(","));
  }
  const link = element("a", null, { download: `${model.protein}.${state.method}.csv` });
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// What a reader asks for is done at once.
function change() {
  ready = true;
  update();
}

get("methods-choice").addEventListener("change", (event) => { state.method = event.target.value; change(); });
get("range").addEventListener("change", (event) => {
  const [low, high] = event.target.value.split(",");
  state.range = { low: Number(low), high: high ? Number(high) : Infinity };
  change();
});
get("below").addEventListener("change", change);
get("shade").addEventListener("change", change);
get("count").addEventListener("input", () => soon(change));
get("presets").addEventListener("click", (event) => {
  const cut = Number(event.target.dataset.cut);
  if (!cut) return;
  get("count").value = Math.max(1, Math.round(L / cut));
  change();
});
canvas.addEventListener("pointermove", (event) => {
  state.moved = performance.now();
  const p = pairAt(event);
  placeTip(event);
  if (p === state.hover) return;
  state.hover = p;
  soon(() => {
    fillTip(p);
    if (state.pinned !== null) return;
    recross();
    inspect(p);
  });
});
canvas.addEventListener("pointerleave", () => { state.hover = null; fillTip(null); recross(); });
canvas.addEventListener("click", (event) => {
  const p = pairAt(event);
  pin(p === state.pinned ? null : p);
});
canvas.addEventListener("keydown", (event) => {
  const action = keys[event.key] ?? keys[event.key.toLowerCase()];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});
get("contacts").addEventListener("click", (event) => {
  const row = event.target.closest("tbody tr");
  if (row) pin(Number(row.dataset.pair));
});
get("save-csv").addEventListener("click", saveCsv);
makeSortable(get("contacts"));
get("inspect").replaceChildren();
new ResizeObserver(() => { if (canvas.clientWidth !== view.width) soon(redraw); }).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
update();
opening = false;
const whenRead = [() => inspect(state.read ?? null), settle]; // in this order, each while the page rests

function settle() {
  if (ready) return;
  ready = true;
  fillTable();
  markRow(state.read);
}
