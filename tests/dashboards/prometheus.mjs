// Asks a live Prometheus what Grafana would ask for a dashboard.
import { readFileSync, readdirSync } from "node:fs";

const FOLDER = new URL("../../helm/vomsis-connect/files/dashboards/", import.meta.url);

/** The shipped dashboards, read as Grafana reads them. */
export function shipped() {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json")).sort();
  return files.map((name) => ({ name: name.replace(".json", ""), ...JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) }));
}

/** A query as Grafana sends it: every choice is "All", the interval's windows are `rate`. */
export function expanded(expr, rate) {
  const text = expr.replaceAll("$__rate_interval", rate).replace(/\$(job|instance|connection|stream)\b/g, ".*");
  if (text.includes("$")) throw new Error(`a variable that nobody sets: ${text}`);
  return text;
}

async function ask(base, path, params) {
  const response = await fetch(`${base}/api/v1/${path}`, { method: "POST", body: new URLSearchParams(params) });
  const answer = await response.json();
  if (answer.status !== "success") throw new Error(`${params.query}: ${answer.error}`);
  return answer.data.result;
}

/** Series with one value now. */
export const now = (base, query) => ask(base, "query", { query });

/** Series with values over the last `seconds`. */
export function lately(base, query, seconds, step) {
  const end = Date.now() / 1000;
  return ask(base, "query_range", { query, start: end - seconds, end, step });
}
