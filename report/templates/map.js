// The data of the page and the drawing of the contact map. Pairs i < j are numbered row by row.

const model = JSON.parse(document.getElementById("payload").textContent);
const L = model.length;
const PAIRS = (L * (L - 1)) / 2;
const NEAR = 12; // angstrom: a wrong contact closer than this is drawn as near

function buffer(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
  return bytes.buffer;
}

const rowOf = new Uint16Array(PAIRS);
const columnOf = new Uint16Array(PAIRS);
for (let i = 0, p = 0; i < L; i++) {
  for (let j = i + 1; j < L; j++, p++) {
    rowOf[p] = i;
    columnOf[p] = j;
  }
}
const pairOf = (i, j) => (i * (2 * L - i - 1)) / 2 + j - i - 1;

const distances = model.distance ? new Uint16Array(buffer(model.distance)) : null;
// A distance that is shown never rounds up over an edge: 7.96 is a contact and reads 7.9
const shownDistance = (p) => (Math.floor(distanceOf(p) * 10 + 1e-6) / 10).toFixed(1);
const distanceOf = (p) => (distances && distances[p] !== 65535 ? distances[p] / 100 : null);

const methods = new Map();
for (const packed of model.methods) {
  const order = new Uint32Array(buffer(packed.order));
  const place = new Int32Array(PAIRS).fill(-1);
  order.forEach((p, k) => { place[p] = k; });
  methods.set(packed.name, {
    ...packed,
    values: packed.bits === 16 ? new Uint16Array(buffer(packed.values)) : new Uint8Array(buffer(packed.values)),
    order,
    place,
    top: new Float32Array(buffer(packed.top)),
    bins: packed.bins ? new Uint8Array(buffer(packed.bins)) : null,
    ranked: new Map(),
  });
}

// The score as computed for the best 3 L pairs, to the step of the shading for the others.
function scoreOf(method, p) {
  const place = method.place[p];
  if (place >= 0) return method.top[place];
  return method.low + (method.values[p] * (method.high - method.low)) / (2 ** method.bits - 1);
}

const apart = (p) => columnOf[p] - rowOf[p];

// All pairs of a range, best first, and the rank of each (0 outside): the best 3 L as computed, the others
// by their level of shading, ties in the order of pairs (a counting sort: half a million pairs take 20 ms).
function rankedPairs(method, range) {
  const key = `${range.low},${range.high}`;
  if (method.ranked.has(key)) return method.ranked.get(key);
  const inside = (p) => apart(p) >= range.low && apart(p) < range.high;
  const levels = 2 ** method.bits;
  const start = new Uint32Array(levels + 1);
  const first = method.order.filter(inside);
  let total = first.length;
  for (let p = 0; p < PAIRS; p++) {
    if (method.place[p] >= 0 || !inside(p)) continue;
    start[levels - method.values[p]]++;
    total++;
  }
  for (let k = 1; k <= levels; k++) start[k] += start[k - 1];
  const order = new Uint32Array(total);
  order.set(first);
  for (let p = 0; p < PAIRS; p++) {
    if (method.place[p] < 0 && inside(p)) order[first.length + start[levels - 1 - method.values[p]]++] = p;
  }
  const rank = new Uint32Array(PAIRS);
  order.forEach((p, k) => { rank[p] = k + 1; });
  const made = { order, rank };
  method.ranked.set(key, made);
  return made;
}

function verdict(p) {
  if (!distances) return "open";
  const distance = distanceOf(p);
  if (distance === null) return "unresolved";
  if (distance < model.contact) return "hit";
  if (touchesCopy(p)) return "copy";
  return distance < NEAR ? "near" : "miss";
}

const pairSet = (text) => (text ? new Set(new Uint32Array(buffer(text))) : null);
const partners = pairSet(model.partner); // contacts in the assembly that may lie between copies
const elsewhere = pairSet(model.elsewhere); // contacts in further structures of the row
const touchesCopy = (p) => partners !== null && partners.has(p);
const secondary = model.structure?.secondary.some(Boolean) ? model.structure.secondary : null;

const canvas = document.getElementById("map");
const over = document.getElementById("cross"); // lies on the map: a hover draws on it and leaves the map as it is
const TRACK = secondary ? 12 : 0; // pixels for the secondary structure along the axes
const margin = { left: 54 + TRACK, top: 20, right: 6, bottom: 34 + TRACK };
const view = { cell: 1, side: 1, width: 0 };

function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const marks = {
  hit: { colour: "--c-blue", draw: (g, x, y, r) => { g.arc(x, y, r, 0, 7); g.fill(); } },
  open: { colour: "--c-blue", draw: (g, x, y, r) => { g.arc(x, y, r, 0, 7); g.fill(); } },
  near: {
    colour: "--c-orange",
    draw: (g, x, y, r) => {
      g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); g.closePath(); g.stroke();
    },
  },
  copy: {
    colour: "--c-green",
    draw: (g, x, y, r) => { g.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8); g.stroke(); },
  },
  miss: {
    colour: "--c-red",
    draw: (g, x, y, r) => {
      g.moveTo(x - r, y - r); g.lineTo(x + r, y + r); g.moveTo(x + r, y - r); g.lineTo(x - r, y + r); g.stroke();
    },
  },
  unresolved: { colour: "--c-grey", draw: (g, x, y, r) => { g.arc(x, y, r, 0, 7); g.stroke(); } },
};

function drawMarks(g, pairs, mirrored) {
  const radius = Math.max(view.cell * 0.46, 2.4);
  g.lineWidth = 1.5;
  for (const p of pairs) {
    const mark = marks[verdict(p)];
    g.fillStyle = g.strokeStyle = mark.tone;
    const [across, down] = mirrored ? [rowOf[p], columnOf[p]] : [columnOf[p], rowOf[p]];
    g.beginPath();
    mark.draw(g, margin.left + (across + 0.5) * view.cell, margin.top + (down + 0.5) * view.cell, radius);
  }
}

// One pixel a pair, stretched over the plot: the shading above the diagonal.
function shading(method, range) {
  const { order } = rankedPairs(method, range);
  const sheet = new OffscreenCanvas(L, L);
  const image = new ImageData(L, L);
  const [red, green, blue] = rgb(themed("--c-sky"));
  const middle = method.values[order[order.length >> 1]] ?? 0;
  const high = method.values[order[Math.min(L, order.length - 1)]] ?? 1;
  for (const p of order) {
    const strength = Math.min(1, (method.values[p] - middle) / (high - middle || 1));
    if (strength <= 0) break; // best first: the rest lies below the median too
    const at = 4 * (rowOf[p] * L + columnOf[p]);
    image.data[at] = red;
    image.data[at + 1] = green;
    image.data[at + 2] = blue;
    image.data[at + 3] = 150 * strength;
  }
  sheet.getContext("2d").putImageData(image, 0, 0);
  return sheet;
}

function rgb(hex) {
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
}

// Contacts of the structure: those that are shown above, those that are not, and, pale, those of other ranges.
function drawTruth(g, shown, range) {
  const found = new Set(shown);
  const kindOf = (p) => (apart(p) < range.low || apart(p) >= range.high ? 0 : found.has(p) ? 2 : 1);
  const size = Math.max(view.cell, 1.4);
  for (const [kind, colour] of ["--line", "--true", "--c-blue"].map(themed).entries()) {
    g.fillStyle = colour;
    for (let p = 0; p < PAIRS; p++) {
      if (distances[p] >= model.contact * 100 || apart(p) < model.minSeparation || kindOf(p) !== kind) continue;
      g.fillRect(margin.left + rowOf[p] * view.cell, margin.top + columnOf[p] * view.cell, size, size);
    }
  }
}

function drawUnresolved(g) {
  if (!distances || !model.residue) return;
  g.fillStyle = themed("--faint");
  model.residue.forEach((number, k) => {
    if (number !== "") return;
    g.fillRect(margin.left + k * view.cell, margin.top, view.cell, view.side);
    g.fillRect(margin.left, margin.top + k * view.cell, view.side, view.cell);
  });
}

function tickStep() {
  const wanted = (L * 46) / view.side;
  return [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000].find((step) => step >= wanted) ?? 2000;
}

function drawAxes(g) {
  g.strokeStyle = themed("--muted");
  g.fillStyle = themed("--muted");
  g.lineWidth = 1;
  g.strokeRect(margin.left + 0.5, margin.top + 0.5, view.side - 1, view.side - 1);
  g.beginPath();
  g.moveTo(margin.left, margin.top);
  g.lineTo(margin.left + view.side, margin.top + view.side);
  g.stroke();
  g.font = "11px system-ui, sans-serif";
  const step = tickStep();
  for (let number = Math.ceil(model.first / step) * step; number < model.first + L; number += step) {
    const place = (number - model.first + 0.5) * view.cell;
    g.textAlign = "center"; g.textBaseline = "top";
    g.fillText(number, margin.left + place, margin.top + view.side + 5 + TRACK);
    g.textAlign = "right"; g.textBaseline = "middle";
    g.fillText(number, margin.left - 5 - TRACK, margin.top + place);
  }
  g.textAlign = "center"; g.textBaseline = "bottom";
  g.fillText("query residue", margin.left + view.side / 2, margin.top + view.side + margin.bottom);
}

// What each half shows, along the edge that it touches.
function drawTitles(g, [above, below]) {
  const fitted = (text) => {
    while (text.length > 4 && g.measureText(text).width > view.side) text = `${text.slice(0, -2)}\u2026`;
    return text;
  };
  g.font = "600 12px system-ui, sans-serif";
  g.fillStyle = themed("--ink");
  g.textAlign = "right"; g.textBaseline = "top";
  g.fillText(fitted(above), margin.left + view.side, 3);
  g.save();
  g.translate(12, margin.top + view.side);
  g.rotate(-Math.PI / 2);
  g.textAlign = "left"; g.textBaseline = "middle";
  g.fillText(fitted(below), 0, 0);
  g.restore();
}

// Runs of one kind of secondary structure: [kind, first, last].
function runs(codes) {
  const found = [];
  codes.forEach((code, k) => {
    if (found.length && found.at(-1)[0] === code) found.at(-1)[2] = k;
    else found.push([code, k, k]);
  });
  return found;
}

// Helices as bars, strands as arrows, the rest as a line, along a track of a given height that starts at (x, y).
function drawSecondary(g, x, y, cell, height, codes) {
  for (const [code, first, last] of runs(codes)) {
    if (code === "") continue;
    const [from, to, middle] = [x + first * cell, x + (last + 1) * cell, y + height / 2];
    g.fillStyle = themed({ H: "--c-purple", E: "--c-green" }[code] ?? "--muted");
    g.beginPath();
    if (code === "H") g.roundRect(from, y, to - from, height, Math.min(height / 2, (to - from) / 2));
    else if (code === "E") {
      const head = Math.min(to - from, height * 1.1);
      g.moveTo(from, middle - height / 4); g.lineTo(to - head, middle - height / 4); g.lineTo(to - head, y);
      g.lineTo(to, middle); g.lineTo(to - head, y + height); g.lineTo(to - head, middle + height / 4);
      g.lineTo(from, middle + height / 4);
    } else g.rect(from, middle - 0.5, to - from, 1);
    g.fill();
  }
}

function drawTracks(g) {
  if (!secondary) return;
  drawSecondary(g, margin.left, margin.top + view.side + 4, view.cell, 8, secondary);
  g.save();
  g.translate(margin.left - 4, margin.top);
  g.rotate(Math.PI / 2);
  drawSecondary(g, 0, 0, view.cell, 8, secondary);
  g.restore();
}

function drawCross(p) {
  const g = cleared(over);
  if (p === null) return;
  const [x, y] = [columnOf[p], rowOf[p]].map((k) => (k + 0.5) * view.cell);
  g.strokeStyle = themed("--c-orange");
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(margin.left, margin.top + y); g.lineTo(margin.left + view.side, margin.top + y);
  g.moveTo(margin.left + x, margin.top); g.lineTo(margin.left + x, margin.top + view.side);
  g.stroke();
  g.lineWidth = 2;
  for (const [a, b] of [[x, y], [y, x]]) {
    g.beginPath();
    g.arc(margin.left + a, margin.top + b, Math.max(view.cell, 6), 0, 7);
    g.stroke();
  }
}

// scene: {shown, below (pairs of another method, or null for the truth), sheet, titles, cross}.
function drawMap(scene) {
  const width = canvas.clientWidth;
  view.width = width;
  view.side = Math.min(width - margin.left - margin.right, width - margin.top - margin.bottom);
  view.cell = view.side / L;
  for (const mark of Object.values(marks)) mark.tone = themed(mark.colour);
  const g = cleared(canvas);
  drawUnresolved(g);
  g.imageSmoothingEnabled = false;
  if (scene.sheet) g.drawImage(scene.sheet, margin.left, margin.top, view.side, view.side);
  if (scene.below) drawMarks(g, scene.below, true);
  else if (distances) drawTruth(g, scene.shown, scene.range);
  drawMarks(g, scene.shown, false);
  drawAxes(g);
  drawTitles(g, scene.titles);
  drawTracks(g);
  drawCross(scene.cross);
}

// An empty sheet as large as the map.
function cleared(sheet) {
  const ratio = window.devicePixelRatio || 1;
  const pixels = Math.round(view.width * ratio);
  const g = sheet.getContext("2d");
  if (sheet.width !== pixels) sheet.width = sheet.height = pixels;
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, pixels, pixels);
  g.scale(ratio, ratio);
  return g;
}

// The pair under a pointer, either side of the diagonal; null outside and on the diagonal.
function pairAt(event) {
  const box = canvas.getBoundingClientRect();
  const [a, b] = [event.clientX - box.left - margin.left, event.clientY - box.top - margin.top].map((at) =>
    Math.floor(at / view.cell),
  );
  if (a === b || Math.min(a, b) < 0 || Math.max(a, b) >= L) return null;
  return pairOf(Math.min(a, b), Math.max(a, b));
}
