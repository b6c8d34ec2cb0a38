// What Prometheus and Alertmanager made of the files that Compose mounts, asked of the running ones:
// `node obs.mjs PROMETHEUS ALERTMANAGER JOB...`, two base URLs and the jobs whose target must be up.
import { readFileSync } from "node:fs";

const [prometheus, alertmanager, ...jobs] = process.argv.slice(2);
const rules = new URL("../../helm/vomsis-connect/files/rules/vomsis.rules.yaml", import.meta.url);
const shipped = readFileSync(rules, "utf8").match(/^ *- alert: /gm).length;

const get = async (url) => {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
};

// Waits until `found` holds of what `ask` gives; a first scrape takes its interval.
const until = async (what, ask, found) => {
  const end = Date.now() + 60_000;
  for (let seen; ; await new Promise((done) => setTimeout(done, 300))) {
    try {
      seen = await ask();
      if (found(seen)) return console.log(`ok: ${what}`);
    } catch (error) {
      seen = String(error);
    }
    if (Date.now() > end) throw new Error(`${what}: ${JSON.stringify(seen).slice(0, 2000)}`);
  }
};

await until(
  `prometheus evaluates the chart's ${shipped} alerts`,
  async () => (await get(`${prometheus}/api/v1/rules`)).data.groups.flatMap((group) => group.rules),
  (found) => found.length === shipped && found.every((rule) => rule.type === "alerting" && rule.health === "ok"),
);
await until(
  `prometheus scrapes ${jobs.join(" and ")}`,
  async () => (await get(`${prometheus}/api/v1/targets`)).data.activeTargets,
  (targets) => targets.length === 2 && jobs.every((job) => targets.some((t) => t.labels.job === job && t.health === "up")),
);
await until(
  "prometheus has found the alertmanager",
  async () => (await get(`${prometheus}/api/v1/alertmanagers`)).data,
  ({ activeAlertmanagers, droppedAlertmanagers }) => activeAlertmanagers.length === 1 && droppedAlertmanagers.length === 0,
);

// A connector that is down has no other news.
const alert = (alertname, severity, instance) => ({ labels: { alertname, severity, instance, job: "vomsis-connect" } });
const sent = [
  alert("VomsisDown", "critical", "one:8080"),
  alert("VomsisApiSlow", "warning", "one:8080"),
  alert("VomsisApiSlow", "warning", "two:8080"),
  alert("VomsisSourceStale", "critical", "one:8080"),
];
const posted = await fetch(`${alertmanager}/api/v2/alerts`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(sent),
});
if (!posted.ok) throw new Error(`alertmanager: ${posted.status} ${await posted.text()}`);
await until(
  "alertmanager shows what fires, and hides what a connector that is down causes",
  () => get(`${alertmanager}/api/v2/alerts`),
  (shown) => {
    const state = ({ labels }) => shown.find((one) => Object.entries(labels).every(([key, value]) => one.labels[key] === value))?.status.state;
    return sent.map(state).join() === "active,suppressed,active,active";
  },
);
