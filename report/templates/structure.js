// The structure in three dimensions, drawn by 3Dmol.js from the coordinates in the page.

const ATOM_NAMES = ["N", "CA", "C", "O", "CB"];
const three = { viewer: null, dashes: [], chosen: [], labels: [], sticks: null, copies: [] };

function atomsOf(packed) {
  const levels = new Int16Array(buffer(packed.atoms));
  const atoms = [];
  const kind = { H: "h", E: "s" };
  const codes = packed.secondary;
  for (let k = 0; k < L; k++) {
    for (let a = 0; a < ATOM_NAMES.length; a++) {
      const at = 3 * (ATOM_NAMES.length * k + a);
      if (levels[at] === packed.missing) continue;
      const [x, y, z] = [0, 1, 2].map((axis) => levels[at + axis] * packed.step);
      const alone = ATOM_NAMES[a] === "CB" && levels[at - 9] === packed.missing; // no C-alpha: it holds the trace
      atoms.push({
        x, y, z, atom: alone ? "CA" : ATOM_NAMES[a], measured: ATOM_NAMES[a], elem: ATOM_NAMES[a][0], resn: "UNK", resi: k + 1, chain: "A", hetflag: false,
        serial: atoms.length + 1, index: atoms.length, bonds: [], bondOrder: [], properties: {}, ss: kind[codes[k]] ?? "c",
        ssbegin: codes[k] !== codes[k - 1], ssend: codes[k] !== codes[k + 1],
      });
    }
  }
  return atoms;
}

// C-beta, or C-alpha of glycine: the point that a distance is measured from.
function pointOf(k) {
  return three.points.get(k) ?? null;
}

function bondAtoms(atoms) {
  const wanted = { N: ["CA"], CA: ["C", "CB"], C: ["O"] };
  const byResidue = Map.groupBy ? Map.groupBy(atoms, (atom) => atom.resi) : grouped(atoms);
  for (const group of byResidue.values()) {
    for (const atom of group) {
      for (const other of group.filter((one) => (wanted[atom.atom] ?? []).includes(one.atom))) {
        atom.bonds.push(other.index); atom.bondOrder.push(1);
        other.bonds.push(atom.index); other.bondOrder.push(1);
      }
    }
  }
}

function grouped(atoms) {
  const groups = new Map();
  for (const atom of atoms) groups.set(atom.resi, [...(groups.get(atom.resi) ?? []), atom]);
  return groups;
}

// Violet to yellow, told apart with any colour vision: viridis, after matplotlib, without the end that is lost on
// the page's background.
const RAMPS = {
  light: ["#440154", "#3b528b", "#21918c", "#5ec962", "#d9b90d"].map(rgb),
  dark: ["#8a63c7", "#5b7fc0", "#2ba39c", "#6fd070", "#fde725"].map(rgb),
};
const DARK = matchMedia("(prefers-color-scheme: dark)");

function ramp(share) {
  const stops = DARK.matches ? RAMPS.dark : RAMPS.light;
  const at = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1);
  const [low, part] = [Math.floor(at), at % 1];
  return `rgb(${stops[low].map((value, k) => Math.round(value + part * (stops[low + 1][k] - value))).join(",")})`;
}

const paints = {
  secondary: (k) => themed({ H: "--c-purple", E: "--c-green" }[model.structure.secondary[k]] ?? "--true"),
  order: (k) => ramp(k / Math.max(1, L - 1)),
  conservation: (k) => ramp(model.bits[k] / Math.log2(20)),
};

const paintWords = {
  secondary: "Purple: helices, green: strands.",
  order: "Violet: the first residue, yellow: the last.",
  conservation: "Violet: variable, yellow: conserved (bits of the sequence logo).",
};

function paint() {
  get("paint-says").textContent = paintWords[get("paint").value];
  const tone = paints[get("paint").value];
  const tones = Array.from({ length: L }, (_, k) => tone(k));
  const look = three.trace ? { style: "trace", thickness: 0.6 } : { thickness: 0.3, arrows: true };
  three.viewer.setStyle({}, { cartoon: { colorfunc: (atom) => tones[atom.resi - 1], ...look } });
  three.viewer.setBackgroundColor(themed("--card"));
}

const at3d = ([x, y, z]) => ({ x, y, z });

function dash(shape, p, radius) {
  const [from, to] = [pointOf(rowOf[p]), pointOf(columnOf[p])];
  if (from && to) dashBetween(shape, from, to, radius);
}

function dashBetween(shape, from, to, radius) {
  const steps = Math.max(3, Math.round(between(from, to) / 1.2)) | 1;
  const along = (share) => at3d(from.map((value, k) => value + share * (to[k] - value)));
  for (let k = 0; k < steps; k += 2) {
    shape.addCylinder({ start: along(k / steps), end: along((k + 1) / steps), radius, fromCap: 1, toCap: 1 });
  }
}

// One shape for all dashes of a colour: a thousand of them still turn smoothly.
function drawDashes() {
  three.dashes.forEach((shape) => three.viewer.removeShape(shape));
  three.dashes = [];
  if (!get("draw-shown").checked) return;
  const kinds = Object.keys(marks);
  for (const kind of kinds) {
    const pairs = scene.shown.filter((p) => verdict(p) === kind);
    if (pairs.length === 0) continue;
    const shape = three.viewer.addShape({ color: themed(marks[kind].colour) });
    for (const p of pairs) dash(shape, p, 0.11);
    three.dashes.push(shape);
  }
}

// Points of the copies in the assembly that touch the chain: residue to place, in the chain's frame.
function copiesOf(packed) {
  return packed.copies.map((copy) => {
    const levels = new Int16Array(buffer(copy.points));
    const points = new Map();
    for (let k = 0; k < L; k++) {
      if (levels[3 * k] !== packed.missing) points.set(k, [0, 1, 2].map((axis) => levels[3 * k + axis] * copy.step));
    }
    return points;
  });
}

const between = (a, b) => Math.hypot(...a.map((value, k) => b[k] - value));

// The nearest meeting of the pair across two copies: own residue, its place, the other's residue, place and copy.
function meeting(p) {
  let best = null;
  for (const copy of three.copies) {
    for (const [own, other] of [[rowOf[p], columnOf[p]], [columnOf[p], rowOf[p]]]) {
      const [from, to] = [pointOf(own), copy.get(other)];
      if (!from || !to) continue;
      const distance = between(from, to);
      if (best === null || distance < best.distance) best = { own, other, from, to, copy, distance };
    }
  }
  return best;
}

// The copy that a pair touches: a faint trace, its residue, and the way between the two.
function drawCopy(p) {
  const met = meeting(p);
  if (met === null) return;
  const faint = three.viewer.addShape({ color: themed("--c-grey"), opacity: 0.45 });
  for (let k = 0; k + 1 < L; k++) {
    const [from, to] = [met.copy.get(k), met.copy.get(k + 1)];
    if (from && to && between(from, to) < 8) {
      faint.addCylinder({ start: at3d(from), end: at3d(to), radius: 0.28, fromCap: 2, toCap: 2 });
    }
  }
  const bright = three.viewer.addShape({ color: themed(marks.copy.colour) });
  bright.addSphere({ center: at3d(met.to), radius: 0.75 });
  dashBetween(bright, met.from, met.to, 0.22);
  const text = `${queryName(met.own)} \u2013 ${queryName(met.other)} of another copy: ${(Math.floor(met.distance * 10) / 10).toFixed(1)} \u00c5`;
  three.labels.push(label3d(text, met.to));
  three.chosen.push(faint, bright);
}

function drawChosen(p) {
  three.chosen.forEach((shape) => three.viewer.removeShape(shape));
  three.labels.forEach((label) => three.viewer.removeLabel(label));
  three.chosen = []; three.labels = [];
  if (p === null) return;
  const ends = [rowOf[p], columnOf[p]];
  const tone = themed(marks[verdict(p)].colour);
  const points = ends.map(pointOf);
  const shape = three.viewer.addShape({ color: tone });
  for (const point of points) if (point) shape.addSphere({ center: at3d(point), radius: 0.75 });
  if (points.every(Boolean)) {
    dash(shape, p, 0.22);
    const middle = points[0].map((value, k) => (value + points[1][k]) / 2);
    three.labels.push(label3d(`${queryName(ends[0])} \u2013 ${queryName(ends[1])}: ${shownDistance(p)} \u00c5`, middle));
  }
  three.chosen.push(shape);
  if (verdict(p) === "copy") drawCopy(p);
}

function label3d(text, point) {
  return three.viewer.addLabel(text, {
    position: at3d(point), fontSize: 13, fontColor: themed("--ink"), backgroundColor: themed("--card"), backgroundOpacity: 0.85,
    borderThickness: 0, inFront: true, alignment: "bottomCenter", screenOffset: { x: 0, y: 22 },
  });
}

function sayChosen(p) {
  const box = get("structure-says");
  if (p === null) { box.textContent = "No pair is chosen."; return; }
  const ends = [rowOf[p], columnOf[p]];
  const lost = ends.filter((k) => !pointOf(k)).map(queryName);
  box.textContent = lost.length
    ? `${lost.join(" and ")}: no coordinates in the structure.`
    : `${ends.map(queryName).join(" \u2013 ")}: ${distanceText(p)}.${verdict(p) === "copy" && meeting(p) ? " Grey: the copy that it touches." : ""}`;
}

function showIn3d(p) {
  unseen(() => { drawDashes(); drawChosen(p); });
  sayChosen(p);
  three.viewer.render();
  get("structure").dataset.drawn = p ?? "";
}

// Work on the scene without a picture after each step: 3Dmol draws at every change of view, colour and label.
function unseen(work) {
  three.viewer.show = () => {};
  try {
    work();
  } finally {
    delete three.viewer.show;
  }
}

function placePoints(atoms) {
  three.points = new Map();
  for (const atom of atoms) {
    const k = atom.resi - 1;
    if (atom.measured === model.structure.measured[k] || (atom.atom === "CA" && atom.measured === "CB")) {
      three.points.set(k, [atom.x, atom.y, atom.z]);
    }
  }
  three.trace = atoms.filter((atom) => atom.atom === "O").length < three.points.size / 2; // C-beta alone: no ribbon
}

// In steps, between which the page answers.
const startSteps = [
  () => {
    const script = element("script", get("viewer-source").textContent);
    document.head.append(script); // read only now: half a megabyte of code would keep the map waiting
  },
  () => { three.viewer = $3Dmol.createViewer(get("structure"), { antialias: true, disableFog: false }); },
  () => {
    const atoms = atomsOf(model.structure);
    bondAtoms(atoms);
    placePoints(atoms);
    three.copies = copiesOf(model.structure);
    unseen(() => {
      three.viewer.addModel().addAtoms(atoms);
      paint();
      three.viewer.zoomTo();
    });
  },
  () => { listeners.push(showIn3d); listenToStructure(); tell(); },
];

const turns = {
  ArrowLeft: () => three.viewer.rotate(-15, "y"), ArrowRight: () => three.viewer.rotate(15, "y"),
  ArrowUp: () => three.viewer.rotate(-15, "x"), ArrowDown: () => three.viewer.rotate(15, "x"),
  "+": () => three.viewer.zoom(1.2), "=": () => three.viewer.zoom(1.2), "-": () => three.viewer.zoom(1 / 1.2),
};

function listenToStructure() {
  get("paint").addEventListener("change", () => { paint(); three.viewer.render(); });
  get("draw-shown").addEventListener("change", tell);
  get("centre").addEventListener("click", () => { three.viewer.zoomTo(); three.viewer.render(); });
  const box = get("structure");
  box.addEventListener("pointerdown", () => box.focus({ preventScroll: true }));
  // The page scrolls on over a structure that nobody has clicked
  box.addEventListener("wheel", (event) => { if (document.activeElement !== box) event.stopPropagation(); }, { capture: true, passive: true });
  box.addEventListener("keydown", (event) => {
    const turn = turns[event.key];
    if (!turn || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    turn();
    three.viewer.render();
  });
  DARK.addEventListener("change", () => { paint(); tell(); });
}

// The viewer starts when the page is read and it comes into view, and only while nobody moves on the map.
const soon3d = () => setTimeout(open3d, REST); // a first hover is answered before

if (model.structure) {
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    if (document.readyState === "complete") soon3d();
    else addEventListener("load", soon3d);
  }).observe(get("structure"));
}

function hasWebgl() {
  const sheet = document.createElement("canvas");
  return Boolean(sheet.getContext("webgl2") ?? sheet.getContext("webgl"));
}

function open3d() {
  if (hasWebgl()) {
    inSteps(startSteps);
    return;
  }
  const text = "The structure cannot be drawn: this browser has no WebGL. The map and the tables do without.";
  get("structure").replaceChildren(element("p", text, { class: "caption", id: "no-webgl" }));
  for (const name of ["draw-shown", "paint", "centre"]) get(name).disabled = true;
  get("structure").dataset.drawn = "";
}
