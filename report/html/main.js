// Puts the page together, and again when the window or the colour scheme changes.

// Everything that depends on colours or widths.
function refresh() {
  inkCache.clear();
  readTheme();
  recolour();
  drawCards();
  drawAttribution();
  drawRanks();
  drawBreakdown();
  drawScatter();
  drawLegend(refresh);
  drawTable();
  drawTimeline();
  drawMemory();
  drawOverview();
}

// "#op=485&colour=error&from=10&to=20&path" opens the page on an op (id of the first timeline), in a mode, on a range in milliseconds.
function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (modes[wanted.get("colour")]) byId("colour-mode").value = colours.mode = wanted.get("colour");
  byId("critical-path").checked = view.criticalPath = wanted.has("path");
  if (wanted.has("from") || wanted.has("to"))
    setView(Number(wanted.get("from") || 0) * 1e6, Number(wanted.get("to") || fullEnd / 1e6) * 1e6);
  const row = model.rows.findIndex((candidate) => String(candidate.what.id) === wanted.get("op"));
  if (row >= 0) select(row, true);
}

function start() {
  chooseRanks();
  drawHeadings();
  drawFooter();
  drawRankChips();
  wireTimeline();
  wireMemory();
  wireRanks();
  wireTable();
  readAddress();
  refresh();
  const describe = (side) => `${side.title}: ${duration(side.makespan)} on ${ranksOf(side).length} rank(s)`;
  byId("timeline")
      .setAttribute("aria-label", `Timelines on one axis. ${model.sides.map(describe).join("; ")}. The table below holds the same ops.`);
  byId("memory").setAttribute(
      "aria-label",
      "Memory over time. " + model.sides.map((side) => `${side.title}: peak ${memoryText(side.memory_bytes_peak)}`).join("; "));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new ResizeObserver(() => {
    if (byId("timeline").clientWidth !== Math.round(view.width)) refresh();
  }).observe(byId("stage"));
  document.documentElement.dataset.events =
      model.sides.reduce((sum, side) => sum + side.lanes.reduce((count, lane) => count + lane.op.length, 0), 0);
  document.documentElement.dataset.ready = "true";
}

start();
