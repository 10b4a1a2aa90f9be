// The card of one pair: couplings, the distance that the network expects, the sequences that carry it.

// The evidence of one pair: what the network expects, the couplings, the sequences that carry it.
function fillCard(p) {
  const [left, right] = [element("div"), element("div")];
  get("card").replaceChildren(left, right); // in the page first: canvases need a width
  addBlock(left, p);
  addBins(left.firstChild ? right : left, p);
  addLetters(right, p);
  if (right.firstChild && blocks && !blocks.place.has(p)) {
    right.append(element("p", "Couplings are kept on this page of the best L pairs of plm alone.", { class: "caption" }));
  }
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
residues, orange disfavours it, in the units of the model's energy; the query's own pair is framed. Most favoured: ${best.map(name).join(", ")}.`;
  box.append(element("p", text, { class: "caption" }));
  drawBlock(sheet, values, p, blocks.scale[place]);
}

function drawBlock(sheet, values, p, largest) {
  const [g, width] = sized(sheet, sheet.clientWidth + 22);
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
  drawScale(g, [blue, orange], width, largest);
}

// What the colours of the couplings stand for.
function drawScale(g, [blue, orange], width, largest) {
  const [length, left, top] = [Math.min(160, width / 2), (width - Math.min(160, width / 2)) / 2, width + 6];
  for (let k = 0; k < length; k++) {
    const value = (2 * k) / (length - 1) - 1;
    g.fillStyle = `rgba(${value > 0 ? blue : orange},${Math.abs(value)})`;
    g.fillRect(left + k, top, 1, 10);
  }
  g.fillStyle = themed("--muted");
  g.textAlign = "right";
  g.fillText(`\u2212${largest.toFixed(2)}`, left - 6, top + 6);
  g.textAlign = "left";
  g.fillText(`+${largest.toFixed(2)}`, left + length + 6, top + 6);
}

