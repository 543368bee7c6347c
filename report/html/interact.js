// Pointer and keyboard on the timeline, the tooltip, and the pinned op.

const stage = byId("stage");
const tooltip = byId("tooltip");

function placedAt(y) { return view.lanes.find((placed) => y >= placed.y - 1 && y <= placed.y + placed.height + 1); }

// The event under the pointer, or the nearest within three pixels.
function eventAt(x, y) {
  const placed = placedAt(y);
  if (!placed || x < gutter) return null;
  const {lane, side} = placed;
  const reach = timeOf(x + 3) - timeOf(x);
  const time = timeOf(x);
  let best = null;
  for (let i = firstVisible(lane, time - reach); i < lane.op.length && lane.start[i] <= time + reach; i++) {
    const distance = Math.max(lane.start[i] - time, time - lane.start[i] - lane.duration[i], 0);
    if (!best || distance < best.distance) best = {side, lane, index: i, op: side.ops[lane.op[i]], distance};
    if (distance === 0) break;
  }
  return best;
}

function fact(name, value, colour) {
  const dot = colour ? element("span", {class: "dot " + colour}) : null;
  return [element("dt", {}, dot, name), element("dd", {}, value)];
}

function placeOf(op) {
  const parts = [words(op.phase)];
  if (op.layer >= 0) parts.push("layer " + op.layer);
  if (op.microBatch >= 0) parts.push("micro-batch " + op.microBatch);
  return parts.join(", ");
}

function opTooltip(hit) {
  const {op, side, lane, index} = hit;
  const row = model.rows[side.rowOf[op.id]];
  const facts = [
    ...fact(`start on rank ${lane.rank}`, duration(lane.start[index])),
    ...fact(`${side.title}, rank ${lane.rank}`, duration(lane.duration[index]), sideNames[side.index]),
  ];
  if (row && row.matched) {
    const other = 1 - side.index;
    facts.push(...fact(
        model.sides[other].title + (ranksOf(model.sides[other]).length > 1 ? ", median" : ""), duration(row.duration[other]),
        sideNames[other]));
    facts.push(...fact(errorWord + " (medians)", errorText(row.error)));
  } else {
    facts.push(...fact("no counterpart in", model.sides[1 - side.index].title));
  }
  if (row && row.what.source && row.what.source !== "observed") facts.push(...fact("estimate", row.what.source));
  return [
    element("h3", {}, op.label || op.target), element("p", {}, `${op.target} \u00b7 op ${op.id}`), element("p", {}, placeOf(op)),
    element("dl", {}, ...facts)
  ];
}

function memoryTooltip(time) {
  const nodes = [element("h3", {}, "Live memory at " + duration(time))];
  for (const side of model.sides) {
    if (!side.memory) continue;
    const {total, roles} = memoryAt(side, time);
    const facts = fact(side.title, memoryText(total), sideNames[side.index]);
    roles.forEach((bytes, role) => {
      if (bytes > 0) facts.push(...fact("\u2003" + words(model.roles[role]), memoryText(bytes)));
    });
    nodes.push(element("dl", {}, ...facts));
  }
  return nodes;
}

function showTooltip(event, nodes) {
  tooltip.replaceChildren(...nodes);
  tooltip.hidden = false;
  const {offsetWidth, offsetHeight} = tooltip;
  const x = event.clientX + 16 + offsetWidth > innerWidth ? event.clientX - offsetWidth - 14 : event.clientX + 16;
  const y = Math.min(event.clientY + 18, innerHeight - offsetHeight - 8);
  tooltip.style.transform = `translate(${Math.max(4, x)}px, ${Math.max(4, y)}px)`;
}

function select(row, reveal) {
  view.selected = row;
  if (row !== null && reveal) revealRow(model.rows[row]);
  const pinned = byId("pinned");
  pinned.replaceChildren();
  if (row !== null) {
    const {what, duration: times, error} = model.rows[row];
    const sides = model.sides.map((side, i) => (times[i] >= 0 ? `${side.title} ${duration(times[i])}` : `not in ${side.title}`)).join(", ");
    pinned.append(
        element("b", {}, what.label || what.target),
        ` \u00b7 ${what.target} \u00b7 op ${what.id} \u00b7 ${placeOf(what)}: ${sides}, ${errorWord} ${errorText(error)}`);
  }
  document.documentElement.dataset.selected = row === null ? "" : row;
  markSelectedRow();
  redraw();
}

// Brings an op into sight with room on both sides, on both timelines.
function revealRow(row) {
  const spans = row.ops.map((op, side) => (op >= 0 ? [row.start[side], row.start[side] + row.duration[side]] : null)).filter(Boolean);
  const from = Math.min(...spans.map((span) => span[0]));
  const to = Math.max(...spans.map((span) => span[1]));
  const room = Math.max((to - from) * 1.2, 20000);
  if (from < view.from || to > view.to || (to - from) / (view.to - view.from) < 0.01) setView(from - room, to + room);
}

const offset = (canvas, event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

function hoverTimeline(event) {
  const [x, y] = offset(byId("timeline"), event);
  const hit = eventAt(x, y);
  view.cursor = x > gutter ? timeOf(x) : null;
  view.hover = hit ? hit.side.rowOf[hit.op.id] : null;
  if (view.hover === -1) view.hover = null;
  if (hit)
    showTooltip(event, opTooltip(hit));
  else
    tooltip.hidden = true;
  redraw();
}

function hoverMemory(event) {
  const [x] = offset(byId("memory"), event);
  if (x <= gutter) return leave();
  view.cursor = timeOf(x);
  showTooltip(event, memoryTooltip(Math.max(0, view.cursor)));
  redraw();
}

function leave() {
  view.cursor = view.hover = null;
  tooltip.hidden = true;
  redraw();
}

// A drag pans; on the axis or with Shift it marks a range to zoom to. A press without movement pins the op under the pointer.
function startDrag(canvas, event) {
  if (event.button !== 0) return;
  stage.focus({preventScroll: true});
  const [startX, startY] = offset(canvas, event);
  const marks = event.shiftKey || (canvas.id === "timeline" && startY < axisHeight);
  const {from, to} = view;
  const perPixel = (to - from) / (view.width - gutter - endMargin);
  let moved = false;
  canvas.setPointerCapture(event.pointerId);
  canvas.onpointermove = (move) => {
    const [x] = offset(canvas, move);
    moved ||= Math.abs(x - startX) > 3;
    if (!moved) return;
    tooltip.hidden = true;
    canvas.classList.toggle("dragging", !marks);
    if (marks) {
      view.brush = [timeOf(Math.max(gutter, startX)), timeOf(Math.max(gutter, x))];
      redraw();
    } else
      setView(from - (x - startX) * perPixel, to - (x - startX) * perPixel);
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    canvas.onpointermove = canvas.onpointerup = canvas.onpointercancel = null;
    canvas.classList.remove("dragging");
    const brush = view.brush;
    view.brush = null;
    if (brush) return setView(Math.min(...brush), Math.max(...brush));
    if (moved || canvas.id !== "timeline") return redraw();
    const hit = eventAt(startX, startY);
    const row = hit ? hit.side.rowOf[hit.op.id] : -1;
    select(row >= 0 ? row : null, false);
  };
}

// At full width a further outward turn is left to the page, so that the reader can scroll past the timeline.
function wheel(event) {
  const [x] = offset(event.currentTarget, event);
  const zoomsOut = event.deltaY > 0;
  const horizontal = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  const whole = view.to - view.from >= fullEnd * 0.9999;
  if (whole && (zoomsOut || horizontal)) return;
  event.preventDefault();
  const scale = event.deltaMode === 1 ? 24 : 1;
  if (horizontal) {
    const shift = ((view.to - view.from) * event.deltaX * scale) / view.width;
    setView(view.from + shift, view.to + shift);
  } else {
    zoom(Math.exp(Math.max(-120, Math.min(120, event.deltaY * scale)) * 0.0028), timeOf(Math.max(gutter, x)));
  }
}

function dragOverview(event) {
  const canvas = byId("overview");
  const centre = (move) => {
    const [x] = offset(canvas, move);
    const time = ((x - gutter) / (view.width - gutter - endMargin)) * fullEnd;
    const span = view.to - view.from;
    if (span < fullEnd * 0.9999) setView(time - span / 2, time + span / 2);
  };
  canvas.setPointerCapture(event.pointerId);
  centre(event);
  canvas.onpointermove = centre;
  canvas.onpointerup = canvas.onpointercancel = () => {
    canvas.onpointermove = canvas.onpointerup = null;
  };
}

function step(direction) {
  const count = model.rows.length;
  const order =
      model.rows.map((row) => row.index).sort((a, b) => Math.max(...model.rows[a].start) - Math.max(...model.rows[b].start) || a - b);
  const at = view.selected === null ? (direction > 0 ? -1 : count) : order.indexOf(view.selected);
  select(order[Math.max(0, Math.min(count - 1, at + direction))], true);
}

function pan(share) {
  const shift = (view.to - view.from) * share;
  setView(view.from + shift, view.to + shift);
}

const keys = {
  "+": () => zoom(0.7),
  "=": () => zoom(0.7),
  w: () => zoom(0.7),
  "-": () => zoom(1 / 0.7),
  s: () => zoom(1 / 0.7),
  ArrowLeft: () => pan(-0.15),
  a: () => pan(-0.15),
  ArrowRight: () => pan(0.15),
  d: () => pan(0.15),
  0: () => setView(0, fullEnd),
  Home: () => setView(0, fullEnd),
  "[": () => step(-1),
  "]": () => step(1),
  Escape: () => select(null, false),
};

function zoomToPinned() {
  if (view.selected === null) return;
  const row = model.rows[view.selected];
  const side = row.ops[0] >= 0 ? 0 : 1;
  setView(row.start[side] - row.duration[side], row.start[side] + 2 * row.duration[side]);
}

function wireTimeline() {
  const timeline = byId("timeline");
  timeline.addEventListener("pointermove", (event) => {
    if (!event.buttons) hoverTimeline(event);
  });
  byId("memory").addEventListener("pointermove", (event) => {
    if (!event.buttons) hoverMemory(event);
  });
  for (const canvas of [timeline, byId("memory")]) {
    canvas.addEventListener("pointerdown", (event) => startDrag(canvas, event));
    canvas.addEventListener("pointerleave", leave);
    canvas.addEventListener("wheel", wheel, {passive: false});
  }
  timeline.addEventListener("dblclick", zoomToPinned);
  byId("overview").addEventListener("pointerdown", dragOverview);
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  byId("zoom-in").addEventListener("click", () => zoom(0.6));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
  byId("zoom-fit").addEventListener("click", () => setView(0, fullEnd));
  byId("critical-path").addEventListener("change", (event) => {
    view.criticalPath = event.target.checked;
    redraw();
  });
  byId("colour-mode").addEventListener("change", (event) => {
    colours.mode = event.target.value;
    colours.focus = null;
    refresh();
  });
}

// Which ranks are drawn at first: one of each stage, then others, up to four, or as many as there are stages up to eight.
function chooseRanks() {
  model.sides.forEach((side, index) => {
    const stages = firstRanks(side);
    const ranks = [...stages, ...ranksOf(side).filter((rank) => !stages.includes(rank))];
    for (const rank of ranks.slice(0, Math.max(4, Math.min(8, stages.length)))) view.shownRanks[index].add(rank);
  });
}

function drawRankChips() {
  const groups = model.sides.map((side, index) => {
    const ranks = ranksOf(side);
    const shown = view.shownRanks[index];
    if (ranks.length < 2) return null;
    const chip = (rank) => element(
        "button", {
          type: "button",
          "aria-pressed": String(shown.has(rank)),
          onclick: () => {
            shown.has(rank) ? shown.delete(rank) : shown.add(rank);
            drawRankChips();
            redraw();
          },
        },
        "rank " + rank);
    return element(
        "div", {class: "chip-group " + sideNames[index]}, element("span", {}, capital(side.title) + ":"), ...ranks.slice(0, 64).map(chip),
        shown.size < ranks.length ? element("span", {}, `${shown.size} of ${ranks.length} shown`) : null);
  });
  byId("ranks").replaceChildren(...groups.filter(Boolean));
  byId("ranks").hidden = !groups.some(Boolean);
}

// Brings ranks (one of each side, -1 for none) onto the timeline.
function showRanks(ranks) {
  ranks.forEach((rank, side) => {
    if (rank >= 0) view.shownRanks[side].add(rank);
  });
  drawRankChips();
  redraw();
  byId("timeline-panel").scrollIntoView({block: "nearest"});
}
