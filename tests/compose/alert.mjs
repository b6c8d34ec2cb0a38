// Waits until VomsisSourceStale of the connector is shown by an Alertmanager, or no longer:
// `node alert.mjs ALERTMANAGER fires|over SECONDS`.
const [alertmanager, what, seconds] = process.argv.slice(2);
const end = Date.now() + Number(seconds) * 1000;
for (;;) {
  const shown = await (await fetch(`${alertmanager}/api/v2/alerts`)).json();
  const fires = shown.some(({ labels }) => labels.alertname === "VomsisSourceStale" && labels.instance === "connector:8080");
  if (fires === (what === "fires")) process.exit(0);
  if (Date.now() > end) {
    console.error(`waited ${seconds} s in vain until VomsisSourceStale ${what === "fires" ? "fires" : "is over"}`);
    process.exit(1);
  }
  await new Promise((done) => setTimeout(done, 500));
}
