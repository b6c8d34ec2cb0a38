// What the five dashboards show: a table of panels. dashboards.mjs makes Grafana's JSON of it.
//
// A query names its matchers by a letter: J is the job and instance that are chosen, C those and the
// connection, S those and the stream. `book` is the runbook that the panel's description points at.

const J = 'job=~"$job",instance=~"$instance"';
const C = `${J},connection=~"$connection"`;
const S = `${C},stream=~"$stream"`;
const RATE = "$__rate_interval";

// A stream that is stopped is not watched: its ages grow for ever, and nobody is to mend that.
const watched = (expr) => `${expr} unless ignoring (state) vomsis_source_state{${S},state="stopped"} == 1`;
// A replica that the group has lost shows its streams as it saw them last, and a new one shows all of them
// as if they were read when it began: of those that know anything of a stream, the freshest one speaks.
const freshest = (expr) => {
  const known = `${watched(expr)} and on (namespace,job,instance,connection,stream) max without (state) (vomsis_source_state{${S}}) == 1`;
  const by = "by (namespace,job,connection,stream)";
  return `max by (connection,stream) (min ${by} (${known}) or max ${by} (${watched(expr)}))`;
};
const age = (metric) => freshest(`time() - vomsis_source_${metric}_timestamp_seconds{${S}}`);
// Only who polls a connection knows its token and its quota; others show what they knew, or a guess.
const OWN = `and on (job,instance,connection) vomsis_source_state{${C}}`;
// What is known of doubts, as the alert knows it: an owner's word, and the last one while there is none.
const doubts = (by, metric, agg) => {
  const now = `${agg} by (namespace,job${by}) (${metric}{${J}})`;
  const owner = `sum by (namespace,job) (vomsis_sink_state{${J},state=~"owned|halted"}) > 0`;
  return `last_over_time((${now} > 0 or ${now} and on (namespace,job) ${owner})[6h:15s])`;
};
// Where the sink is on nowhere, there is nothing to doubt.
const withoutSink = (expr) => `(${expr} unless on (namespace,job) sum by (namespace,job) (vomsis_sink_state{${J}}) > 0)`;
const IN_DOUBT = `sum by (type) (${doubts(",type", "vomsis_commands_in_doubt", "sum")} or ${withoutSink(`sum by (namespace,job,type) (vomsis_commands_in_doubt{${J}})`)})`;
const OLDEST = doubts("", "vomsis_commands_oldest_in_doubt_timestamp_seconds", "max");
const NO_SINK = withoutSink(`max by (namespace,job) (vomsis_commands_oldest_in_doubt_timestamp_seconds{${J}})`);
const OLDEST_DOUBT = `max(time() - (${OLDEST} > 0) or ${OLDEST} or ${NO_SINK})`;
// What a counter has come to before its first scrape is no increase: of a young process all of it counts.
const counted = (by, metric, matchers, window, seconds) =>
  `sum by (${by}) (${metric}{${matchers}} and on (job,instance) (time() - process_start_time_seconds{${J}} < ${seconds}) or increase(${metric}{${matchers}}[${window}]))`;
const quantile = (q, by, metric, matchers, range = RATE) =>
  `histogram_quantile(${q}, sum by (${by ? `${by},` : ""}le) (rate(${metric}_bucket{${matchers}}[${range}])))`;
const rate = (by, metric, matchers) => `sum by (${by}) (rate(${metric}{${matchers}}[${RATE}]))`;

const stat = (title, expr, more) => ({ type: "stat", title, w: 6, h: 5, targets: [{ expr, ...more.target }], ...more });
const lines = (title, targets, more) => ({ type: "timeseries", title, w: 12, h: 8, targets, ...more });
const OK_BAD = [[null, "green"], [1, "red"]];
const OK_WARN = [[null, "green"], [1, "orange"]];
// A line at 0 where there is nothing, so that nobody wonders whether the panel works.
const orNothing = (expr, label) => `${expr} > 0 or label_replace(vector(0), "${label}", "nothing", "", "")`;
const STREAM = "{{connection}} {{stream}}";

export const dashboards = [
  {
    file: "overview", uid: "vomsis-overview", title: "Vomsis / Overview",
    description: "Is everything fresh, does anything need a person?",
    variables: ["job", "instance", "connection", "stream"],
    panels: [
      stat("Worst freshness", freshest(`(time() - vomsis_source_last_success_timestamp_seconds{${S}}) / (vomsis_source_freshness_slo_seconds{${S}} > 0)`),
        { w: 12, h: 6, unit: "percentunit", decimals: 0, thresholds: [[null, "green"], [0.7, "orange"], [1, "red"]], book: "VomsisSourceStale",
          target: { legend: STREAM }, about: "Age of the last success as a share of what is promised; above 100 % the stream is stale. Streams that are stopped, or promise nothing, are left out." }),
      stat("Alerts that fire", `count(ALERTS{alertstate="firing",alertname=~"Vomsis.*"}) or vector(0)`,
        { w: 4, h: 6, thresholds: OK_BAD, book: "README", about: "Where this Prometheus has the rules of vomsis.rules.yaml." }),
      stat("Commands in doubt", IN_DOUBT,
        { w: 4, h: 6, thresholds: OK_BAD, unknown: "unknown", book: "VomsisCommandInDoubt", target: { legend: "{{type}}" }, about: "Nobody knows whether money moved. The last word of a replica that ran the payment sink, for six hours; 0 where the sink is off." }),
      stat("Dead letters, 1 h", `sum(${counted("stream", "vomsis_dlq_records_total", J, "1h", 3600)})`,
        { w: 4, h: 6, decimals: 0, thresholds: OK_WARN, book: "VomsisDeadLetters", about: "Records set aside because they could not be read." }),
      {
        type: "table", title: "Streams", w: 24, h: 10, book: "VomsisSourceStale",
        about: "Each stream: its state, and how old its last success, its newest row and its checkpoint are.",
        targets: [
          { expr: `sum by (connection,stream,state) (vomsis_source_state{${S}} == 1)` },
          { expr: age("last_success") },
          { expr: age("newest_record") },
          { expr: age("checkpoint_commit") },
          { expr: `sum by (connection,stream) (increase(vomsis_source_records_total{${S},kind=~"new|changed"}[24h]))` },
        ],
        columns: [null, ["Last success", "s"], ["Newest row", "s"], ["Checkpoint", "s"], ["Rows, 24 h", "short"]],
      },
      lines("New rows", [{ expr: rate("connection,stream", "vomsis_source_records_total", `${S},kind="new"`), legend: STREAM }],
        { unit: "recps", book: "VomsisSourceQuiet", about: "Rows a second that were not there before." }),
      lines("Dead letters by reason, 1 h", [{ expr: orNothing(counted("stream,reason", "vomsis_dlq_records_total", J, "1h", 3600), "reason"), legend: "{{stream}} {{reason}}" }],
        { unit: "short", book: "VomsisDeadLetters", about: "What was set aside, and why." }),
    ],
  },
  {
    file: "source", uid: "vomsis-source", title: "Vomsis / Source",
    description: "Each stream: how old, how far, how often it fails.",
    variables: ["job", "instance", "connection", "stream"],
    panels: [
      lines("Age of the last success", [{ expr: age("last_success"), legend: STREAM }],
        { unit: "s", book: "VomsisSourceStale", about: "Of the account or terminal that is furthest behind." }),
      lines("Age of the newest row", [{ expr: age("newest_record"), legend: STREAM }],
        { unit: "s", book: "VomsisSourceQuiet", about: "Business time. It grows at night and at weekends." }),
      lines("Checkpoint lag", [{ expr: age("checkpoint_position"), legend: STREAM }],
        { unit: "s", book: "VomsisCheckpointStuck", about: "How far back every row has been read for certain." }),
      lines("Age of the checkpoint's commit", [{ expr: age("checkpoint_commit"), legend: STREAM }],
        { unit: "s", book: "VomsisCheckpointStuck", about: "Grows while polls succeed: rows are read and do not arrive." }),
      lines("Polls by outcome", [{ expr: rate("stream,outcome", "vomsis_source_polls_total", S) + " > 0", legend: "{{stream}} {{outcome}}" }],
        { unit: "cps", book: "VomsisPollErrorsHigh", about: "success brought rows, empty found none, error failed." }),
      lines("Poll duration, p95", [{ expr: quantile("0.95", "stream", "vomsis_source_poll_duration_seconds", S), legend: "{{stream}}" }],
        { unit: "s", book: "VomsisApiSlow", about: "From the first request to the commit." }),
      lines("Rows by kind", [{ expr: rate("stream,kind", "vomsis_source_records_total", S) + " > 0", legend: "{{stream}} {{kind}}" }],
        { unit: "recps", book: "VomsisSourceQuiet", about: "unchanged rows are read again within the look-back and not published." }),
      { type: "bargauge", title: "Backfill", w: 12, h: 8, unit: "percentunit", max: 1, thresholds: [[null, "blue"], [1, "green"]], book: "VomsisSourceStale",
        about: "Share of the history that is read.", targets: [{ expr: `max by (connection,stream) (vomsis_source_backfill_progress_ratio{${S}})`, legend: STREAM, instant: true }] },
    ],
  },
  {
    file: "api-kafka", uid: "vomsis-api-kafka", title: "Vomsis / API and Kafka",
    description: "The two sides that the connector stands between.",
    variables: ["job", "instance", "connection"],
    panels: [
      { type: "row", title: "Source APIs" },
      lines("Requests", [{ expr: rate("operation,code", "vomsis_api_requests_total", C) + " > 0", legend: "{{operation}} {{code}}" }],
        { unit: "reqps", book: "VomsisPollErrorsHigh", about: "By operation and status; `error` means no answer." }),
      lines("Share of failed requests", [{ expr: `sum by (connection) (rate(vomsis_api_requests_total{${C},code=~"4..|5..|error"}[${RATE}])) / sum by (connection) (rate(vomsis_api_requests_total{${C}}[${RATE}]))`, legend: "{{connection}}" }],
        { unit: "percentunit", book: "VomsisRateLimited", about: "4xx, 5xx and no answer." }),
      lines("Request duration, p99", [{ expr: quantile("0.99", "operation", "vomsis_api_request_duration_seconds", C), legend: "{{operation}}" }],
        { unit: "s", book: "VomsisApiSlow", about: "From the first byte sent to the last received." }),
      lines("Waiting for the quota", [{ expr: `sum by (connection) (rate(vomsis_api_rate_limit_wait_seconds_total{${C}}[${RATE}]))`, legend: "{{connection}}" }],
        { unit: "s", book: "VomsisRateLimited", about: "Seconds waited each second, over all calls." }),
      { type: "gauge", title: "Quota left", w: 6, h: 6, unit: "percentunit", max: 1, thresholds: [[null, "red"], [0.1, "orange"], [0.3, "green"]], book: "VomsisRateLimited",
        about: "As the last answer's headers say, on the replica that polls the connection.", targets: [{ expr: `min by (connection) (vomsis_api_rate_limit_remaining{${C}} / vomsis_api_rate_limit_limit{${C}} ${OWN})`, legend: "{{connection}}", instant: true }] },
      stat("Token lifetime left", `max by (connection) (vomsis_api_token_expiry_timestamp_seconds{${C}} ${OWN}) - time()`,
        { h: 6, unit: "s", thresholds: [[null, "orange"], [300, "green"]], book: "VomsisAuthFailing", target: { legend: "{{connection}}" }, about: "Of the token that ends first, on the replica that polls the connection; a new one is fetched by itself. Negative: there is none." }),
      lines("Sign-ins", [
        { expr: `sum by (connection,outcome) (increase(vomsis_api_auth_attempts_total{${C}}[${RATE}]))`, legend: "{{connection}} {{outcome}}" },
        { expr: `max by (connection) (vomsis_api_access_refused{${C}})`, legend: "{{connection}} is refused" },
      ],
        { h: 6, unit: "short", book: "VomsisAuthFailing", about: "Token requests by outcome, refused addresses included; 1 while access is refused." }),
      lines("Retries", [{ expr: orNothing(rate("operation,reason", "vomsis_api_retries_total", C), "reason"), legend: "{{operation}} {{reason}}" }],
        { unit: "cps", book: "VomsisPollErrorsHigh", about: "Calls made again, and why." }),
      lines("Fields that the model does not know, 1 h", [{ expr: `sum by (operation) (increase(vomsis_api_unknown_fields_total{${C}}[1h]))`, legend: "{{operation}}" }],
        { unit: "short", book: "VomsisSchemaDrift", about: "The API has grown." }),
      { type: "row", title: "Kafka" },
      lines("Committed records", [{ expr: rate("topic", "vomsis_kafka_produced_records_total", J), legend: "{{topic}}" }],
        { unit: "recps", book: "VomsisProduceFailing", about: "A record counts when its transaction has committed." }),
      lines("Transactions that did not commit", [{ expr: orNothing(`sum by (topic,reason) (increase(vomsis_kafka_produce_errors_total{${J}}[${RATE}]))`, "reason"), legend: "{{topic}} {{reason}}" }],
        { unit: "short", book: "VomsisProduceFailing", about: "Nothing of them is visible; their rows are sent again." }),
      lines("Transaction duration, p95", [{ expr: quantile("0.95", "topic", "vomsis_kafka_produce_duration_seconds", J), legend: "{{topic}}" }],
        { unit: "s", book: "VomsisProduceFailing", about: "From begin to commit, by topic written." }),
      lines("Records on their way", [{ expr: `sum by (instance) (vomsis_kafka_producer_queue_records{${J}})`, legend: "{{instance}}" }],
        { unit: "short", book: "VomsisProduceFailing", about: "Handed to the producers and not acknowledged yet." }),
    ],
  },
  {
    file: "commands", uid: "vomsis-commands", title: "Vomsis / Payment commands",
    description: "Refunds and cancels; nothing happens here where the payment sink is off.",
    variables: ["job", "instance"],
    panels: [
      stat("In doubt or parked", IN_DOUBT,
        { w: 8, thresholds: OK_BAD, unknown: "unknown", book: "VomsisCommandInDoubt", target: { legend: "{{type}}" }, about: "Somebody may have to decide: `vomsis-connect commands list`. The last word of a replica that ran the sink, for six hours." }),
      stat("Oldest doubt", OLDEST_DOUBT,
        { w: 8, unit: "s", thresholds: [[null, "green"], [1, "orange"], [3600, "red"]], unknown: "unknown", book: "VomsisCommandInDoubtAged", about: "0 where nothing is in doubt; known as long as the number of doubts is." }),
      stat("Unread commands", `sum(vomsis_command_consumer_lag_records{${J}})`,
        { w: 8, thresholds: OK_WARN, book: "VomsisCommandsStuck", about: "Commands that lie in the topic and were not read." }),
      lines("Results, 1 h", [{ expr: orNothing(`sum by (type,outcome) (increase(vomsis_command_outcomes_total{${J}}[1h]))`, "outcome"), legend: "{{type}} {{outcome}}" }],
        { unit: "short", stack: true, book: "VomsisCommandFailures", about: "in_doubt and parked are followed by one more result." }),
      stat("Success, 1 d", `sum by (type) (increase(vomsis_command_outcomes_total{${J},outcome="succeeded"}[1d])) / sum by (type) (increase(vomsis_command_outcomes_total{${J},outcome=~"succeeded|declined|rejected|expired"}[1d]) > 0)`,
        { w: 12, h: 8, unit: "percentunit", decimals: 1, thresholds: [[null, "red"], [0.8, "orange"], [0.95, "green"]], book: "VomsisCommandFailures", target: { legend: "{{type}}" }, about: "Of the commands that came to an end; duplicates and doubts are not counted." }),
      lines("Duration, p95", [{ expr: quantile("0.95", "type", "vomsis_command_duration_seconds", J, "15m"), legend: "{{type}}" }],
        { unit: "s", book: "VomsisCommandsStuck", about: "From the journal's first word of a command to its final result." }),
      lines("Unread commands by partition", [{ expr: `sum by (topic,partition) (vomsis_command_consumer_lag_records{${J}})`, legend: "{{topic}} {{partition}}" }],
        { unit: "short", book: "VomsisCommandsStuck", about: "One that grows by itself: a reference whose command waits." }),
      lines("Waiting commands", [{ expr: `sum by (type) (vomsis_commands_waiting{${J}})`, legend: "{{type}}" }],
        { unit: "short", book: "VomsisCommandsStuck", about: "Taken in and without an answer: for their turn, a brake or the API." }),
      lines("Oldest waiting command", [{ expr: `(time() - min(vomsis_commands_oldest_waiting_timestamp_seconds{${J}} > 0)) or vector(0)`, legend: "age" }],
        { unit: "s", book: "VomsisCommandsStuck", about: "0 where none waits." }),
      lines("Sink by state", [{ expr: `sum by (state) (vomsis_sink_state{${J}})`, legend: "{{state}}" }],
        { unit: "short", book: "VomsisCommandsStuck", about: "Replicas in each state; one should be owned, or halted." }),
    ],
  },
  {
    file: "runtime", uid: "vomsis-runtime", title: "Vomsis / Runtime",
    description: "The process, its shards and its cache.",
    variables: ["job", "instance"],
    panels: [
      lines("CPU", [{ expr: `rate(process_cpu_seconds_total{${J}}[${RATE}])`, legend: "{{instance}}" }],
        { w: 8, unit: "percentunit", book: "VomsisCrashLooping", about: "Of one core." }),
      lines("Memory", [{ expr: `process_resident_memory_bytes{${J}}`, legend: "{{instance}}" }],
        { w: 8, unit: "bytes", book: "VomsisCrashLooping", about: "Resident." }),
      lines("Open files", [{ expr: `process_open_fds{${J}}`, legend: "{{instance}}" }],
        { w: 8, unit: "short", book: "VomsisCrashLooping", about: "Against the limit of the process." }),
      { type: "table", title: "Shards", w: 12, h: 8, book: "VomsisShardFenced", about: "Who owns what, how long its last restore took, and how often it was fenced within an hour.",
        targets: [
          { expr: `sum by (instance,shard,state) (vomsis_shard_state{${J}} == 1)` },
          { expr: `max by (instance,shard) (vomsis_shard_restore_duration_seconds{${J}})` },
          { expr: `sum by (instance,shard) (increase(vomsis_shard_fenced_total{${J}}[1h]))` },
        ],
        columns: [null, ["Last restore", "s"], ["Fenced, 1 h", "short"]] },
      lines("Transaction duration, p95", [{ expr: quantile("0.95", "", "vomsis_transaction_duration_seconds", J), legend: "p95" }],
        { unit: "s", book: "VomsisProduceFailing", about: "From begin to commit, over all shards." }),
      lines("Cache writes, p99", [{ expr: quantile("0.99", "", "vomsis_state_flush_duration_seconds", J), legend: "p99" }],
        { w: 8, unit: "s", book: "VomsisStateWriteFailing", about: "A committed batch, written to the local cache." }),
      lines("Cache writes that failed, 10 m", [
        { expr: `sum by (instance) (increase(vomsis_state_flush_errors_total{${J}}[10m]))`, legend: "{{instance}}" },
        { expr: `vomsis_state_shards_without_cache{${J}}`, legend: "{{instance}}: shards without a cache" },
      ],
        { w: 8, unit: "short", book: "VomsisStateWriteFailing", about: "The truth is in Kafka: nothing is lost." }),
      lines("Cache size", [{ expr: `vomsis_state_size_bytes{${J}}`, legend: "{{instance}}" }],
        { w: 8, unit: "bytes", book: "VomsisStateVolumeFilling", about: "On disk." }),
      lines("Volume: free, and free in three days", [
        { expr: `kubelet_volume_stats_available_bytes{persistentvolumeclaim=~"state-.*vomsis.*"}`, legend: "{{persistentvolumeclaim}} now" },
        { expr: `predict_linear(kubelet_volume_stats_available_bytes{persistentvolumeclaim=~"state-.*vomsis.*"}[6h], 3*86400)`, legend: "{{persistentvolumeclaim}} in 3 days" },
      ], { w: 12, unit: "bytes", book: "VomsisStateVolumeFilling", about: "In Kubernetes only: from the kubelet." }),
      { type: "table", title: "Versions", w: 12, h: 8, book: "VomsisDown", about: "What runs where.",
        targets: [{ expr: `sum by (instance,version,revision) (vomsis_build_info{${J}})` }, { expr: `sum by (instance,hash) (vomsis_config_info{${J}})` }, { expr: `time() - max by (instance) (process_start_time_seconds{${J}})` }],
        columns: [null, null, ["Up for", "s"]] },
    ],
  },
];
