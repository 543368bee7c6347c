// The head of the page, the cards, the breakdown and the scatter plot.

const breakdownParts = [
  ["compute", "compute", "forward"],
  ["optimizer", "optimizer", "optimizer"],
  ["exposed_communication", "exposed communication", "communication"],
  ["bubble", "bubble", "bubble"],
  ["host", "host and idle", "host"],
];

const ranksText = (count) => `${count} rank${count === 1 ? "" : "s"}`;

function drawHeadings() {
  const [predicted, measured] = model.sides;
  byId("title").replaceChildren(
      element("span", {class: "predicted"}, capital(predicted.title)), " against ", element("span", {class: "measured"}, measured.title));
  document.title = `HELM: ${predicted.title} against ${measured.title}, ${predicted.plan}`;
  const same = predicted.plan === measured.plan;
  const facts = same ? [predicted.plan] : [`${predicted.title}: ${predicted.plan}`, `${measured.title}: ${measured.plan}`];
  facts.push(...new Set([predicted.device, measured.device]));
  const counts = model.sides.map((side) => ranksOf(side).length);
  facts.push(counts[0] === counts[1] ? ranksText(counts[1]) : `${counts[0]} and ${ranksText(counts[1])}`);
  if (measured.steps.length > 1) facts.push(`median of ${measured.steps.length} steps`);
  byId("subtitle").replaceChildren(...facts.filter(Boolean).map((fact) => element("span", {}, fact)));
}

function bigNumber(side, [number, unit]) {
  return element(
      "div", {}, element("b", {}, number, element("small", {}, unit)),
      element("span", {}, element("span", {class: "dot " + sideNames[side]}), model.sides[side].title));
}

function card(name, pill, ...content) { return element("article", {class: "card"}, element("h2", {}, name, pill), ...content); }

const errorPill = (error) =>
    element("span", {class: "pill " + grade(error), title: "(first \u2212 second) / second"}, errorText(error));
const relative = (predicted, measured) => (measured > 0 ? (predicted - measured) / measured : NaN);

function pairCard(name, values, split, note) {
  return card(
      name, errorPill(relative(...values)), element("div", {class: "pair"}, ...values.map((value, side) => bigNumber(side, split(value)))),
      element("p", {class: "note"}, note));
}

function spread(steps) {
  if (steps.length < 2) return "";
  const sorted = [...steps].sort((a, b) => a - b);
  return `${steps.length} steps, ${duration(sorted[0])} to ${duration(sorted.at(-1))}`;
}

function memoryNote() {
  const {roles} = model;
  const bytes = model.sides[1].memory_at_peak;
  const parts = roles.map((role, i) => [role, bytes[i]]).filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]);
  return parts.length ? "at the peak: " + parts.slice(0, 3).map(([role, value]) => `${words(role)} ${memoryText(value)}`).join(", ") : "";
}

function meter(parts) {
  const canvas =
      element("canvas", {class: "meter", role: "img", "aria-label": parts.map(([name, share]) => `${name} ${percent(share)}`).join(", ")});
  canvas.redraw = () => {
    const {context, width, height} = prepare(canvas);
    let x = 0;
    for (const [, share, colour] of parts) {
      context.fillStyle = theme[colour];
      context.fillRect(x, 0, share * width, height);
      x += share * width;
    }
  };
  return canvas;
}

function sourceParts(side) {
  return ["measured", "interpolated", "analytic"].map((name, i) => [name, side.sources[i], ["good", "optimizer", "poor"][i]]);
}

function sourceCard() {
  const sides = model.sides.filter((side) => side.sources.some((share) => share > 0));
  if (!sides.length) return card("Ops", null, element("p", {class: "note"}, "No estimate in either timeline: every duration was observed."));
  const bars = sides.map((side) => meter(sourceParts(side)));
  const facts = sourceParts(sides[0]).flatMap(([name, , colour], i) => [
    element("dt", {}, swatch(theme[colour], false, 9), name), element("dd", {}, sides.map((side) => percent(side.sources[i])).join(" / "))]);
  const node = card(
      `What ${sides.map((side) => `\u201c${side.title}\u201d`).join(" and ")} rest${sides.length > 1 ? "" : "s"} on`, null, ...bars,
      element("dl", {class: "facts"}, ...facts), element("p", {class: "note"}, "share of the summed time of its ops"));
  node.redraw = () => bars.forEach((bar) => bar.redraw());
  return node;
}

function drawCards() {
  const [predicted, measured] = model.sides;
  const exposed = model.sides.map((side) => side.breakdown[2]);
  const shares = model.sides.map((side, i) => (side.makespan > 0 ? exposed[i] / side.makespan : 0));
  const sources = sourceCard();
  byId("cards").replaceChildren(
      pairCard("Step time", [predicted.stepTime, measured.stepTime], splitDuration, spread(measured.steps)),
      pairCard("Peak memory", [predicted.memory_bytes_peak, measured.memory_bytes_peak], splitBytes, memoryNote()),
      pairCard("Exposed comm.", exposed, splitDuration, `${percent(shares[0])} and ${percent(shares[1])} of the step`), sources);
  if (sources.redraw) sources.redraw();
}

function drawStack(canvas, side, scale) {
  const {context, width, height} = prepare(canvas);
  let x = 0;
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  breakdownParts.forEach(([, , colour], i) => {
    const wide = (side.breakdown[i] / scale) * width;
    context.fillStyle = theme[colour];
    context.fillRect(x, 0, Math.max(0, wide - (wide > 4 ? 1.5 : 0)), height);
    const share = side.breakdown[i] / side.breakdown.reduce((sum, value) => sum + value, 0);
    if (wide > 44) {
      context.fillStyle = inkOn(theme[colour], context);
      context.fillText(percent(share, share < 0.1 ? 1 : 0), x + 8, height / 2 + 0.5);
    }
    x += wide;
  });
}

function drawBreakdown() {
  const sums = model.sides.map((side) => side.breakdown.reduce((sum, value) => sum + value, 0));
  const canvases = model.sides.map(() => element("canvas", {"aria-hidden": "true"}));
  const rows = model.sides.map(
      (side, i) => element(
          "div", {class: "stack-row"}, element("span", {}, element("span", {class: "dot " + sideNames[i]}), side.title), canvases[i],
          element("b", {}, duration(sums[i]))));
  const lines =
      [...breakdownParts.entries()].filter(([i]) => model.sides.some((side) => side.breakdown[i] > 0)).map(([i, [, name, colour]]) => {
        const values = model.sides.map((side) => side.breakdown[i]);
        return factLine(name, values, theme[colour]);
      });
  const paths = ["compute", "communication", "host"].map(
      (name, i) => factLine("critical path: " + name, model.sides.map((side) => side.critical_path.time[i]), null));
  const head = element(
      "tr", {}, element("th", {scope: "col"}, ""), ...model.sides.map((side) => element("th", {scope: "col"}, side.title)),
      element("th", {scope: "col"}, "difference"), element("th", {scope: "col"}, errorWord));
  byId("breakdown")
      .replaceChildren(
          ...rows, element("table", {class: "facts-table"}, element("thead", {}, head), element("tbody", {}, ...lines, ...paths)));
  canvases.forEach((canvas, i) => drawStack(canvas, model.sides[i], Math.max(...sums)));
}

function factLine(name, values, colour) {
  const error = relative(...values);
  return element(
      "tr", {}, element("th", {scope: "row"}, colour ? swatch(colour, false, 10) : null, name),
      ...values.map((value) => element("td", {}, duration(value))), element("td", {}, signed(duration(values[0] - values[1]))),
      element("td", {class: grade(error) + "-text"}, errorText(error)));
}

// Predicted against measured on logarithmic axes: right predictions lie on the diagonal, the band is 15 %. What takes less than 100 ns lies on the
// edge.
function drawScatter() {
  const {context, width, height} = prepare(byId("scatter"));
  const works = (row) => row.what.kind === "compute" || row.what.kind === "collective";
  const points = model.rows.filter((row) => row.matched && works(row) && row.duration[0] > 0 && row.duration[1] > 0);
  byId("scatter-sides").textContent = `${model.sides[0].title} against ${model.sides[1].title}`;
  if (!points.length) {
    byId("scatter-note").textContent = "No op takes time in both timelines.";
    return;
  }
  const values = points.flatMap((row) => row.duration);
  const [low, high] = [Math.max(2, Math.floor(Math.log10(Math.min(...values)) * 2) / 2), Math.ceil(Math.log10(Math.max(...values)) * 2) / 2];
  const box = {left: 74, right: width - 8, top: 8, bottom: height - 40};
  const x = (value) => box.left + ((Math.max(Math.log10(value), low) - low) / (high - low || 1)) * (box.right - box.left);
  const y = (value) => box.bottom - ((Math.max(Math.log10(value), low) - low) / (high - low || 1)) * (box.bottom - box.top);
  drawScatterAxes(context, box, low, high, x, y);
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.clip();
  context.globalAlpha = points.length > 600 ? 0.45 : 0.7;
  for (const row of points) {
    context.fillStyle = colours.of[0][row.ops[0]];
    context.beginPath();
    context.arc(x(row.duration[1]), y(row.duration[0]), 3.2, 0, 7);
    context.fill();
  }
  context.restore();
  const within = points.filter((row) => Math.abs(row.error) <= 0.15).length;
  byId("scatter-note").textContent =
      `${points.length} ops, colours as above; the band is \u00b115\u202f%: ${percent(within / points.length, 0)} of the ops lie in it.`;
  byId("scatter").setAttribute(
      "aria-label", `Scatter plot of ${points.length} ops; ${percent(within / points.length, 0)} within 15 percent`);
  document.documentElement.dataset.points = points.length;
}

function drawScatterAxes(context, box, low, high, x, y) {
  const ends = [10 ** low, 10 ** high];
  context.fillStyle = theme.accent;
  context.globalAlpha = 0.1;
  context.beginPath();
  context.moveTo(x(ends[0]), Math.min(box.bottom, y(ends[0] * 0.85)));
  context.lineTo(x(ends[1]), y(ends[1] * 0.85));
  context.lineTo(x(ends[1]), box.top);
  context.lineTo(x(ends[1] / 1.15), box.top);
  context.lineTo(x(ends[0]), y(ends[0] * 1.15));
  context.fill();
  context.globalAlpha = 1;
  context.font = "11.5px system-ui, sans-serif";
  for (let power = Math.ceil(low); power <= high; power++) {
    const text = scaleText(10 ** power);
    context.strokeStyle = theme.grid;
    context.beginPath();
    context.moveTo(x(10 ** power), box.top);
    context.lineTo(x(10 ** power), box.bottom);
    context.moveTo(box.left, y(10 ** power));
    context.lineTo(box.right, y(10 ** power));
    context.stroke();
    context.fillStyle = theme.faint;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText(text, Math.min(x(10 ** power), box.right - 16), box.bottom + 6);
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(text, box.left - 7, Math.max(y(10 ** power), box.top + 6));
  }
  context.strokeStyle = theme.muted;
  context.setLineDash([4, 4]);
  context.beginPath();
  context.moveTo(x(ends[0]), y(ends[0]));
  context.lineTo(x(ends[1]), y(ends[1]));
  context.stroke();
  context.setLineDash([]);
  context.textBaseline = "bottom";
  context.textAlign = "center";
  context.fillStyle = theme.measured;
  context.fillText(model.sides[1].title, (box.left + box.right) / 2, box.bottom + 39);
  context.save();
  context.translate(8, (box.top + box.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillStyle = theme.predicted;
  context.textBaseline = "middle";
  context.fillText(model.sides[0].title, 0, 0);
  context.restore();
}

const scaleText = (nanoseconds) =>
    (nanoseconds >= 1e9 ? `${nanoseconds / 1e9}\u202fs` :
         nanoseconds >= 1e6 ? `${nanoseconds / 1e6}\u202fms` :
         nanoseconds >= 1e3 ? `${nanoseconds / 1e3}\u202f\u00b5s` :
                              `${nanoseconds}\u202fns`);

function drawFooter() {
  const [predicted, measured] = model.sides;
  const paragraphs = [
    "Times of an op are medians over ranks, of collectives and messages from when all members have begun; the breakdown is that of " +
        `rank ${measured.breakdown_rank} (${measured.title}) and rank ${predicted.breakdown_rank} (${predicted.title}). Exposed communication ` +
        "is the time in which the compute stream idles while a collective is in flight or waited for, measured on unions of intervals. " +
        "Error = (predicted \u2212 measured) / measured. * the timeline holds this one rank.",
    model.matched_by_id ? "Ops are paired by id: both timelines are of program " + predicted.program_hash + "." :
                          `The timelines are of different programs (${predicted.program_hash}, ${measured.program_hash}): ` +
            "ops are paired by operator, label, phase, layer, micro-batch and occurrence.",
  ];
  byId("footer").replaceChildren(...paragraphs.map((text) => element("p", {}, text)));
}
