// What must be true of docker-compose.yml whichever profile is chosen: reads what
// `docker-compose config --format json` prints, `node assert.mjs NAME SERVICE...` names who must be there.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const [name, ...wanted] = process.argv.slice(2);
const { services, secrets = {} } = JSON.parse(readFileSync(0, "utf8"));
const OWN = ["connector", "mock-vomsis", "topics"];
const ONCE = ["topics"];
// Where these images look for what is mounted, and where they write: another path is not read, or lost.
const PLACES = {
  prometheus: { files: ["/etc/prometheus/prometheus.yml", "/etc/prometheus/rules"], data: "/prometheus" },
  alertmanager: { files: ["/etc/alertmanager/alertmanager.yml"], data: "/alertmanager" },
  grafana: {
    files: ["/etc/grafana/provisioning/datasources/vomsis.yaml", "/etc/grafana/provisioning/dashboards/vomsis.yaml", "/etc/vomsis/dashboards"],
    data: "/var/lib/grafana",
  },
};
const problems = [];
const check = (holds, what) => holds || problems.push(what);

check(Object.keys(services).sort().join() === wanted.sort().join(), `services are ${Object.keys(services)}`);
for (const [service, it] of Object.entries(services)) {
  const must = (holds, what) => check(holds, `${service}: ${what}`);
  must(/@sha256:[0-9a-f]{64}$|:v?\d+\.\d+\.\d+$/.test(it.image), `${it.image} is not pinned to a version or digest`);
  for (const port of it.ports ?? []) must(port.host_ip === "127.0.0.1", `port ${port.published} is not on loopback`);
  must(!it.network_mode && !it.privileged && !it.pid, "has more of the host than a network of its own");
  must(ONCE.includes(service) || (it.healthcheck?.test?.length > 1 && !it.healthcheck.disable), "has no health check");
  must(Number(it.mem_limit) > 0, "has no memory limit");
  must(it.logging?.options?.["max-size"], "its log has no cap");
  must(it.restart === (ONCE.includes(service) ? "no" : "unless-stopped"), `restart is ${it.restart}`);
  if (OWN.includes(service) || ["prometheus", "alertmanager", "grafana"].includes(service)) {
    must(it.read_only === true && it.cap_drop?.includes("ALL") && it.security_opt?.includes("no-new-privileges:true"), "is not hardened");
  }
  if (OWN.includes(service)) must(it.user === "65532:65532", `runs as ${it.user}`);
  for (const { type, source, read_only } of it.volumes ?? []) {
    if (type !== "bind") continue;
    must(existsSync(source), `${source} is not there`);
    must(read_only, `${source} is mounted writable`);
  }
  if (PLACES[service]) {
    const targets = (type) => (it.volumes ?? []).filter((volume) => volume.type === type).map(({ target }) => target).sort().join();
    must(targets("bind") === PLACES[service].files.sort().join(), `mounts ${targets("bind")}`);
    must(targets("volume") === PLACES[service].data, `keeps its data in ${targets("volume")}`);
  }
  for (const [other, { condition }] of Object.entries(it.depends_on ?? {})) {
    must(services[other], `waits for ${other}, which this profile has not`);
    must(condition !== "service_started", `does not wait until ${other} works`);
  }
}
for (const { file } of Object.values(secrets)) check(existsSync(file), `${file} is not there`);
if (services.kafka) {
  const { environment, mem_limit } = services.kafka;
  const heap = Number(/-Xmx(\d+)m/.exec(environment.KAFKA_HEAP_OPTS ?? "")?.[1]) * 2 ** 20;
  // Beside the heap a broker holds threads, buffers and the classes.
  check(heap <= 0.6 * Number(mem_limit), `kafka: a heap of ${heap} bytes (KAFKA_HEAP_OPTS) within ${mem_limit}`);
}
if (services.connector) {
  const { stop_grace_period, depends_on } = services.connector;
  check(stop_grace_period === "1m0s", `the connector has ${stop_grace_period} to drain`);
  check(Object.keys(depends_on).sort().join() === "kafka,mock-vomsis,registry,topics", `the connector waits for ${Object.keys(depends_on)}`);
}
if (services.grafana) {
  const { environment, volumes } = services.grafana;
  const home = environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH;
  const mount = volumes.find(({ target }) => target === dirname(home));
  check(mount && existsSync(join(mount.source, home.slice(mount.target.length))), `grafana begins with ${home}, which is not mounted`);
  has("grafana", { GF_AUTH_ANONYMOUS_ENABLED: "true", GF_AUTH_ANONYMOUS_ORG_ROLE: "Viewer" });
}
// Neither reads a variable whose name it does not know, or says so.
function has(service, wanted) {
  const { environment } = services[service];
  for (const [key, value] of Object.entries(wanted)) check(environment[key] === value, `${service}: ${key} is ${environment[key]}, not ${value}`);
}
if (services["kafka-ui"]) {
  // What the connector itself is given, so that the same records are shown.
  const config = readFileSync(services.connector.volumes.find(({ type }) => type === "bind").source, "utf8");
  const given = (key) => new RegExp(`${key}: "([^"]+)"`).exec(config)?.[1];
  has("kafka-ui", {
    KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS: given("bootstrap_servers"),
    KAFKA_CLUSTERS_0_SCHEMAREGISTRY: given("schema_registry: {url"),
    KAFKA_CLUSTERS_0_READONLY: "true",
  });
}
for (const problem of problems) console.error(`${name}: ${problem}`);
process.exit(problems.length ? 1 : 0);
