// The table: single ops or sums by label, operator, phase, layer; sortable, filterable; a click on an op shows it on the timeline.

const table = {
  group: "op",
  sort: "difference",
  descending: true,
  filter: "",
  phase: "",
  limit: 40,
  shown: []
};

const groups = {
  op: "each op",
  label: "by label",
  target: "by operator",
  phase: "by phase",
  layer: "by layer",
  kind: "by kind"
};

const columns = [
  {key: "id", name: "Op", number: true, only: "op"},
  {key: "label", name: "Label", class: "label", only: "op"},
  {key: "target", name: "Operator", class: "quiet", only: "op"},
  {key: "phase", name: "Phase", class: "quiet", only: "op", text: words},
  {key: "layer", name: "Layer", number: true, class: "quiet", only: "op", text: (value) => (value < 0 ? "\u2013" : value)},
  {key: "microBatch", name: "Micro-batch", number: true, class: "quiet", only: "op", text: (value) => (value < 0 ? "\u2013" : value)},
  {key: "name", name: "Group", class: "label", only: "group"},
  {key: "count", name: "Ops", number: true, class: "quiet", only: "group"},
  {key: "predicted", side: 0, number: true, text: (value) => (Number.isFinite(value) ? duration(value) : "\u2013")},
  {key: "measured", side: 1, number: true, text: (value) => (Number.isFinite(value) ? duration(value) : "\u2013")},
  {
    key: "difference",
    name: "Difference",
    number: true,
    text: (value) => (Number.isFinite(value) ? (value > 0 ? "+" : "") + signed(duration(value)) : "\u2013")
  },
  {key: "bar", name: "", sortKey: "difference"},
  {key: "error", name: capital(errorWord), number: true, text: errorText},
  {key: "source", name: "Estimate", class: "quiet", only: "op"},
];

const finiteOrNaN = (value, op) => (op >= 0 ? value : NaN);

const opLines = model.rows.map((row) => ({
                                 row: row.index,
                                 id: row.what.id,
                                 label: row.what.label,
                                 target: row.what.target,
                                 phase: row.what.phase,
                                 layer: row.what.layer,
                                 microBatch: row.what.microBatch,
                                 kind: row.what.kind,
                                 source: row.what.source,
                                 predicted: finiteOrNaN(row.duration[0], row.ops[0]),
                                 measured: finiteOrNaN(row.duration[1], row.ops[1]),
                                 difference: row.difference,
                                 error: row.error,
                               }));

// Words must all occur in label, operator, phase or kind; "layer:3" and "micro:0" ask for a number.
function matches(line, terms) {
  if (table.phase && line.phase !== table.phase) return false;
  return terms.every((term) => {
    const [, field, number] = term.match(/^(layer|micro):(-?\d+)$/) || [];
    if (field) return line[field === "micro" ? "microBatch" : field] === Number(number);
    return [line.label, line.target, words(line.phase), line.phase, line.kind, "op" + line.id].some(
        (text) => text.toLowerCase().includes(term));
  });
}

function grouped(lines) {
  const sums = new Map();
  for (const line of lines) {
    const name = table.group === "layer" ? (line.layer < 0 ? "outside the layers" : "layer " + line.layer) : words(line[table.group]);
    const sum = sums.get(name) || {name, count: 0, predicted: 0, measured: 0, order: line.layer};
    sum.count++;
    sum.predicted += line.predicted || 0;
    sum.measured += line.measured || 0;
    sums.set(name, sum);
  }
  return [...sums.values()].map(
      (sum) => ({...sum, difference: sum.predicted - sum.measured, error: relative(sum.predicted, sum.measured)}));
}

function sortLines(lines) {
  const {sort, descending} = table;
  const magnitude = sort === "difference" || sort === "error" ? Math.abs : (value) => value;
  const direction = descending ? -1 : 1;
  return lines.sort((a, b) => {
    const [left, right] = [magnitude(a[sort]), magnitude(b[sort])];
    const missing = Number.isNaN(left) - Number.isNaN(right);
    if (missing) return missing;
    const order = typeof left === "string" ? left.localeCompare(right, "en", {numeric: true}) : left - right;
    return order * direction || (a.id ?? 0) - (b.id ?? 0);
  });
}

const shownColumns = () => columns.filter((column) => !column.only || (column.only === "op") === (table.group === "op"));

function drawTableHead() {
  const cells = shownColumns().map((column) => {
    const key = column.sortKey || column.key;
    const sorted = table.sort === key && !column.sortKey;
    const name = column.side === undefined ? column.name : capital(model.sides[column.side].title);
    const cell = element(
        "th",
        {scope: "col", class: column.number ? "number" : "", "aria-sort": sorted ? (table.descending ? "descending" : "ascending") : null});
    if (name) cell.append(element("button", {type: "button", onclick: () => sortBy(key, column)}, name));
    return cell;
  });
  byId("ops").tHead.replaceChildren(element("tr", {}, ...cells));
}

function sortBy(key, column) {
  table.descending =
      table.sort === key ? !table.descending : Boolean(column.number) && key !== "id" && key !== "layer" && key !== "microBatch";
  table.sort = key;
  drawTable();
}

// To the right: predicted too long; to the left: too short.
function differenceBar(line, largest) {
  const canvas = element("canvas", {"aria-hidden": "true"});
  canvas.redraw = () => {
    const {context, width, height} = prepare(canvas);
    const middle = width / 2;
    const length = (Math.abs(line.difference) / (largest || 1)) * (middle - 2);
    context.fillStyle = line.difference > 0 ? theme.predicted : theme.measured;
    context.globalAlpha = 0.75;
    context.beginPath();
    context.roundRect(line.difference > 0 ? middle : middle - length, 2, Math.max(length, 0.5), height - 4, 2);
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = theme.line;
    context.fillRect(middle - 0.5, 0, 1, height);
  };
  return canvas;
}

function drawLine(line, largest, bars) {
  const cells = shownColumns().map((column) => {
    if (column.key === "bar") {
      if (!Number.isFinite(line.difference)) return element("td");
      bars.push(differenceBar(line, largest));
      return element("td", {}, bars.at(-1));
    }
    const value = line[column.key];
    const classes =
        [column.number ? "number" : "", column.class || "", column.key === "error" ? grade(value) + "-text" : ""].join(" ").trim();
    return element(
        "td", {class: classes, title: column.only === "op" && !column.number ? value : null},
        String(column.text ? column.text(value) : value));
  });
  const node = element("tr", {}, ...cells);
  if (line.row !== undefined) {
    node.dataset.row = line.row;
    node.tabIndex = 0;
    onActivate(node, () => select(line.row, true));
  }
  return node;
}

function drawTable() {
  drawTableHead();
  const terms = table.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const found = opLines.filter((line) => matches(line, terms));
  const lines = sortLines(table.group === "op" ? [...found] : grouped(found));
  const largest = lines.reduce((most, line) => Math.max(most, Math.abs(line.difference) || 0), 0);
  const bars = [];
  byId("ops").tBodies[0].replaceChildren(...lines.slice(0, table.limit).map((line) => drawLine(line, largest, bars)));
  bars.forEach((bar) => bar.redraw());
  const unmatched = model.rows.filter((row) => !row.matched).length;
  byId("table-note").textContent = `${found.length} of ${opLines.length} ops` +
      (unmatched ? `, of which ${unmatched} are in one timeline only` : "") + ". Click a row to see the op on the timeline.";
  const more = byId("more");
  more.hidden = lines.length <= table.limit;
  more.textContent = `Show ${Math.min(200, lines.length - table.limit)} more of ${lines.length - table.limit}`;
  document.documentElement.dataset.rows = Math.min(lines.length, table.limit);
  markSelectedRow();
}

function markSelectedRow() {
  for (const node of byId("ops").tBodies[0].rows)
    node.classList.toggle("selected", node.dataset.row !== undefined && Number(node.dataset.row) === view.selected);
}

function wireTable() {
  byId("group").append(...Object.entries(groups).map(([value, name]) => element("option", {value}, name)));
  const phases = [...new Set(opLines.map((line) => line.phase))];
  byId("phase-filter")
      .append(element("option", {value: ""}, "all"), ...phases.map((phase) => element("option", {value: phase}, words(phase))));
  const restart = (change) => {
    change();
    table.limit = 40;
    drawTable();
  };
  byId("group").addEventListener("change", (event) => restart(() => {
                                             table.group = event.target.value;
                                             if (!shownColumns().some((column) => column.key === table.sort)) {
                                               table.sort = "difference";
                                               table.descending = true;
                                             }
                                           }));
  byId("phase-filter").addEventListener("change", (event) => restart(() => {
                                                    table.phase = event.target.value;
                                                  }));
  byId("filter").addEventListener("input", (event) => restart(() => {
                                             table.filter = event.target.value;
                                           }));
  byId("more").addEventListener("click", () => {
    table.limit += 200;
    drawTable();
  });
}
