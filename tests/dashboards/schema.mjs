// Checks the dashboards against Grafana's own types: `node tests/dashboards/schema.mjs CACHE_FOLDER`,
// the folder that tests/tools/fetch.sh made. Proves too that a wrong dashboard is refused.
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const cache = resolve(process.argv[2]);
const Ajv = createRequire(join(cache, "package.json"))("ajv");
const schema = JSON.parse(readFileSync(join(cache, "dashboard.schema.json"), "utf8"));
const validate = new Ajv({ strict: false, allErrors: true }).compile(schema);
const folder = new URL("../../helm/vomsis-connect/files/dashboards/", import.meta.url);
const read = (name) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));

const files = readdirSync(folder).filter((name) => name.endsWith(".json")).sort();
let wrong = files.length === 5 ? 0 : 1;
for (const name of files) {
  if (validate(read(name))) continue;
  wrong += 1;
  for (const { instancePath, message } of validate.errors) console.error(`${name} ${instancePath} ${message}`);
}
for (const spoil of [(d) => delete d.panels[0].type, (d) => (d.schemaVersion = "41")]) {
  const spoiled = read(files[0]);
  spoil(spoiled);
  if (validate(spoiled)) {
    console.error("a spoiled dashboard is accepted: the schema says nothing");
    wrong += 1;
  }
}
console.log(`${files.length} dashboards, ${wrong} wrong`);
process.exit(wrong ? 1 : 0);
