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
const distanceOf = (p) => (distances && distances[p] !== 65535 ? distances[p] / 100 : null);

const methods = new Map();
for (const packed of model.methods) {
  const order = new Uint32Array(buffer(packed.order));
  methods.set(packed.name, {
    ...packed,
    values: packed.bits === 16 ? new Uint16Array(buffer(packed.values)) : new Uint8Array(buffer(packed.values)),
    order,
    place: new Map(Array.from(order, (p, k) => [p, k])),
    top: new Float32Array(buffer(packed.top)),
    bins: packed.bins ? new Uint8Array(buffer(packed.bins)) : null,
    ranked: new Map(),
  });
}

// The score as computed for the best 3 L pairs, to the step of the shading for the others.
function scoreOf(method, p) {
  const place = method.place.get(p);
  if (place !== undefined) return method.top[place];
  return method.low + (method.values[p] * (method.high - method.low)) / (2 ** method.bits - 1);
}

// All pairs of a range, best first, and the rank of each.
function rankedPairs(method, range) {
  const key = `${range.low},${range.high}`;
  if (!method.ranked.has(key)) {
    const inside = (p) => columnOf[p] - rowOf[p] >= range.low && columnOf[p] - rowOf[p] < range.high;
    const rest = [];
    for (let p = 0; p < PAIRS; p++) if (inside(p) && !method.place.has(p)) rest.push(p);
    rest.sort((a, b) => method.values[b] - method.values[a] || a - b);
    const order = [...method.order].filter(inside).concat(rest);
    method.ranked.set(key, { order, rank: new Map(order.map((p, k) => [p, k + 1])) });
  }
  return method.ranked.get(key);
}

function verdict(p) {
  if (!distances) return "open";
  const distance = distanceOf(p);
  if (distance === null) return "unresolved";
  if (distance < model.contact) return "hit";
  return distance < NEAR ? "near" : "miss";
}

const canvas = document.getElementById("map");
const margin = { left: 40, top: 6, right: 6, bottom: 34 };
const view = { cell: 1, side: 1 };

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
    if (strength > 0) image.data.set([red, green, blue, 150 * strength], 4 * (rowOf[p] * L + columnOf[p]));
  }
  sheet.getContext("2d").putImageData(image, 0, 0);
  return sheet;
}

function rgb(hex) {
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
}

function drawTruth(g, shown) {
  const found = new Set(shown);
  const size = Math.max(view.cell, 1.4);
  for (const [colour, wanted] of [[themed("--true"), false], [themed("--c-blue"), true]]) {
    g.fillStyle = colour;
    for (let p = 0; p < PAIRS; p++) {
      if (distances[p] >= model.contact * 100 || columnOf[p] - rowOf[p] < model.minSeparation) continue;
      if (found.has(p) !== wanted) continue;
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
    g.fillText(number, margin.left + place, margin.top + view.side + 5);
    g.textAlign = "right"; g.textBaseline = "middle";
    g.fillText(number, margin.left - 5, margin.top + place);
  }
  g.textAlign = "center"; g.textBaseline = "bottom";
  g.fillText("query residue", margin.left + view.side / 2, margin.top + view.side + margin.bottom);
}

function drawCross(g, p) {
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

// scene: {shown, below (pairs of another method, or null for the truth), sheet, cross}
function drawMap(scene) {
  const width = canvas.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(width * ratio);
  view.side = width - margin.left - margin.right;
  view.side = Math.min(view.side, width - margin.top - margin.bottom);
  view.cell = view.side / L;
  for (const mark of Object.values(marks)) mark.tone = themed(mark.colour);
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  g.clearRect(0, 0, width, width);
  drawUnresolved(g);
  g.imageSmoothingEnabled = false;
  if (scene.sheet) g.drawImage(scene.sheet, margin.left, margin.top, view.side, view.side);
  if (scene.below) drawMarks(g, scene.below, true);
  else if (distances) drawTruth(g, scene.shown);
  drawMarks(g, scene.shown, false);
  drawAxes(g);
  drawCross(g, scene.cross);
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
