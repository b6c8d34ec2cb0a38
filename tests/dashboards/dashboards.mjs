// Makes the dashboards' JSON from panels.mjs: `node tests/dashboards/dashboards.mjs` writes it into the
// chart, with `--check` it only says which file is not what it would write.
import { readFileSync, writeFileSync } from "node:fs";
import { dashboards } from "./panels.mjs";

const FOLDER = new URL("../../helm/vomsis-connect/files/dashboards/", import.meta.url);
const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
const NOTE_OF = (book) => (book === "README" ? "docs/runbooks/README.md" : `docs/runbooks/${book}.md`);
const LABELS = { job: "Job", instance: "Instance", connection: "Connection", stream: "Stream" };
// Where the choices of a variable come from: all the earlier ones narrow it.
const CHOICES = {
  job: "label_values(vomsis_build_info, job)",
  instance: 'label_values(vomsis_build_info{job=~"$job"}, instance)',
  connection: 'label_values(vomsis_api_rate_limit_limit{job=~"$job",instance=~"$instance"}, connection)',
  stream: 'label_values(vomsis_source_polls_total{job=~"$job",instance=~"$instance",connection=~"$connection"}, stream)',
};

const variable = (name) => ({
  type: "query", name, label: LABELS[name], datasource: DATASOURCE,
  query: { query: CHOICES[name], refId: name }, definition: CHOICES[name],
  refresh: 2, sort: 1, multi: true, includeAll: true, allValue: ".*",
  current: { text: ["All"], value: ["$__all"] },
});

const datasource = {
  type: "datasource", name: "datasource", label: "Data source", query: "prometheus", refresh: 1,
  current: { text: "default", value: "default" },
};

const note = (name, iconColor, expr, text) => ({
  name, enable: true, iconColor, datasource: DATASOURCE, expr, titleFormat: name, textFormat: text, step: "30s",
});

const steps = (thresholds) => thresholds.map(([value, color]) => ({ value, color }));

function fieldConfig(panel) {
  const defaults = { unit: panel.unit ?? "short" };
  // Not "No data", which looks like a mistake of the panel.
  if (panel.unknown) defaults.noValue = panel.unknown;
  if (panel.decimals !== undefined) defaults.decimals = panel.decimals;
  if (panel.max !== undefined) Object.assign(defaults, { min: 0, max: panel.max });
  if (panel.thresholds) {
    defaults.color = { mode: "thresholds" };
    defaults.thresholds = { mode: "absolute", steps: steps(panel.thresholds) };
  }
  if (panel.type === "timeseries") {
    defaults.color = { mode: "palette-classic" };
    defaults.custom = { lineWidth: 1, fillOpacity: panel.stack ? 30 : 10, showPoints: "never", spanNulls: false, stacking: { mode: panel.stack ? "normal" : "none", group: "A" } };
  }
  const columns = (panel.columns ?? []).map((column, at) => column && { column, at }).filter(Boolean);
  const overrides = columns.map(({ column: [name, unit] }) => ({
    matcher: { id: "byName", options: name }, properties: [{ id: "unit", value: unit }, { id: "decimals", value: 0 }],
  }));
  return { defaults, overrides };
}

const OPTIONS = {
  stat: { colorMode: "background", graphMode: "none", textMode: "auto", justifyMode: "auto", orientation: "auto", reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false } },
  gauge: { showThresholdLabels: false, showThresholdMarkers: true, orientation: "auto", reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false } },
  bargauge: { displayMode: "basic", orientation: "horizontal", reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false } },
  timeseries: { legend: { displayMode: "list", placement: "bottom", showLegend: true, calcs: [] }, tooltip: { mode: "multi", sort: "desc" } },
  table: { showHeader: true, cellHeight: "sm" },
};

// The columns that say which row it is.
const FIRST = { connection: 0, instance: 0, stream: 1, shard: 1, version: 1, state: 2 };

// The queries of a table become columns: what they share is the row.
function transformations(panel) {
  if (panel.type !== "table") return undefined;
  const letter = (at) => String.fromCharCode(65 + at);
  const value = (at) => (panel.targets.length === 1 ? "Value" : `Value #${letter(at)}`);
  const excludeByName = { Time: true };
  const renameByName = {};
  panel.columns.forEach((column, at) => {
    if (column) renameByName[value(at)] = column[0];
    else excludeByName[value(at)] = true;
  });
  return [{ id: "merge", options: {} }, { id: "organize", options: { excludeByName, renameByName, indexByName: FIRST } }];
}

function targets(panel) {
  return panel.targets.map(({ expr, legend, instant }, at) => {
    const once = instant || panel.type === "table" || panel.type === "stat";
    return {
      refId: String.fromCharCode(65 + at), datasource: DATASOURCE, expr, legendFormat: legend ?? "__auto",
      editorMode: "code", range: !once, instant: once, format: panel.type === "table" ? "table" : "time_series",
    };
  });
}

// Left to right, a new line where a panel does not fit any more.
function layOut(panels) {
  let [x, y, height] = [0, 0, 0];
  return panels.map((panel, at) => {
    const { w, h } = panel.type === "row" ? { w: 24, h: 1 } : panel;
    if (x + w > 24) [x, y, height] = [0, y + height, 0];
    const gridPos = { x, y, w, h };
    x += w;
    height = Math.max(height, h);
    if (panel.type === "row") return { id: at + 1, type: "row", title: panel.title, gridPos, collapsed: false, panels: [] };
    return {
      id: at + 1, type: panel.type, title: panel.title, description: `${panel.about} Runbook: ${NOTE_OF(panel.book)}`,
      gridPos, datasource: DATASOURCE, fieldConfig: fieldConfig(panel), options: OPTIONS[panel.type],
      targets: targets(panel), ...(transformations(panel) && { transformations: transformations(panel) }),
    };
  });
}

function dashboard({ uid, title, description, variables, panels }) {
  return {
    uid, title, description, tags: ["vomsis-connect"], schemaVersion: 41, version: 1, editable: true, graphTooltip: 1,
    timezone: "browser", refresh: "30s", time: { from: "now-3h", to: "now" }, fiscalYearStartMonth: 0, liveNow: false,
    links: [{ type: "dashboards", title: "Vomsis", tags: ["vomsis-connect"], asDropdown: true, includeVars: true, keepTime: true, targetBlank: false, icon: "external link", tooltip: "", url: "" }],
    annotations: { list: [
      note("Restart", "orange", 'changes(process_start_time_seconds{job=~"$job",instance=~"$instance"}[1m]) > 0', "{{instance}} started"),
      note("Configuration", "blue", 'count by (instance,hash) (vomsis_config_info{job=~"$job",instance=~"$instance"}) unless count by (instance,hash) (vomsis_config_info{job=~"$job",instance=~"$instance"} offset 1m)', "{{instance}} runs configuration {{hash}}"),
    ] },
    templating: { list: [datasource, ...variables.map(variable)] },
    panels: layOut(panels),
  };
}

let stale = 0;
for (const described of dashboards) {
  const file = new URL(`${described.file}.json`, FOLDER);
  const text = `${JSON.stringify(dashboard(described), null, 2)}\n`;
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) {
    console.error(`${described.file}.json is not what panels.mjs says: node tests/dashboards/dashboards.mjs`);
    stale += 1;
  }
}
process.exit(stale ? 1 : 0);
