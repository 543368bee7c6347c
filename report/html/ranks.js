// Stages and ranks side by side: where the step of each goes on both sides, as bars on one scale and as numbers.

const rankTable = {
  rows: "ranks",
  limit: 16
};

const hasStages = () => model.stages.length > 1;

// Medians of a stage do not add up to its makespan exactly; the rest is the host's.
function stageUse([ranks, makespan, computing, exposed, bubble, memory]) {
  if (!ranks) return null;
  const host = Math.max(0, makespan - computing - exposed - bubble);
  return {makespan, breakdown: [computing, 0, exposed, bubble, host], memory_bytes_peak: memory, ranks};
}

function stageLines() {
  return model.stages.map((sides, stage) => {
    const uses = sides.map(stageUse);
    const counts = uses.map((use) => (use ? use.ranks : 0));
    const ranks = counts[0] === counts[1] ? counts[0] : counts.join(" / ");
    return {name: "stage " + stage, note: ranksText(ranks), uses};
  });
}

function rankLines() {
  return model.ranks.map(([rank, ...indices]) => {
    const uses = indices.map((index, side) => (index < 0 ? null : model.sides[side].ranks[index]));
    const others = uses.map((use, side) => (use && use.rank !== rank ? `${model.sides[side].title}: rank ${use.rank}` : ""));
    const stages = [...new Set(uses.filter(Boolean).map((use) => use.stage))];
    const note = [hasStages() ? "stage " + stages.join(" / ") : "", ...others].filter(Boolean).join(", ");
    return {name: "rank " + rank, note, uses, ranks: uses.map((use) => (use ? use.rank : -1))};
  });
}

function drawUseBars(canvas, uses, scale) {
  const {context, width, height} = prepare(canvas);
  const thick = (height - 4) / 2;
  uses.forEach((use, side) => {
    if (!use) return;
    let x = 0;
    const y = side * (thick + 4);
    breakdownParts.forEach(([, , colour], part) => {
      const wide = (use.breakdown[part] / scale) * width;
      context.fillStyle = theme[colour];
      context.fillRect(x, y, Math.max(0, wide - (wide > 3 ? 1 : 0)), thick);
      x += wide;
    });
  });
}

// Both numbers, one above the other, as the bars are.
function pairCell(uses, text) {
  const lines = uses.map((use, side) => element("span", {class: sideNames[side]}, use ? text(use) : "\u2013"));
  return element("td", {class: "number two"}, ...lines);
}

function relativeCell(uses, value) {
  const error = uses[0] && uses[1] ? relative(value(uses[0]), value(uses[1])) : NaN;
  return element("td", {class: `number ${grade(error)}-text`}, errorText(error));
}

const usePart = (part) => (use) => duration(use.breakdown[part]);

function drawUseLine(line, scale, bars) {
  const canvas = element("canvas", {
    role: "img",
    "aria-label": line.uses.map((use, side) => (use ? `${model.sides[side].title} ${duration(use.makespan)}` : "")).join(", "),
  });
  bars.push(() => drawUseBars(canvas, line.uses, scale));
  const {uses} = line;
  const node = element(
      "tr", {}, element("th", {scope: "row"}, line.name, element("small", {}, line.note)), element("td", {class: "bar"}, canvas),
      pairCell(uses, (use) => duration(use.makespan)), relativeCell(uses, (use) => use.makespan),
      pairCell(uses, (use) => duration(use.breakdown[0] + use.breakdown[1])), pairCell(uses, usePart(2)),
      hasStages() ? pairCell(uses, usePart(3)) : null, pairCell(uses, usePart(4)), pairCell(uses, (use) => memoryText(use.memory_bytes_peak)),
      relativeCell(uses, (use) => use.memory_bytes_peak));
  if (line.ranks) {
    node.tabIndex = 0;
    node.title = "Show this rank on the timeline";
    onActivate(node, () => showRanks(line.ranks));
  }
  return node;
}

function drawUseHead() {
  const names = ["", "", "Step time", model.foretells ? "Error" : "Relative", "Compute", "Exposed comm.", hasStages() ? "Bubble" : null,
                 "Host and idle", "Peak memory", model.foretells ? "Error" : "Relative"];
  const cells = names.filter((name) => name !== null)
                    .map((name, i) => element("th", {scope: "col", class: i > 1 ? "number" : ""}, name));
  byId("uses").tHead.replaceChildren(element("tr", {}, ...cells));
}

function drawUseLegend() {
  const uses = model.sides.flatMap((side) => side.ranks);
  const parts = breakdownParts.filter((_, part) => uses.some((use) => use.breakdown[part] > 0));
  byId("uses-legend").replaceChildren(
      ...parts.map(([, name, colour]) => element("li", {}, swatch(theme[colour], false, 10), name)),
      ...model.sides.map((side, i) => element("li", {}, element("span", {class: "dot " + sideNames[i]}), i ? `${side.title}: below` : `${side.title}: above`)));
}

function drawRanks() {
  const panel = byId("uses-panel");
  panel.hidden = model.ranks.length < 2 && !hasStages();
  if (panel.hidden) return;
  const lines = rankTable.rows === "stages" ? stageLines() : rankLines();
  const scale = Math.max(...model.sides.flatMap((side) => side.ranks.map((use) => use.makespan)));
  const bars = [];
  const shown = lines.slice(0, rankTable.limit);
  byId("uses").tBodies[0].replaceChildren(...shown.map((line) => drawUseLine(line, scale, bars)));
  drawUseHead();
  drawUseLegend();
  bars.forEach((draw) => draw());
  byId("uses-note").textContent = rankTable.rows === "stages" ?
      "Of a stage: medians over its ranks, and the largest peak." :
      (model.rank_pairing ? model.rank_pairing + ". " : "") + "Click a row to see the rank on the timeline.";
  const more = byId("more-uses");
  more.hidden = lines.length <= rankTable.limit;
  more.textContent = `Show ${Math.min(64, lines.length - rankTable.limit)} more of ${lines.length - rankTable.limit}`;
  document.documentElement.dataset.uses = shown.length;
}

function wireRanks() {
  const choice = byId("uses-rows");
  choice.closest("label").hidden = !hasStages();
  if (hasStages()) rankTable.rows = choice.value = "stages";
  choice.addEventListener("change", () => {
    rankTable.rows = choice.value;
    rankTable.limit = 16;
    drawRanks();
  });
  byId("more-uses").addEventListener("click", () => {
    rankTable.limit += 64;
    drawRanks();
  });
}
