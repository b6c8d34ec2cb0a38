// What panels show where several replicas, or none, know the answer, as a file for `promtool test rules`:
// `node tests/dashboards/shown.mjs > shown.test.yaml` (which JSON is too).
import { expanded, shipped } from "./prometheus.mjs";

const of = (at) => `namespace="apps",job="vomsis",instance="${at}"`;
const query = (file, title, at = 0) => {
  const panel = shipped().find(({ name }) => name === file)?.panels.find((panel) => panel.title === title);
  if (!panel) throw new Error(`no panel ${file} / ${title}`);
  return expanded(panel.targets[at].expr, "1m");
};
const shows = (file, title, time, ...samples) => ({
  expr: query(file, title), eval_time: time, exp_samples: samples.map(([labels, value]) => ({ labels, value })),
});
const bank = (at, rest = "") => `{${of(at)},connection="acme",stream="bank_transactions"${rest}}`;
const pos = (at, rest = "") => `{${of(at)},connection="acme",stream="pos_transactions"${rest}}`;

const doubted = (time, count, age) => [
  shows("overview", "Commands in doubt", time, ...count),
  shows("commands", "In doubt or parked", time, ...count),
  shows("commands", "Oldest doubt", time, ...age),
];
const ONE = [['{type="refund"}', 1]];
const NONE = [['{type="refund"}', 0]];

const tests = [
  {
    name: "a doubt is shown while the sink changes hands, for as long as the next one reads the journal",
    series: {
      [`vomsis_sink_state{${of("a")},state="owned"}`]: "1x20 _x200",
      [`vomsis_sink_state{${of("b")},state="restoring"}`]: "0x20 1x99 0x100",
      [`vomsis_sink_state{${of("b")},state="owned"}`]: "0x120 1x100",
      [`vomsis_commands_in_doubt{${of("a")},type="refund"}`]: "1x20 _x200",
      [`vomsis_commands_in_doubt{${of("b")},type="refund"}`]: "0x220",
      [`vomsis_commands_oldest_in_doubt_timestamp_seconds{${of("a")}}`]: "60x20 _x200",
      [`vomsis_commands_oldest_in_doubt_timestamp_seconds{${of("b")}}`]: "0x220",
    },
    expects: [...doubted("100m", ONE, [["{}", 5940]]), ...doubted("130m", NONE, [["{}", 0]])],
  },
  {
    name: "nobody has read the journal for longer than anything is remembered, and a sink that is off",
    series: {
      [`vomsis_sink_state{${of("b")},state="stopped"}`]: "1x20 _x10 0x20",
      [`vomsis_commands_in_doubt{${of("b")},type="refund"}`]: "0x20 _x10 0x20",
      [`vomsis_commands_oldest_in_doubt_timestamp_seconds{${of("b")}}`]: "0x20 _x10 0x20",
    },
    expects: [...doubted("20m", [], []), ...doubted("40m", NONE, [["{}", 0]])],
  },
  {
    name: "token and quota are those of the replica that polls; a standby and one that lost the connection know nothing",
    series: {
      [`vomsis_source_state${bank("a", ',state="running"')}`]: "1x10",
      [`vomsis_api_token_expiry_timestamp_seconds{${of("a")},connection="acme"}`]: "2000x10",
      [`vomsis_api_token_expiry_timestamp_seconds{${of("b")},connection="acme"}`]: "0x10",
      [`vomsis_api_token_expiry_timestamp_seconds{${of("c")},connection="acme"}`]: "9000x10",
      [`vomsis_api_rate_limit_remaining{${of("a")},connection="acme"}`]: "80x10",
      [`vomsis_api_rate_limit_remaining{${of("b")},connection="acme"}`]: "60x10",
      [`vomsis_api_rate_limit_remaining{${of("c")},connection="acme"}`]: "3x10",
      [`vomsis_api_rate_limit_limit{${of("a")},connection="acme"}`]: "100x10",
      [`vomsis_api_rate_limit_limit{${of("b")},connection="acme"}`]: "60x10",
      [`vomsis_api_rate_limit_limit{${of("c")},connection="acme"}`]: "100x10",
    },
    expects: [
      shows("api-kafka", "Token lifetime left", "10m", ['{connection="acme"}', 1400]),
      shows("api-kafka", "Quota left", "10m", ['{connection="acme"}', 0.8]),
    ],
  },
  {
    name: "a stopped stream has no age, and one that promises nothing is as fresh as any",
    series: Object.fromEntries([bank, pos].flatMap((stream, at) => [
      [`vomsis_source_state${stream("a", ',state="stopped"')}`, at ? "0x10" : "1x10"],
      [`vomsis_source_state${stream("a", ',state="running"')}`, at ? "1x10" : "0x10"],
      [`vomsis_source_last_success_timestamp_seconds${stream("a")}`, at ? "300x10" : "0x10"],
      [`vomsis_source_newest_record_timestamp_seconds${stream("a")}`, at ? "300x10" : "0x10"],
      [`vomsis_source_freshness_slo_seconds${stream("a")}`, "600x10"],
    ]).concat([
      [`vomsis_source_last_success_timestamp_seconds{${of("a")},connection="acme",stream="banks"}`, "0x10"],
      [`vomsis_source_freshness_slo_seconds{${of("a")},connection="acme",stream="banks"}`, "0x10"],
    ])),
    expects: [
      shows("overview", "Worst freshness", "10m", ['{connection="acme",stream="pos_transactions"}', 0.5]),
      shows("source", "Age of the newest row", "10m", ['{connection="acme",stream="pos_transactions"}', 300]),
    ],
  },
  {
    name: "of a stream the freshest replica speaks that knows anything of it: neither one that the group has lost nor a new one",
    series: {
      [`vomsis_source_state${bank("a", ',state="failed"')}`]: "1x30",
      [`vomsis_source_state${bank("b", ',state="running"')}`]: "_x5 1x14",
      [`vomsis_source_state${bank("c", ',state="running"')}`]: "0x30",
      ...Object.fromEntries(["last_success", "newest_record", "checkpoint_position", "checkpoint_commit"].flatMap((metric) => [
        [`vomsis_source_${metric}_timestamp_seconds${bank("a")}`, "0x30"],
        [`vomsis_source_${metric}_timestamp_seconds${bank("b")}`, "_x5 300x14"],
        [`vomsis_source_${metric}_timestamp_seconds${bank("c")}`, "590x30"],
        // Nobody has begun yet.
        [`vomsis_source_${metric}_timestamp_seconds${pos("c")}`, "480x30"],
      ])),
      ...Object.fromEntries(["a", "b", "c"].flatMap((at) => [bank(at), pos(at)]).map((labels) =>
        [`vomsis_source_freshness_slo_seconds${labels}`, "600x30"])),
      [`vomsis_source_state${pos("c", ',state="running"')}`]: "0x30",
    },
    expects: [
      ...["Age of the last success", "Age of the newest row", "Checkpoint lag", "Age of the checkpoint's commit"].map((title) =>
        shows("source", title, "10m", ['{connection="acme",stream="bank_transactions"}', 300], ['{connection="acme",stream="pos_transactions"}', 120])),
      shows("overview", "Worst freshness", "10m", ['{connection="acme",stream="bank_transactions"}', 0.5], ['{connection="acme",stream="pos_transactions"}', 0.2]),
      // With the owner gone, it is as old as the last one knows.
      shows("overview", "Worst freshness", "26m", ['{connection="acme",stream="bank_transactions"}', 2.6], ['{connection="acme",stream="pos_transactions"}', 1.8]),
    ],
  },
  {
    name: "rows that a new Pod set aside before its first scrape are shown, old ones are not",
    series: {
      [`process_start_time_seconds{${of("a")}}`]: "0x10",
      [`process_start_time_seconds{${of("b")}}`]: "-3600x10",
      [`vomsis_dlq_records_total{${of("a")},stream="banks",reason="X"}`]: "7x10",
      [`vomsis_dlq_records_total{${of("b")},stream="banks",reason="X"}`]: "5x10",
    },
    expects: [shows("overview", "Dead letters, 1 h", "10m", ["{}", 7])],
  },
];

const file = tests.map(({ name, series, expects }) => ({
  name, interval: "1m", promql_expr_test: expects,
  input_series: Object.entries(series).map(([series, values]) => ({ series, values })),
}));
console.log(JSON.stringify({ evaluation_interval: "1m", tests: file }, null, 1));
