// Pictures of the evidence: the sequence logo with secondary structure, and the distribution of the scores.

const shares = new Uint8Array(buffer(model.profile));
const CHEMISTRY = [
  ["AVLIMFWYC", "--c-blue", "hydrophobic"], ["STNQ", "--c-green", "polar"], ["KRH", "--c-red", "positive"],
  ["DE", "--c-purple", "negative"], ["GP", "--c-orange", "glycine, proline"],
];
const toneOf = Object.fromEntries(CHEMISTRY.flatMap(([letters, tone]) => [...letters].map((letter) => [letter, tone])));

function rowsOfLogo(width) {
  const fit = Math.floor((width - 40) / 15 / 10) * 10;
  return Math.max(10, Math.min(fit, 100));
}

const LOGO = { height: 84, track: 10, foot: 30 };

function drawLogo() {
  const sheet = get("logo");
  const width = sheet.clientWidth;
  if (width < 60) return;
  const count = rowsOfLogo(width);
  const lines = Math.ceil(L / count);
  const [g] = sized(sheet, lines * (LOGO.height + LOGO.track + LOGO.foot));
  const cell = (width - 40) / count;
  const tones = Object.fromEntries(Object.entries(toneOf).map(([letter, tone]) => [letter, themed(tone)]));
  for (let line = 0; line < lines; line++) {
    drawLogoLine(g, line * count, Math.min(L, (line + 1) * count), cell, line * (LOGO.height + LOGO.track + LOGO.foot), tones);
  }
}

function drawLogoLine(g, first, last, cell, top, tones) {
  const unit = (LOGO.height - 6) / Math.log2(20);
  const floor = top + LOGO.height;
  g.textAlign = "right"; g.textBaseline = "middle"; g.fillStyle = themed("--muted");
  g.font = "11px system-ui, sans-serif";
  for (const bits of [0, 2, 4]) g.fillText(bits, 26, floor - bits * unit);
  for (let k = first; k < last; k++) {
    const x = 32 + (k - first) * cell;
    g.fillStyle = themed("--faint");
    const lost = (gaps[k] / 255) * Math.log2(20) * unit;
    g.fillRect(x, floor - lost, cell, lost);
    drawStack(g, k, x, floor, cell, unit, tones);
  }
  if (secondary) drawSecondary(g, 32, floor + 3, cell, LOGO.track - 2, secondary.slice(first, last));
  g.textAlign = "center"; g.textBaseline = "top";
  g.font = "11px system-ui, sans-serif"; g.fillStyle = themed("--muted");
  for (let k = first; k < last; k++) {
    if ((k + model.first) % 10 === 0) g.fillText(k + model.first, 32 + (k - first + 0.5) * cell, floor + LOGO.track + 4);
  }
}

// Letters of one position, the most frequent on top; a letter as high as its share of the information.
function drawStack(g, k, x, floor, cell, unit, tones) {
  const letters = [...AMINO].map((letter, a) => [letter, shares[20 * k + a] / 255]).sort((a, b) => a[1] - b[1]);
  let y = floor;
  for (const [letter, share] of letters) {
    const height = share * model.bits[k] * unit;
    if (height < 0.8) { y -= height; continue; }
    g.save();
    g.translate(x + cell / 2, y);
    g.font = "bold 20px ui-monospace, 'DejaVu Sans Mono', monospace";
    g.textAlign = "center"; g.textBaseline = "alphabetic";
    g.scale((cell - 1) / 12.1, height / 14.6);
    g.fillStyle = tones[letter];
    g.fillText(letter, 0, 0);
    g.restore();
    y -= height;
  }
}

function fillLogoKey() {
  const list = get("logo-key");
  for (const [letters, tone, name] of CHEMISTRY) {
    const item = element("li");
    const swatch = element("i", null, { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = `var(${tone})`;
    item.append(swatch, `${name} (${letters})`);
    list.append(item);
  }
}

const BINS = 60;

// Scores of all pairs in the range, on a logarithmic scale of counts: contacts in front of all, and the cut.
function drawScores() {
  const sheet = get("scores");
  const method = methods.get(state.method);
  const { order } = rankedPairs(method, state.range);
  if (order.length === 0 || sheet.clientWidth < 60) return;
  const values = new Float64Array(order.length);
  for (let k = 0; k < order.length; k++) values[k] = scoreOf(method, order[k]);
  const [low, high] = [values.at(-1), values[0]];
  const all = new Float64Array(BINS), hits = new Float64Array(BINS);
  const near = model.contact * 100;
  for (let k = 0; k < order.length; k++) {
    const bin = Math.min(BINS - 1, Math.floor(((values[k] - low) / (high - low || 1)) * BINS));
    all[bin]++;
    if (distances && distances[order[k]] < near) hits[bin]++;
  }
  const [g, width] = sized(sheet, 200);
  const plot = { left: 46, right: width - 8, top: 8, bottom: 164 };
  const top = Math.log10(Math.max(...all) + 1);
  const up = (count) => plot.bottom - (Math.log10(count + 1) / top) * (plot.bottom - plot.top);
  const step = (plot.right - plot.left) / BINS;
  for (const [counts, tone] of [[all, "--true"], [hits, "--c-blue"]]) {
    g.fillStyle = themed(tone);
    counts.forEach((count, k) => { if (count) g.fillRect(plot.left + k * step, up(count), step - 0.6, plot.bottom - up(count)); });
  }
  drawScoreAxes(g, plot, up, top, low, high);
  const cut = scoreOf(method, scene.shown.at(-1));
  const x = plot.left + ((cut - low) / (high - low || 1)) * (plot.right - plot.left);
  g.fillStyle = themed("--c-orange");
  g.fillRect(x - 1, plot.top, 2, plot.bottom - plot.top);
  get("scores-say").textContent = sayCut(method, values, cut);
}

// The next of 1, 2 and 5 times a power of ten.
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least || 1));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999);
}

function drawScoreAxes(g, plot, up, top, low, high) {
  g.strokeStyle = g.fillStyle = themed("--muted");
  g.beginPath();
  g.moveTo(plot.left - 0.5, plot.top); g.lineTo(plot.left - 0.5, plot.bottom + 0.5); g.lineTo(plot.right, plot.bottom + 0.5);
  g.stroke();
  g.textAlign = "right"; g.textBaseline = "middle";
  for (let power = 0; power < top; power++) g.fillText((10 ** power).toLocaleString("en"), plot.left - 6, up(10 ** power));
  g.textBaseline = "top"; g.textAlign = "center";
  const step = roundStep((high - low) / 6);
  for (let k = Math.ceil(low / step); k * step <= high; k++) {
    const x = plot.left + ((k * step - low) * (plot.right - plot.left)) / (high - low || 1);
    g.fillText(Number((k * step).toPrecision(6)), Math.min(x, plot.right - 8), plot.bottom + 6);
  }
  g.fillText("score", (plot.left + plot.right) / 2, plot.bottom + 22);
}

// How far the cut lies above the bulk: median and median absolute deviation, which the contacts hardly move.
function sayCut(method, values, cut) {
  const middle = values[values.length >> 1];
  const spread = method.kind === "score" ? 1.4826 * medianDeviation(values, middle) : 0;
  const height = spread > 0 ? ` It lies ${((cut - middle) / spread).toFixed(1)} robust standard deviations above the median.` : "";
  return `${method.name}: the ${scene.shown.length} contacts shown score at least ${cut.toPrecision(3)} (orange line).${height}`;
}

let drawnScores = "";
function scoresAgain() {
  const key = `${state.method} ${state.range.low} ${state.range.high} ${scene.shown.length}`;
  if (key === drawnScores) return;
  drawnScores = key;
  drawScores();
}

function medianDeviation(values, middle) {
  const deviations = values.map((value) => Math.abs(value - middle)).sort();
  return deviations[deviations.length >> 1];
}

fillLogoKey();
listeners.push(scoresAgain);
function drawEvidence() {
  drawLogo();
  drawnScores = "";
  scoresAgain();
}

// Sections that were left out of the first layout, one after the other.
for (const section of document.querySelectorAll("main > section")) {
  whenRead.push(() => { section.style.contentVisibility = "visible"; });
}
whenRead.push(drawLogo, scoresAgain, () => {
  new ResizeObserver(drawEvidence).observe(get("logo"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawEvidence);
  document.body.dataset.read = ""; // all is drawn but the structure
});
addEventListener("load", () => inSteps(whenRead));
addEventListener("beforeprint", () => whenRead.splice(0).forEach((work) => work()));
