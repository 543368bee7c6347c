// The embedded document, decoded into the arrays that the views draw from. Times are whole nanoseconds from the start of the step.

const sideNames = ["predicted", "measured"];

function decodeOps(table, strings) {
  return table.target.map((target, id) => ({
                            id,
                            target: strings[target],
                            label: strings[table.label[id]],
                            kind: strings[table.kind[id]],
                            phase: strings[table.phase[id]],
                            source: strings[table.source[id]],
                            layer: table.layer[id],
                            microBatch: table.micro_batch[id],
                          }));
}

// Starts are stored as differences.
function sumUp(differences) {
  let sum = 0;
  return Float64Array.from(differences, (difference) => (sum += difference));
}

function decodeMemory({rank, stage, op, time, roles}) {
  const curve = {rank, stage, op, time: sumUp(time), roles: roles.map(sumUp)};
  curve.total = curve.time.map((_, i) => curve.roles.reduce((sum, role) => sum + role[i], 0));
  return curve;
}

function decodeSide(side, index, strings) {
  const lanes = side.lanes.map((lane) => ({
                                 rank: lane.rank,
                                 kind: side.streams[lane.stream].kind,
                                 name: side.streams[lane.stream].name,
                                 stream: lane.stream,
                                 op: Int32Array.from(lane.op),
                                 start: sumUp(lane.start),
                                 duration: Float64Array.from(lane.duration),
                               }));
  const memories = side.memories.map(decodeMemory);
  const ops = decodeOps(side.ops, strings);
  // `memory` is the curve that is shown: at first that of the rank with the highest peak.
  return {...side, index, ops, lanes, memories, memory: memories[0] || null, rowOf: new Int32Array(ops.length).fill(-1)};
}

// Rows: an op of both sides, or of one (then the other's op is -1).
function decodeRows(flat, sides) {
  const rows = [];
  for (let i = 0; i < flat.length; i += 6) {
    const [predictedOp, measuredOp, predictedStart, predicted, measuredStart, measured] = flat.slice(i, i + 6);
    const ops = [predictedOp, measuredOp];
    const what = predictedOp >= 0 ? sides[0].ops[predictedOp] : sides[1].ops[measuredOp];
    const matched = predictedOp >= 0 && measuredOp >= 0;
    ops.forEach((op, side) => {
      if (op >= 0) sides[side].rowOf[op] = rows.length;
    });
    rows.push({
      index: rows.length,
      ops,
      what,
      matched,
      start: [predictedStart, measuredStart],
      duration: [predicted, measured],
      difference: matched ? predicted - measured : NaN,
      error: matched && measured > 0 ? (predicted - measured) / measured : NaN,
    });
  }
  return rows;
}

function decode(text) {
  const document = JSON.parse(text);
  const sides = document.sides.map((side, index) => decodeSide(side, index, document.strings));
  const rows = decodeRows(document.rows, sides);
  const end =
      Math.max(...sides.map((side) => Math.max(side.makespan, ...side.lanes.map((lane) => lane.start.at(-1) + lane.duration.at(-1)))));
  return {...document, sides, rows, end};
}

const model = decode(document.getElementById("data").textContent);

// Writing numbers.

function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 999.95 ? 0 : size >= 99.995 ? 1 : size >= 9.9995 ? 2 : 3);
}

function splitDuration(nanoseconds) {
  const size = Math.abs(nanoseconds);
  if (size >= 1e9) return [digits(nanoseconds / 1e9), "s"];
  if (size >= 1e6) return [digits(nanoseconds / 1e6), "ms"];
  return [(nanoseconds / 1e3).toFixed(1), "\u00b5s"];
}

function splitBytes(bytes) {
  return Math.abs(bytes) >= 2 ** 30 / 10 || bytes === 0 ? [digits(bytes / 2 ** 30), "GiB"] : [digits(bytes / 2 ** 20), "MiB"];
}

const duration = (nanoseconds) => (nanoseconds === 0 ? "0" : splitDuration(nanoseconds).join("\u202f"));
const memoryText = (bytes) => splitBytes(bytes).join("\u202f");
const signed = (text) => text.replace("-", "\u2212");
const percent = (share, places = 1) => (share * 100).toFixed(places) + "\u202f%";
const errorText = (error) => (Number.isFinite(error) ? (error > 0 ? "+" : "") + signed(percent(error)) : "\u2013");
const words = (name) => name.replaceAll("_", " ");

// Within the tolerances of the demo: 5 % is good, 15 % fair. Where nothing was foretold, nothing is good or bad.
function grade(error) {
  if (!model.foretells || !Number.isFinite(error)) return "plain";
  return Math.abs(error) <= 0.05 ? "good" : Math.abs(error) <= 0.15 ? "fair" : "poor";
}
const errorWord = model.foretells ? "error" : "relative";

// Building elements; text only ever goes in as text.

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class")
      node.className = value;
    else if (key.startsWith("on"))
      node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined)
      node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const byId = (id) => document.getElementById(id);

// A row that acts like a button.
function onActivate(node, act) {
  node.addEventListener("click", act);
  node.addEventListener("keydown", (event) => {
    if (event.key === "Enter") act();
  });
}

// A canvas at the resolution of the screen; draws in CSS pixels.
function prepare(canvas, height) {
  const scale = window.devicePixelRatio || 1;
  if (height !== undefined) canvas.style.height = height + "px";
  const width = canvas.clientWidth;
  const tall = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(tall * scale));
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, tall);
  return {context, width, height: tall};
}
