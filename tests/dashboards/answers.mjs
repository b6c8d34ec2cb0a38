// Whether each query of each dashboard is answered by a live Prometheus, with something, and
// something that is a number: `node tests/dashboards/answers.mjs http://127.0.0.1:9090 [RATE_INTERVAL]`.
import { expanded, lately, now, shipped } from "./prometheus.mjs";

const [base, rate = "1m"] = process.argv.slice(2);
let [asked, wrong] = [0, 0];
const complain = (where, what) => {
  wrong += 1;
  console.error(`${where}: ${what}`);
};
const isNumber = (value) => value !== "NaN" && Number.isFinite(Number(value));

for (const dashboard of shipped()) {
  for (const panel of dashboard.panels.filter((panel) => panel.type !== "row")) {
    for (const { refId, expr, instant } of panel.targets) {
      const where = `${dashboard.name} / ${panel.title} / ${refId}`;
      asked += 1;
      try {
        const query = expanded(expr, rate);
        const series = instant ? await now(base, query) : await lately(base, query, 60, 1);
        const values = series.flatMap((one) => one.values ?? [one.value]).map(([, value]) => value);
        if (!series.length) complain(where, `no answer to ${query}`);
        else if (!values.some(isNumber)) complain(where, `no number in the answer to ${query}`);
      } catch (error) {
        complain(where, error.message);
      }
    }
  }
  for (const { name, expr } of dashboard.annotations.list) {
    asked += 1;
    // These are seldom there, which is as it should be; but they must be understood.
    await now(base, expanded(expr, rate)).catch((error) => complain(`${dashboard.name} / ${name}`, error.message));
  }
}
console.log(`${asked} queries, ${wrong} without an answer`);
process.exit(wrong || asked < 50 ? 1 : 0);
