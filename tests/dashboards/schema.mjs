// Checks the dashboards against Grafana's own types, the newest ones and those of the Grafana that
// docker-compose.yml brings: `node tests/dashboards/schema.mjs CACHE_FOLDER`, the folder that
// tests/tools/fetch.sh made. Proves too that a wrong dashboard is refused.
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const cache = resolve(process.argv[2]);
const Ajv = createRequire(join(cache, "package.json"))("ajv");
const root = new URL("../../", import.meta.url);
const folder = new URL("helm/vomsis-connect/files/dashboards/", root);
const read = (name) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const fetched = (path) => JSON.parse(readFileSync(join(cache, path), "utf8"));
const SPOILS = [(d) => delete d.panels[0].type, (d) => (d.schemaVersion = "41")];

const files = readdirSync(folder).filter((name) => name.endsWith(".json")).sort();
let wrong = files.length === 5 ? 0 : 1;
const versions = [];
for (const [types, file] of [["@grafana/schema", "newest.schema.json"], ["grafana-schema-shipped", "shipped.schema.json"]]) {
  const { version } = fetched(`node_modules/${types}/package.json`);
  const validate = new Ajv({ strict: false, allErrors: true }).compile(fetched(file));
  for (const name of files) {
    if (validate(read(name))) continue;
    wrong += 1;
    for (const { instancePath, message } of validate.errors) console.error(`Grafana ${version}: ${name} ${instancePath} ${message}`);
  }
  for (const spoil of SPOILS) {
    const spoiled = read(files[0]);
    spoil(spoiled);
    if (validate(spoiled)) {
      console.error(`Grafana ${version}: a spoiled dashboard is accepted, the schema says nothing`);
      wrong += 1;
    }
  }
  versions.push(version);
}
const image = /image: grafana\/grafana:(\S+)/.exec(readFileSync(new URL("docker-compose.yml", root), "utf8"))?.[1];
if (image !== versions[1]) {
  console.error(`docker-compose.yml brings Grafana ${image}, the types are of ${versions[1]}: mend tests/tools/grafana and versions.sh`);
  wrong += 1;
}
console.log(`${files.length} dashboards, by the types of Grafana ${versions.join(" and ")}: ${wrong} wrong`);
process.exit(wrong ? 1 : 0);
