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
const counted = (value) => value.toLocaleString("en");
const queryName = (k) => `${model.query[k]}${k + model.first}`;
const fileColumn = (k) => model.columns[k] ?? MISSING; // a residue in an insertion has none
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

const belowTruth = get("map-below")?.textContent; // what the caption says of the structure's own contacts
let scene = { shown: [], below: null, sheet: null, titles: ["", ""], cross: null, range: null };

function compose() {
  const method = methods.get(state.method);
  const count = Number(get("count").value);
  const below = get("below").value;
  scene.shown = Array.from(rankedPairs(method, state.range).order.subarray(0, count));
  scene.below = below ? rankedPairs(methods.get(below), state.range).order.subarray(0, count) : null;
  scene.sheet = get("shade").value ? shading(method, state.range) : null;
  const text = get("below").selectedOptions[0]?.textContent ?? "";
  scene.range = state.range;
  if (get("map-below")) get("map-below").textContent = below ? `below it: those of ${below}, marked alike` : belowTruth;
  scene.titles = [`above: predicted by ${state.method}`, `below: ${text}`];
}

function redraw() {
  scene.cross = state.pinned ?? state.hover;
  drawMap(scene);
}

function recross() {
  scene.cross = state.pinned ?? state.hover;
  drawCross(scene.cross);
}

const listeners = []; // called with the pair that is read whenever the choice of pairs or of one pair changes
const tell = () => listeners.forEach((listener) => listener(state.read ?? null));

let opening = true; // the first drawing
let ready = false; // the table is that of the file until the page has come to rest

function update() {
  compose();
  redraw();
  get("count-text").textContent = `${scene.shown.length} (${(scene.shown.length / L).toFixed(2)} L)`;
  get("contacts-of").textContent = `of ${state.method}`;
  get("method-says").textContent = methods.get(state.method).label;
  fillTally();
  if (ready) fillTable();
  state.read = null;
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
  hit: "contact (< 8 \u00c5)", copy: "contact with another copy (< 8 \u00c5)", near: `near (8 to ${NEAR} \u00c5)`,
  miss: `${model.kind === "model" ? "not in the model" : "wrong"} (\u2265 ${NEAR} \u00c5)`,
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
    [rank], [queryName(i), i], [queryName(j), j],
    ...(distances ? [[structureName(i), i], [structureName(j), j]] : []), [j - i],
    [number(scoreOf(methods.get(state.method), p), 3)], ...(model.probability ? [[number(probabilityOf(p), 3)]] : []),
    ...(tested ? [[qText(p), significanceOf(p, "q") ?? 1]] : []),
  ];
  for (const [text, value] of cells) {
    row.append(element("td", text, value === undefined || text === MISSING ? {} : { "data-value": value }));
  }
  if (!distances) return row;
  const kind = verdict(p);
  const last = element("td");
  const mark = element("span", null, { class: kind });
  mark.append(symbol(kind), distanceOf(p) === null ? MISSING : shownDistance(p));
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
    ["alignment columns", `${fileColumn(i)}, ${fileColumn(j)}`],
    ...(model.uniprot ? [["UniProt numbering", `${model.uniprot[i] || MISSING}, ${model.uniprot[j] || MISSING}`]] : []),
    ["apart in sequence", j - i],
    ["rank in this range", rank ? `${counted(rank)} of ${counted(ranked.order.length)}` : "outside the range"],
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

function verdictMark(p) {
  const mark = element("span", null, { class: verdict(p) });
  mark.append(symbol(verdict(p)), distanceText(p));
  return mark;
}

function inspect(p) {
  const box = get("inspect");
  if (p === null) {
    if (state.read === null) box.replaceChildren(element("p", "No pair lies in this range.", { class: "muted" }));
    return;
  }
  state.read = p;
  const [i, j] = [rowOf[p], columnOf[p]];
  const list = element("dl");
  for (const [name, value] of facts(p)) list.append(element("dt", name), element("dd", value));
  const all = element("dl");
  for (const method of methods.values()) {
    const place = method.place[p];
    const rank = place < 0 ? `> ${counted(method.order.length)}` : counted(place + 1);
    all.append(element("dt", method.name), element("dd", `${number(scoreOf(method, p), 3)} \u00b7 rank ${rank}`));
  }
  const [left, right] = [element("div"), element("div")];
  left.append(list);
  right.append(element("h3", "Every method: score and rank"), all);
  const head = element("div", `${queryName(i)} \u2013 ${queryName(j)}`, { class: "pair" });
  if (distances) head.append(verdictMark(p));
  box.replaceChildren(head, left, right);
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
    `alignment columns ${fileColumn(i)}, ${fileColumn(j)} \u00b7 ${rank ? `rank ${counted(rank)}` : "outside the range"}`,
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
  const method = methods.get(state.method);
  for (const p of scene.shown) {
    const [i, j] = [rowOf[p], columnOf[p]];
    const known = (value, digits) => (value === null ? "" : value.toFixed(digits));
    const residues = [i, j].map((k) => (model.residue ? model.residue[k] : ""));
    const score = scoreOf(method, p);
    const probability = method.kind === "probability" ? score : probabilityOf(p);
    lines.push([i + model.first, model.query[i], j + model.first, model.query[j], score.toPrecision(6), known(probability, 6),
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
  fillTip(p); // at once: browsers send one move a picture, and this costs a millisecond
  if (state.pinned !== null) return;
  recross();
  soon(() => inspect(state.hover));
});
canvas.addEventListener("pointerleave", () => { state.hover = null; fillTip(null); recross(); tell(); });
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
  if (!row) return;
  settle(); // rows that came with the file are replaced first: they cannot be marked
  pin(Number(row.dataset.pair));
});
get("contacts-region").addEventListener("keydown", (event) => {
  const by = { n: 1, p: -1 }[event.key.toLowerCase()];
  if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
  settle();
  const rows = [...get("contacts").tBodies[0].rows]; // as they are sorted
  const at = rows.indexOf(marked);
  const row = rows[at < 0 ? 0 : (at + by + rows.length) % rows.length];
  if (!row) return;
  pin(Number(row.dataset.pair));
  row.scrollIntoView({ block: "nearest" });
});
get("save-csv").addEventListener("click", saveCsv);
get("contacts").tHead.addEventListener("click", settle, { capture: true }); // the file's own rows carry no values to sort by
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
