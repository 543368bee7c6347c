// Both timelines on one time axis: an overview of the whole step, the lanes of the shown ranks, and (memory.js) the memory curves below.

const gutter = 148;
const endMargin = 10;
const axisHeight = 26;
const laneHeights = {
  compute: 24,
  communication: 16,
  host: 12
};

const view = {
  from: 0,
  to: model.end * 1.01,
  hover: null,
  selected: null,
  cursor: null,
  brush: null,
  criticalPath: false,
  shownRanks: [new Set(), new Set()],  // by side
  lanes: [],
  heads: [],
  width: 0
};
const fullEnd = model.end * 1.01;

const xOf = (time) => gutter + ((time - view.from) / (view.to - view.from)) * (view.width - gutter - endMargin);
const timeOf = (x) => view.from + ((x - gutter) / (view.width - gutter - endMargin)) * (view.to - view.from);

function setView(from, to) {
  const span = Math.min(fullEnd, Math.max(to - from, Math.min(200, fullEnd)));  // at least 200 ns
  view.from = Math.max(0, Math.min(from, fullEnd - span));
  view.to = view.from + span;
  redraw();
}

function zoom(factor, around = (view.from + view.to) / 2) {
  setView(around - (around - view.from) * factor, around + (view.to - around) * factor);
}

const ranksOf = (side) => [...new Set(side.lanes.map((lane) => lane.rank))];

// The first rank of each stage: what a pipeline does is seen on these.
function firstRanks(side) {
  const first = new Map();
  for (const {rank, stage} of side.ranks)
    if (stage >= 0 && !first.has(stage)) first.set(stage, rank);
  return [...first].sort((a, b) => a[0] - b[0]).map(([, rank]) => rank);
}

// Where everything is: predicted above, measured below, a head line each, then the ranks with their lanes.
function layOut() {
  let y = axisHeight + 4;
  view.lanes = [];
  view.heads = [];
  for (const side of model.sides) {
    view.heads.push({side, y});
    y += 26;
    for (const rank of ranksOf(side)) {
      if (!view.shownRanks[side.index].has(rank)) continue;
      for (const lane of side.lanes.filter((candidate) => candidate.rank === rank)) {
        const height = laneHeights[lane.kind];
        view.lanes.push({side, lane, y, height, first: view.lanes.at(-1)?.lane.rank !== rank || view.lanes.at(-1)?.side !== side});
        y += height + 3;
      }
      y += 6;
    }
    view.heads.at(-1).bottom = y;
    y += 6;
  }
  return y;
}

// First event that ends after `time`.
function firstVisible(lane, time) {
  let low = 0;
  let high = lane.op.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane.start[middle] + lane.duration[middle] > time)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

function niceStep(span, count) {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw);
}

function drawAxis(context, bottom) {
  const step = niceStep(view.to - view.from, Math.max(2, (view.width - gutter) / 110));
  const [unit, divisor] = step >= 1e9 ? ["s", 1e9] : step >= 1e5 ? ["ms", 1e6] : ["\u00b5s", 1e3];
  const places = Math.max(0, Math.ceil(-Math.log10(step / divisor) - 1e-9));
  context.font = "11.5px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
    const x = Math.round(xOf(time)) + 0.5;
    context.strokeStyle = theme.grid;
    context.beginPath();
    context.moveTo(x, axisHeight);
    context.lineTo(x, bottom);
    context.stroke();
    context.fillStyle = theme.faint;
    if (x < view.width - 30) context.fillText((time / divisor).toFixed(places) + "\u202f" + unit, Math.max(x, gutter + 12), axisHeight / 2);
  }
}

function drawHead(context, head) {
  const {side, y, bottom} = head;
  const colour = theme[sideNames[side.index]];
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = colour;
  context.beginPath();
  context.arc(5, y + 12, 4, 0, 7);
  context.fill();
  context.font = "650 13px system-ui, sans-serif";
  context.fillText(capital(side.title), 15, y + 12.5);
  const x = Math.round(xOf(side.makespan)) + 0.5;
  if (x < gutter || x > view.width) return;
  context.strokeStyle = colour;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(x, y + 4);
  context.lineTo(x, bottom - 6);
  context.stroke();
  context.setLineDash([]);
  context.font = "620 12px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillText(duration(side.makespan), x - 6, y + 12.5);
}

function drawLaneLabels(context, {lane, side, y, height, first}) {
  context.fillStyle = theme.lane;
  context.fillRect(gutter, y, view.width - gutter - endMargin, height);
  context.textBaseline = "middle";
  context.textAlign = "left";
  let room = gutter - 9;
  if (first) {
    const name = "rank " + lane.rank + (side.lanes.every((other) => other.rank === lane.rank) ? "*" : "");
    context.fillStyle = theme.muted;
    context.font = "600 12px system-ui, sans-serif";
    context.fillText(name, 15, y + height / 2 + 0.5);
    room -= 15 + context.measureText(name).width + 8;
  }
  context.textAlign = "right";
  context.fillStyle = theme.faint;
  context.font = "11.5px system-ui, sans-serif";
  context.fillText(fitted(context, laneTitle(lane), room), gutter - 9, y + height / 2 + 0.5);
}

// "communication.pipeline_forward.send+1" is "forward send+1", "communication.tensor" is "tensor".
const laneTitle = (lane) => lane.name.replace("communication.", "").replace(/^pipeline_(forward|backward)\./, "$1 ").replaceAll("_", " ");

// As much of a text as there is room for.
function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let length = text.length;
  while (length > 1 && context.measureText(text.slice(0, length) + "\u2026").width > room) length--;
  return text.slice(0, length) + "\u2026";
}

// Bars narrower than a pixel share it: the first one that reaches a new pixel is drawn.
function drawBars(context, {side, lane, y, height}, pattern) {
  let bars = 0;
  let drawnTo = -1;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.font = "11.5px system-ui, sans-serif";
  for (let i = firstVisible(lane, view.from); i < lane.op.length && lane.start[i] < view.to; i++) {
    const left = Math.max(xOf(lane.start[i]), gutter);
    const right = Math.min(xOf(lane.start[i] + lane.duration[i]), view.width - endMargin);
    if (right <= drawnTo && right - left < 1) continue;
    const op = side.ops[lane.op[i]];
    const wide = right - left > 3;
    const width = Math.max(right - left - (wide ? 0.8 : 0), 0.9);
    const colour = colours.of[side.index][op.id];
    context.globalAlpha = colours.focus && colours.keyOf[side.index][op.id] !== colours.focus ? 0.14 : 1;
    context.fillStyle = op.kind === "wait" && colours.mode === "phase" ? pattern : colour;
    if (width > 7) {
      context.beginPath();
      context.roundRect(left, y, width, height, 2.5);
      context.fill();
    } else
      context.fillRect(left, y, width, height);
    drawnTo = Math.max(Math.floor(left) + 1, Math.floor(right));
    bars++;
    if (width > 34 && height > 14 && op.kind !== "wait") drawBarText(context, op.label || op.target, left, y, width, height, colour);
  }
  context.globalAlpha = 1;
  return bars;
}

// Of the usual label, in the font that the machine has.
let letter = 0;
const letterWidth = (context) => (letter ||= context.measureText("attention.norm.reduce").width / 21);

function drawBarText(context, text, left, y, width, height, colour) {
  context.fillStyle = inkOn(colour, context);
  const room = Math.floor((width - 8) / letterWidth(context));
  if (room < 4) return;
  context.save();
  context.beginPath();
  context.rect(left, y, width - 3, height);
  context.clip();
  context.fillText(text.length > room ? text.slice(0, room - 1) + "\u2026" : text, left + 5, y + height / 2 + 0.5);
  context.restore();
}

// A line under what the step hung on, and a thin one where the path goes on on another rank.
function drawCriticalPath(context) {
  const laneKey = (side, rank, stream) => `${side.index} ${rank} ${stream}`;
  const placedOf = new Map(view.lanes.map((placed) => [laneKey(placed.side, placed.lane.rank, placed.lane.stream), placed]));
  context.fillStyle = theme.ink;
  for (const side of model.sides) {
    const {steps} = side.critical_path;
    let before = null;
    for (let i = 0; i < steps.length; i += 5) {
      const [, rank, stream, start, end] = steps.slice(i, i + 5);
      const placed = placedOf.get(laneKey(side, rank, stream));
      if (!placed) continue;
      if (end >= view.from && start <= view.to) {
        const left = Math.max(gutter, xOf(start));
        context.fillRect(left, placed.y + placed.height, Math.max(1, Math.min(view.width - endMargin, xOf(end)) - left), 2);
        if (before && before.lane.rank !== rank && start >= view.from) {
          const [top, bottom] = [before.y + before.height, placed.y + placed.height].sort((a, b) => a - b);
          context.globalAlpha = 0.45;
          context.fillRect(left, top, 1, bottom - top + 2);
          context.globalAlpha = 1;
        }
      }
      before = placed;
    }
  }
}

// The bars of an op on both sides, and a ribbon from the predicted one to the first measured one.
function drawLinked(context, row, strong) {
  const boxes = [];
  for (const placed of view.lanes) {
    const op = row.ops[placed.side.index];
    if (op < 0) continue;
    const {lane, y, height} = placed;
    for (let i = firstVisible(lane, view.from); i < lane.op.length && lane.start[i] < view.to; i++) {
      if (lane.op[i] !== op) continue;
      const left = Math.max(gutter, xOf(lane.start[i]));
      boxes.push({
        side: placed.side.index,
        left,
        right: Math.max(left + 2, Math.min(view.width - endMargin, xOf(lane.start[i] + lane.duration[i]))),
        y,
        height
      });
    }
  }
  const above = boxes.findLast((box) => box.side === 0);
  const below = boxes.find((box) => box.side === 1);
  if (above && below) {
    context.globalAlpha = strong ? 0.2 : 0.13;
    context.fillStyle = theme.accent;
    context.beginPath();
    context.moveTo(above.left, above.y + above.height);
    context.lineTo(above.right, above.y + above.height);
    context.lineTo(below.right, below.y);
    context.lineTo(below.left, below.y);
    context.fill();
    context.globalAlpha = 1;
  }
  context.strokeStyle = theme.ink;
  context.lineWidth = strong ? 2 : 1.4;
  for (const box of boxes) context.strokeRect(box.left - 0.5, box.y - 0.5, box.right - box.left + 1, box.height + 1);
  context.lineWidth = 1;
}

function drawCursor(context, height) {
  if (view.brush) {
    const [from, to] = [...view.brush].sort((a, b) => a - b).map(xOf);
    context.globalAlpha = 0.18;
    context.fillStyle = theme.accent;
    context.fillRect(from, 0, to - from, height);
    context.globalAlpha = 1;
    context.fillStyle = theme.accent;
    context.font = "620 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(duration(Math.abs(view.brush[1] - view.brush[0])), (from + to) / 2, axisHeight / 2);
  } else if (view.cursor !== null && view.cursor >= view.from && view.cursor <= view.to) {
    context.strokeStyle = theme.faint;
    context.beginPath();
    context.moveTo(xOf(view.cursor), axisHeight - 4);
    context.lineTo(xOf(view.cursor), height);
    context.stroke();
  }
}

function drawTimeline() {
  const total = layOut();
  const {context, width, height} = prepare(byId("timeline"), total);
  view.width = width;
  drawAxis(context, height);
  const pattern = hatch(context, theme.waiting);
  let bars = 0;
  for (const placed of view.lanes) {
    drawLaneLabels(context, placed);
    bars += drawBars(context, placed, pattern);
  }
  for (const head of view.heads) drawHead(context, head);
  if (view.criticalPath) drawCriticalPath(context);
  if (view.selected !== null) drawLinked(context, model.rows[view.selected], true);
  if (view.hover !== null && view.hover !== view.selected) drawLinked(context, model.rows[view.hover], false);
  drawCursor(context, height);
  document.documentElement.dataset.bars = bars;
}

function drawOverviewLane(context, side, lane, y, height, inner) {
  let drawnTo = -1;
  for (let i = 0; i < lane.op.length; i++) {
    const left = gutter + (lane.start[i] / fullEnd) * inner;
    const right = gutter + ((lane.start[i] + lane.duration[i]) / fullEnd) * inner;
    if (right <= drawnTo) continue;
    context.fillStyle = colours.of[side.index][lane.op[i]];
    context.globalAlpha = side.ops[lane.op[i]].kind === "wait" ? 0.25 : 0.85;
    context.fillRect(left, y, Math.max(right - left, 0.9), height);
    drawnTo = Math.floor(right);
  }
  context.globalAlpha = 1;
}

// The whole step in a stripe for each side, of a pipeline split into its first stages, and the part that is shown below.
function drawOverview() {
  const {context, width, height} = prepare(byId("overview"));
  const inner = width - gutter - endMargin;
  model.sides.forEach((side, index) => {
    const computes = (rank) => side.lanes.find((lane) => lane.rank === rank && lane.kind === "compute");
    const lanes = firstRanks(side).slice(0, 4).map(computes).filter(Boolean);
    const y = 3 + index * 17;
    const thick = 14 / Math.max(1, lanes.length);
    lanes.forEach((lane, i) => drawOverviewLane(context, side, lane, y + i * thick, thick - (lanes.length > 1 ? 0.5 : 0), inner));
    context.fillStyle = theme[sideNames[index]];
    context.font = "11.5px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(side.title, gutter - 9, y + 7.5);
  });
  const [left, right] = [view.from, view.to].map((time) => gutter + (time / fullEnd) * inner);
  context.fillStyle = theme.panel;
  context.globalAlpha = 0.68;
  context.fillRect(gutter, 0, left - gutter, height);
  context.fillRect(right, 0, width - endMargin - right, height);
  context.globalAlpha = 1;
  context.strokeStyle = theme.accent;
  context.lineWidth = 1.5;
  context.beginPath();
  context.roundRect(left + 0.5, 1, Math.max(4, right - left - 1), height - 2, 4);
  context.stroke();
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

let frame = 0;
function redraw() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    drawTimeline();
    drawMemory();
    drawOverview();
  });
}
