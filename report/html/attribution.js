// Why one step is longer than the other: what the two critical paths spend on each thing, as steps from one makespan to the other, and the
// work with the largest shares. Everything is first minus second, as in the other tables.

const pathColours = {
  compute: "forward",
  optimizer: "optimizer",
  collective: "communication",
  message: "c5",
  wait: "waiting",
  host: "host",
  gap: "none",
  "beyond the path": "none",
};

const differenceText = (value) => (value > 0 ? "+" : "") + signed(duration(value));

// From the second step's makespan (zero) over each category to the first step's.
function waterfallSteps() {
  let at = 0;
  const steps = model.attribution.categories.map(([name, first, second]) => {
    const from = at;
    at += first - second;
    return {name, times: [first, second], from, to: at, colour: pathColours[name] || "none"};
  });
  const total = model.attribution.difference;
  return [...steps, {name: "the step", times: model.sides.map((side) => side.makespan), from: 0, to: total, total: true}];
}

function drawWaterfallBar(canvas, step, low, high) {
  const {context, width, height} = prepare(canvas);
  const room = 10;
  const x = (value) => room + ((value - low) / (high - low || 1)) * (width - 2 * room);
  context.fillStyle = theme.line;
  context.fillRect(Math.round(x(0)), 0, 1, height);
  const [left, right] = [x(step.from), x(step.to)].sort((a, b) => a - b);
  context.fillStyle = step.total ? (step.to > 0 ? theme.predicted : theme.measured) : theme[step.colour];
  context.beginPath();
  context.roundRect(left, 6, Math.max(right - left, 1.5), height - 12, 3);
  context.fill();
  if (step.total) return;
  context.strokeStyle = theme.faint;
  context.setLineDash([2, 3]);
  context.beginPath();
  context.moveTo(x(step.to), height - 6);
  context.lineTo(x(step.to), height);
  context.stroke();
  context.setLineDash([]);
}

function numberCells(times) {
  return [...times.map((value) => element("td", {class: "number"}, duration(value))),
          element("td", {class: "number strong"}, differenceText(times[0] - times[1]))];
}

function drawWaterfall() {
  const steps = waterfallSteps();
  const ends = steps.flatMap((step) => [step.from, step.to]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const bars = [];
  const rows = steps.map((step) => {
    const canvas = element("canvas", {"aria-hidden": "true"});
    bars.push(() => drawWaterfallBar(canvas, step, low, high));
    const name = [step.total ? null : swatch(theme[step.colour], step.colour === "waiting", 10), step.name];
    return element(
        "tr", {class: step.total ? "total" : ""}, element("th", {scope: "row"}, ...name), element("td", {class: "bar"}, canvas),
        ...numberCells(step.times));
  });
  byId("waterfall").tBodies[0].replaceChildren(...rows);
  byId("waterfall").tHead.replaceChildren(element(
      "tr", {}, element("th", {scope: "col"}, "On the critical path"), element("th", {scope: "col"}, ""),
      ...model.sides.map((side) => element("th", {scope: "col", class: "number"}, capital(side.title))),
      element("th", {scope: "col", class: "number"}, "Difference")));
  bars.forEach((draw) => draw());
}

// The row of the op tables with this op, or -1.
const rowOfPair = (first, second) => (first >= 0 ? model.sides[0].rowOf[first] : second >= 0 ? model.sides[1].rowOf[second] : -1);

function drawPathWork() {
  const {work} = model.attribution;
  const largest = Math.max(...work.map(([, , , , first, second]) => Math.abs(first - second)), 0);
  const bars = [];
  const rows = work.map(([category, label, target, phase, first, second, firstOp, secondOp]) => {
    const bar = differenceBar({difference: first - second}, largest);
    bars.push(bar);
    const row = rowOfPair(firstOp, secondOp);
    const pin = () => select(row, true);
    const text = model.strings[label] || model.strings[target];
    const node = element(
        "tr", row >= 0 ? {tabindex: 0, title: "Show the op with the largest share on the timeline"} : {},
        element("td", {class: "label", title: text}, text), element("td", {class: "quiet", title: model.strings[target]}, model.strings[target]),
        element("td", {class: "quiet"}, words(model.strings[phase])), element("td", {class: "quiet"}, category), ...numberCells([first, second]),
        element("td", {}, bar));
    if (row >= 0) onActivate(node, pin);
    return node;
  });
  byId("path-work").tBodies[0].replaceChildren(...rows);
  byId("path-work").tHead.replaceChildren(element(
      "tr", {}, ...["Most of it", "Operator", "Phase", "On the path as"].map((name) => element("th", {scope: "col"}, name)),
      ...model.sides.map((side) => element("th", {scope: "col", class: "number"}, capital(side.title))),
      element("th", {scope: "col", class: "number"}, "Difference"), element("th", {scope: "col"}, "")));
  bars.forEach((bar) => bar.redraw());
}

function drawAttribution() {
  const [first, second] = model.sides;
  const {difference} = model.attribution;
  byId("attribution-heading").textContent = difference === 0 ?
      `${capital(first.title)} is as long as ${second.title}` :
      `Why ${first.title} is ${duration(Math.abs(difference))} ${difference > 0 ? "longer" : "shorter"} than ${second.title}`;
  byId("attribution-note").textContent =
      `A step is as long as its critical path: each row is the time that the path of ${first.title} spends on it minus that of ` +
      `${second.title}, and the rows add up to the difference of the steps. Bars to the right make ${first.title} longer.`;
  drawWaterfall();
  drawPathWork();
  document.documentElement.dataset.attribution = model.attribution.categories.length;
}
