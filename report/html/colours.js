// What colour an op has in each mode, and the legend of the mode. Colours come from the style sheet, so that light and dark need no code
// here.

let theme = {};

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  theme = new Proxy({}, {get: (cache, name) => (cache[name] ??= style.getPropertyValue("--" + name).trim())});
}

const phaseColours = {
  forward: "forward",
  input_gradient: "input-gradient",
  weight_gradient: "weight-gradient",
  recompute: "recompute",
  optimizer: "optimizer",
};

const errorBuckets = [
  {limit: -0.25, name: "over 25\u202f% too short", colour: "e0"},
  {limit: -0.1, name: "10\u201325\u202f% too short", colour: "e1"},
  {limit: 0.1, name: "within 10\u202f%", colour: "e2"},
  {limit: 0.25, name: "10\u201325\u202f% too long", colour: "e3"},
  {limit: Infinity, name: "over 25\u202f% too long", colour: "e4"},
];

// Each mode: op of a side -> [key, colour, order]. Ops with equal keys share a legend entry.
const modes = {
  phase(op) {
    if (op.kind === "collective") return ["communication", theme.communication, 5];
    if (op.kind === "wait") return ["waiting", theme.waiting, 6];
    if (op.kind === "view") return ["views", theme.host, 7];
    return [words(op.phase), theme[phaseColours[op.phase]] || theme.none, Object.keys(phaseColours).indexOf(op.phase)];
  },
  operator(op) {
    const rank = targetRank.get(op.target);
    return rank < 9 ? [op.target, theme["c" + rank], rank] : ["other operators", theme.none, 9];
  },
  error(op, side) {
    const row = model.rows[side.rowOf[op.id]];
    if (!row || !Number.isFinite(row.error)) return ["no counterpart", theme.none, 9];
    const bucket = errorBuckets.findIndex((candidate) => row.error <= candidate.limit);
    return [errorBuckets[bucket].name, theme[errorBuckets[bucket].colour], bucket];
  },
  source(op, side) {
    const row = model.rows[side.rowOf[op.id]];
    const source = row ? row.what.source : op.source;
    const order = ["measured", "interpolated", "analytic"].indexOf(source);
    return order < 0 ? [source || "unknown", theme.none, 9] : [source, [theme.good, theme.optimizer, theme.poor][order], order];
  },
  layer: (op) => numbered("layer", op.layer, "outside the layers"),
  microBatch: (op) => numbered("micro-batch", op.microBatch, "once a step"),
};

// The golden angle keeps neighbours far apart in hue.
function numbered(name, number, outside) {
  if (number < 0) return [outside, theme.none, 1e6];
  return [name + " " + number, `hsl(${(215 + number * 137.5) % 360} 58% 58%)`, number];
}

const targetRank = new Map();
{
  const time = new Map();
  for (const row of model.rows)
    time.set(row.what.target, (time.get(row.what.target) || 0) + Math.max(...row.duration.map((value) => value || 0)));
  time.delete("c10d.wait");
  [...time].sort((a, b) => b[1] - a[1]).forEach(([target], rank) => targetRank.set(target, rank));
}

const colours = {
  mode: "phase",
  of: [[], []],
  keyOf: [[], []],
  entries: [],
  focus: null
};

function recolour() {
  const entries = new Map();
  model.sides.forEach((side, index) => {
    const ran = new Set(side.lanes.flatMap((lane) => [...lane.op]));
    colours.of[index] = [];
    colours.keyOf[index] = [];
    for (const op of side.ops) {
      const [key, colour, order] = modes[colours.mode](op, side);
      colours.of[index][op.id] = colour;
      colours.keyOf[index][op.id] = key;
      if (ran.has(op.id)) entries.set(key, {key, colour, order});
    }
  });
  colours.entries = [...entries.values()].sort((a, b) => a.order - b.order);
  if (!entries.has(colours.focus)) colours.focus = null;
}

// Waiting is drawn hatched: nothing is done then.
function hatch(context, colour) {
  const tile = document.createElement("canvas");
  const scale = window.devicePixelRatio || 1;
  tile.width = tile.height = Math.round(6 * scale);
  const pen = tile.getContext("2d");
  pen.scale(tile.width / 6, tile.height / 6);
  pen.globalAlpha = 0.16;
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 6, 6);
  pen.globalAlpha = 0.75;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.1;
  pen.beginPath();
  for (const shift of [-6, 0, 6]) {
    pen.moveTo(shift, 6);
    pen.lineTo(shift + 6, 0);
  }
  pen.stroke();
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(6 / tile.width));
  return pattern;
}

function swatch(colour, hatched, size = 12) {
  const canvas = element("canvas", {"aria-hidden": "true"});
  canvas.width = canvas.height = size * 2;
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  context.fillStyle = hatched ? hatch(context, colour) : colour;
  context.fillRect(0, 0, size, size);
  return canvas;
}

function drawLegend(onFocus) {
  const limit = 16;
  const items = colours.entries.slice(0, limit).map(
      (entry) => element(
          "li", {},
          element(
              "button", {
                type: "button",
                "aria-pressed": String(colours.focus === entry.key),
                title: "Show only these",
                onclick: () => {
                  colours.focus = colours.focus === entry.key ? null : entry.key;
                  onFocus();
                },
              },
              swatch(entry.colour, entry.key === "waiting"), entry.key)));
  if (colours.entries.length > limit) items.push(element("li", {class: "hint"}, `and ${colours.entries.length - limit} more`));
  byId("legend").replaceChildren(...items);
}

// Ink that is readable on a bar.
const inkCache = new Map();
function inkOn(colour, context) {
  if (!inkCache.has(colour)) {
    context.save();
    context.fillStyle = colour;
    const normal = context.fillStyle;  // "#rrggbb"
    context.restore();
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(normal.slice(at, at + 2), 16));
    inkCache.set(colour, 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#10141b" : "#ffffff");
  }
  return inkCache.get(colour);
}
