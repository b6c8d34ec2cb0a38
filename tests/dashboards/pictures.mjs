// Draws the dashboards from a live Prometheus: `node tests/dashboards/pictures.mjs URL FOLDER`. Grafana
// is not needed, and not quite what it looks like: the same layout, queries, units and thresholds.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expanded, lately, now, shipped } from "./prometheus.mjs";

const [base, folder, rate = "15s"] = process.argv.slice(2);
const SECONDS = 180;
const [UNIT_W, UNIT_H, GAP] = [60, 36, 8];
const PALETTE = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d", "#ffcb7d", "#c4162a", "#1f78c1", "#806eb7"];
const COLORS = { green: "#299c46", orange: "#c4731b", red: "#c4162a", blue: "#1f60c4" };
const escape = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function shown(value, unit, decimals) {
  if (!Number.isFinite(value)) return "–";
  const digits = (number, most) => Number(number.toFixed(decimals ?? most)).toString();
  const scaled = (steps, number) => {
    const [suffix, size] = steps.find(([, size]) => Math.abs(number) >= size) ?? steps.at(-1);
    return `${digits(number / size, 1)} ${suffix}`;
  };
  switch (unit) {
    case "s": return value === 0 ? "0 s" : scaled([["d", 86400], ["h", 3600], ["min", 60], ["s", 1], ["ms", 1e-3], ["µs", 1e-6]], value);
    case "bytes": return value === 0 ? "0 B" : scaled([["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024], ["B", 1]], value);
    case "percentunit": return `${digits(value * 100, 1)} %`;
    case "recps": return `${digits(value, 2)} rec/s`;
    case "reqps": return `${digits(value, 2)} req/s`;
    case "cps": return `${digits(value, 2)} c/s`;
    default: return digits(value, 2);
  }
}

const labelled = (legend, metric) =>
  !legend || legend === "__auto" ? Object.values(metric).join(" ") : legend.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? "");

function colorOf(value, thresholds) {
  const step = thresholds?.steps.filter((step) => step.value === null || value >= step.value).at(-1);
  return COLORS[step?.color] ?? "#3d71d9";
}

function chart(panel, series, w, h) {
  const { unit, decimals, custom } = panel.fieldConfig.defaults;
  const stacked = custom.stacking.mode === "normal";
  const points = series.map(({ values }) => values.map(([at, value]) => [at, Number(value)]).filter(([, value]) => Number.isFinite(value)));
  const all = points.flat();
  if (!all.length) return '<div class="empty">No data</div>';
  const end = Math.max(...all.map(([at]) => at));
  const start = end - SECONDS;
  const sums = new Map();
  const drawn = points.map((line) => line.map(([at, value]) => {
    const top = (stacked ? sums.get(at) ?? 0 : 0) + value;
    if (stacked) sums.set(at, top);
    return [at, top];
  }));
  const values = drawn.flat().map(([, value]) => value);
  const low = Math.min(0, ...values);
  const high = Math.max(...values, low + 1e-9) * 1.05;
  const legend = Math.min(series.length, 8);
  const [left, top, bottom] = [64, 6, 22 + Math.ceil(legend / 3) * 15];
  const x = (at) => left + ((at - start) / SECONDS) * (w - left - 8);
  const y = (value) => top + (1 - (value - low) / (high - low)) * (h - top - bottom);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const value = low + share * (high - low);
    return `<line x1="${left}" x2="${w - 8}" y1="${y(value)}" y2="${y(value)}" class="grid"/><text x="${left - 4}" y="${y(value) + 4}" text-anchor="end">${escape(shown(value, unit, decimals))}</text>`;
  });
  const times = [0, 1, 2, 3].map((minute) => `<text x="${x(end - minute * 60)}" y="${h - bottom + 14}" text-anchor="${minute ? "middle" : "end"}">${minute ? `-${minute} min` : "now"}</text>`);
  const paths = drawn.map((line, at) => line.length ? `<polyline fill="none" stroke="${PALETTE[at % PALETTE.length]}" stroke-width="1.4" points="${line.map(([t, value]) => `${x(t).toFixed(1)},${y(value).toFixed(1)}`).join(" ")}"/>` : "");
  const names = series.slice(0, legend).map(({ name }, at) => {
    const [column, row] = [at % 3, Math.floor(at / 3)];
    const text = at === legend - 1 && series.length > legend ? `${name} … and ${series.length - legend} more` : name;
    return `<rect x="${10 + (column * (w - 20)) / 3}" y="${h - bottom + 24 + row * 15}" width="10" height="3" fill="${PALETTE[at % PALETTE.length]}"/><text x="${24 + (column * (w - 20)) / 3}" y="${h - bottom + 30 + row * 15}">${escape(text)}</text>`;
  });
  return `<svg width="${w}" height="${h}">${[...grid, ...times, ...paths, ...names].join("")}</svg>`;
}

function stats(panel, series, w, h) {
  const { unit, decimals, thresholds } = panel.fieldConfig.defaults;
  const cells = series.map(({ name, value }) => `<div class="stat" style="background:${colorOf(value, thresholds)}"><b>${escape(shown(value, unit, decimals))}</b>${series.length > 1 ? `<span>${escape(name)}</span>` : ""}</div>`);
  return `<div class="stats" style="width:${w}px;height:${h}px">${cells.join("") || '<div class="empty">No data</div>'}</div>`;
}

function bars(panel, series) {
  const { unit, decimals, thresholds, max } = panel.fieldConfig.defaults;
  return series.map(({ name, value }) => `<div class="bar"><span>${escape(name)}</span><i><u style="width:${(100 * value) / (max ?? 1)}%;background:${colorOf(value, thresholds)}"></u></i><b>${escape(shown(value, unit, decimals))}</b></div>`).join("");
}

// As Grafana's transformations "merge" and "organize" do.
function table(panel, series) {
  const { excludeByName, renameByName, indexByName } = panel.transformations.find(({ id }) => id === "organize").options;
  const units = Object.fromEntries(panel.fieldConfig.overrides.map(({ matcher, properties }) => [matcher.options, properties[0].value]));
  const rows = [];
  for (const { refId, metric, value } of series) {
    const shared = (row) => Object.keys(metric).every((label) => !(label in row) || row[label] === metric[label]);
    let row = rows.find((row) => shared(row) && !(`Value #${refId}` in row) && Object.keys(metric).some((label) => label in row));
    if (!row) rows.push((row = {}));
    Object.assign(row, metric, { [`Value #${refId}`]: value });
  }
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((column) => !excludeByName[column]);
  const place = (column) => indexByName[column] ?? (column.startsWith("Value") ? 9 : 5);
  columns.sort((one, other) => place(one) - place(other));
  const cell = (row, column) => column.startsWith("Value") ? shown(row[column], units[renameByName[column]], 0) : row[column] ?? "";
  const head = columns.map((column) => `<th>${escape(renameByName[column] ?? column)}</th>`).join("");
  const body = rows.map((row) => `<tr>${columns.map((column) => `<td>${escape(cell(row, column))}</td>`).join("")}</tr>`).join("");
  return `<table><tr>${head}</tr>${body}</table>`;
}

async function drawn(panel) {
  const { x, y, w, h } = panel.gridPos;
  const place = `left:${x * UNIT_W + GAP}px;top:${y * UNIT_H + GAP + 50}px;width:${w * UNIT_W - GAP}px;height:${h * UNIT_H - GAP}px`;
  if (panel.type === "row") return `<div class="row" style="${place}">${escape(panel.title)}</div>`;
  const series = [];
  for (const { refId, expr, instant, legendFormat } of panel.targets) {
    const query = expanded(expr, rate);
    const found = instant ? await now(base, query) : await lately(base, query, SECONDS, 1);
    for (const { metric, value, values } of found) {
      series.push({ refId, metric, values, value: Number(value?.[1]), name: labelled(legendFormat, metric) || panel.title });
    }
  }
  const [width, height] = [w * UNIT_W - GAP - 16, h * UNIT_H - GAP - 38];
  const draw = { timeseries: chart, stat: stats, gauge: bars, bargauge: bars, table }[panel.type];
  return `<div class="panel" style="${place}"><h2>${escape(panel.title)}</h2>${draw(panel, series, width, height)}</div>`;
}

const STYLE = `body{margin:0;background:#111217;color:#ccccdc;font:12px "DejaVu Sans",sans-serif;position:relative}h1{position:absolute;left:10px;top:2px;font-size:18px;font-weight:500}
h2{margin:0 0 6px;font-size:13px;font-weight:600}.panel{position:absolute;background:#181b1f;border:1px solid #2c2f36;border-radius:3px;padding:8px;box-sizing:border-box;overflow:hidden}
.row{position:absolute;font-size:15px;line-height:28px}svg text{fill:#9fa1a8;font-size:10px}.grid{stroke:#2c2f36}.stats{display:flex;flex-wrap:wrap;gap:4px}
.stat{flex:1 1 110px;display:flex;flex-direction:column;align-items:center;justify-content:center;color:#fff;border-radius:2px;padding:2px}.stat b{font-size:20px;font-weight:500}.stat span{font-size:10px}
.bar{display:flex;align-items:center;gap:8px;height:22px}.bar span{width:40%;max-width:220px}.bar i{flex:1;background:#22252b;height:14px}.bar u{display:block;height:14px}.bar b{width:70px;font-weight:500}
table{border-collapse:collapse;width:100%}th{color:#6e9fff;font-weight:500;text-align:left}td,th{padding:4px 8px;border-bottom:1px solid #2c2f36}.empty{margin:auto;padding:30px;color:#9fa1a8;text-align:center}`;

const work = mkdtempSync(join(tmpdir(), "vomsis-pictures-"));
for (const dashboard of shipped()) {
  const panels = [];
  for (const panel of dashboard.panels) panels.push(await drawn(panel));
  const bottom = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h));
  const [width, height] = [24 * UNIT_W + GAP, bottom * UNIT_H + GAP * 2 + 50];
  const page = join(work, `${dashboard.name}.html`);
  writeFileSync(page, `<!doctype html><meta charset="utf-8"><style>${STYLE}</style><body style="width:${width}px;height:${height}px"><h1>${escape(dashboard.title)}</h1>${panels.join("")}`);
  execFileSync("chromium", ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", `--user-data-dir=${join(work, "profile")}`, `--window-size=${width},${height}`, `--screenshot=${join(folder, `${dashboard.name}.png`)}`, `file://${page}`], { stdio: "ignore" });
  console.log(`${dashboard.name}.png`);
}
rmSync(work, { recursive: true, force: true });
