// Live bytes over time on the timeline's axis: one stepped curve per side (the rank with the highest peak), the peaks, the capacity.

const memoryHeight = 176;

function memoryScale() {
  // One scale for all stages.
  const curves = model.sides.flatMap((side) => side.memories);
  const peak = Math.max(...model.sides.map((side) => side.memory_bytes_peak), ...curves.map((curve) => curve.total.reduce((a, b) => Math.max(a, b), 0)));
  const near = model.memory_capacity && model.memory_capacity < peak * 2.5;
  return {top: (near ? Math.max(peak, model.memory_capacity) : peak) * 1.1, near};
}

const memoryTop = 22;
const memoryBottom = memoryHeight - 8;

function drawMemory() {
  const canvas = byId("memory");
  canvas.hidden = !model.sides.some((side) => side.memories.length);
  if (canvas.hidden) return;
  const {context, width} = prepare(canvas, memoryHeight);
  const {top, near} = memoryScale();
  const yOf = (bytes) => memoryBottom - (bytes / top) * (memoryBottom - memoryTop);
  drawMemoryAxis(context, width, top, yOf);
  let points = 0;
  for (const side of [...model.sides].reverse())
    if (side.memory) points += drawCurve(context, side, yOf);
  if (near) drawCapacity(context, width, yOf(model.memory_capacity));
  drawPeaks(context, yOf);
  if (view.cursor !== null && view.cursor >= view.from && view.cursor <= view.to) {
    context.strokeStyle = theme.faint;
    context.beginPath();
    context.moveTo(xOf(view.cursor), 0);
    context.lineTo(xOf(view.cursor), memoryBottom);
    context.stroke();
  }
  document.documentElement.dataset.memoryPoints = points;
}

function drawMemoryAxis(context, width, top, yOf) {
  const unit = top >= 2 ** 30 ? 2 ** 30 : 2 ** 20;
  const step = niceStep(top / unit, 5) * unit;
  context.font = "11.5px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (let bytes = 0; bytes <= top; bytes += step) {
    const y = Math.round(yOf(bytes)) + 0.5;
    context.strokeStyle = bytes === 0 ? theme.line : theme.grid;
    context.beginPath();
    context.moveTo(gutter, y);
    context.lineTo(width - endMargin, y);
    context.stroke();
    context.fillStyle = theme.faint;
    context.textAlign = "right";
    context.fillText(
        (bytes / unit).toLocaleString("en", {maximumFractionDigits: 2}) + (unit === 2 ** 30 ? "\u202fGiB" : "\u202fMiB"), gutter - 9, y);
  }
  context.textAlign = "left";
  context.fillStyle = theme.ink;
  context.font = "650 13px system-ui, sans-serif";
  context.fillText("Memory", 0, 10);
}

function drawCurve(context, side, yOf) {
  const {time, total} = side.memory;
  const colour = theme[sideNames[side.index]];
  context.save();
  context.beginPath();
  context.rect(gutter, 0, view.width - gutter - endMargin, memoryHeight);
  context.clip();
  const line = new Path2D();
  let points = 0;
  let low = 0;
  while (low + 1 < time.length && time[low + 1] < view.from) low++;
  line.moveTo(xOf(time[low]), yOf(total[low]));
  for (let i = low + 1; i < time.length; i++, points++) {
    line.lineTo(xOf(time[i]), yOf(total[i - 1]));
    line.lineTo(xOf(time[i]), yOf(total[i]));
    if (time[i] > view.to) break;
  }
  const area = new Path2D(line);
  area.lineTo(xOf(Math.min(view.to, time.at(-1))), yOf(0));
  area.lineTo(xOf(time[low]), yOf(0));
  context.globalAlpha = 0.1;
  context.fillStyle = colour;
  context.fill(area);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  context.stroke(line);
  context.restore();
  return points;
}

function drawCapacity(context, width, y) {
  context.strokeStyle = theme.poor;
  context.setLineDash([6, 4]);
  context.beginPath();
  context.moveTo(gutter, y);
  context.lineTo(width - endMargin, y);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = theme.poor;
  context.textAlign = "right";
  context.font = "620 12px system-ui, sans-serif";
  context.fillText("capacity " + memoryText(model.memory_capacity), width - endMargin - 4, y - 8);
}

const peakOfRank = (side, rank) => side.ranks.find((use) => use.rank === rank).memory_bytes_peak;

// Which curves are drawn: those of the ranks with the highest peaks, or those of a stage.
function wireMemory() {
  const stages = [...new Set(model.sides.flatMap((side) => side.memories.map((curve) => curve.stage)))].sort((a, b) => a - b);
  const choice = byId("memory-of");
  choice.closest("label").hidden = stages.length < 2;
  choice.append(
      element("option", {value: ""}, "the highest peak"),
      ...stages.map((stage) => element("option", {value: stage}, stage < 0 ? "no stage" : "stage " + stage)));
  choice.addEventListener("change", () => {
    for (const side of model.sides) {
      const ofStage = side.memories.find((curve) => String(curve.stage) === choice.value);
      side.memory = choice.value === "" ? side.memories[0] || null : ofStage || null;
    }
    redraw();
  });
}

// A dot at each curve's highest point; the numbers stand in the head line, where they cannot collide.
function drawPeaks(context, yOf) {
  context.font = "620 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "left";
  let x = gutter;
  for (const side of model.sides) {
    if (!side.memory) continue;
    const {time, total} = side.memory;
    const highest = total.reduce((best, value, i) => (value > total[best] ? i : best), 0);
    const at = xOf(time[highest]);
    const colour = theme[sideNames[side.index]];
    context.fillStyle = colour;
    if (at >= gutter && at <= view.width - endMargin) {
      context.beginPath();
      context.arc(at, yOf(total[highest]), 4, 0, 7);
      context.fill();
      context.strokeStyle = theme.panel;
      context.lineWidth = 1.5;
      context.stroke();
      context.lineWidth = 1;
    }
    const text = `${side.title}: peak ${memoryText(peakOfRank(side, side.memory.rank))}, rank ${side.memory.rank}`;
    context.fillStyle = colour;
    context.fillText(text, x, 10);
    x += context.measureText(text).width + 22;
  }
  if (model.memory_capacity && !memoryScale().near) {
    context.fillStyle = theme.faint;
    context.font = "12px system-ui, sans-serif";
    context.fillText("capacity " + memoryText(model.memory_capacity), x, 10);
  }
}

// What is live at a moment, by storage role, for the tooltip.
function memoryAt(side, time) {
  const {time: times} = side.memory;
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time)
      low = middle + 1;
    else
      high = middle;
  }
  const i = Math.max(0, low - 1);
  return {total: side.memory.total[i], roles: side.memory.roles.map((role) => role[i])};
}
