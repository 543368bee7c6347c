// Puts the page together, and again when the window or the colour scheme changes.

// Everything that depends on colours or widths.
function refresh() {
  inkCache.clear();
  readTheme();
  recolour();
  drawCards();
  drawBreakdown();
  drawScatter();
  drawLegend(refresh);
  drawTable();
  drawTimeline();
  drawMemory();
  drawOverview();
}

function start() {
  for (const rank of ranksOf(model.sides[1]).slice(0, 4)) view.shownRanks.add(rank);
  drawHeadings();
  drawFooter();
  drawRankChips();
  wireTimeline();
  wireTable();
  refresh();
  const describe = (side) => `${side.title}: ${duration(side.makespan)} on ${ranksOf(side).length} rank(s)`;
  byId("timeline").setAttribute("aria-label", `Timelines on one axis. ${model.sides.map(describe).join("; ")}. The table below holds the same ops.`);
  byId("memory").setAttribute("aria-label", "Memory over time. " + model.sides.map((side) => `${side.title}: peak ${memoryText(side.memory_bytes_peak)}`).join("; "));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new ResizeObserver(() => { if (byId("timeline").clientWidth !== Math.round(view.width)) refresh(); }).observe(byId("stage"));
  document.documentElement.dataset.events = model.sides.reduce((sum, side) => sum + side.lanes.reduce((count, lane) => count + lane.op.length, 0), 0);
  document.documentElement.dataset.ready = "true";
}

start();
