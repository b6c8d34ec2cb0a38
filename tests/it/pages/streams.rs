//! `docs/streams.md`, from the list of topics and the schemas.

use std::{fmt::Write, path::Path};

use serde_json::Value;
use vomsis_connect::{
    config,
    domain::{ids::Stream, schemas, warnings::Warning},
    kafka::topics,
};

use super::{assert_committed, cell, event_id};

const INTRODUCTION: &str = "# Topics and events

Read with `isolation.level=read_committed`: what a transaction that was aborted wrote is else visible too.
Values are Avro in the Confluent wire format (a zero byte, the schema's id, the datum), subject
`<topic>-value`; keys are UTF-8 text, partitioned as a Java producer would (`murmur2`), so streams that
share a key can be joined. Headers are CloudEvents 1.0: `ce_id` (= `meta.event_id`), `ce_source`
(`/vomsis/<connection>/<stream>`), `ce_type`, `ce_specversion`, `ce_time`, `content-type`.

- The same row comes again only with other content: `meta.op` is then `UPDATED` and `meta.version` one more.
  Keep the highest version of each `meta.source_id` of an account, terminal or institution: each of them
  counts its own, so a bank row that the source moves to another account begins there with version 1.
  `meta.event_id` is the same for the same version, whichever process wrote it. [How it is
  made](#how-an-event_id-is-made).
- A row that cannot be mapped goes to quarantine, which counts no version. If it comes back with the content
  that was published last, there is no event; with another one it is `UPDATED`, and `CREATED` where nothing
  of it was published before.
- An id that stands in one answer with several contents is one row (VOM-SRC-017): the content that was
  published last stays while it is among them, else the last one counts. So an order that changes from poll
  to poll makes no event.
- Amounts, rates, ids, currencies, flags and the texts that identify somebody or something are never guessed at:
  a wrong type sends the row to quarantine. What is only shown is null instead, and `meta.warnings` names it
  (below); `1.0` is read as the order 1. Rows that would lose such a field count for `max_bad_ratio` as those that
  cannot be mapped do.
- Within a partition the versions of a row come in order. Rows of one account come by their ids as long as
  nothing comes late; a late one comes when it is found.
- Money is `decimal(23,5)` with the sign as sent, a rate is percent in `decimal(12,6)`; neither is rounded.
  A time is UTC in milliseconds, read as Europe/Istanbul; `_local` keeps the text as it came.
- An enumeration of a source is text with a list of the values known today (`allowed`) and `UNKNOWN`; where
  the source may say more, `_raw` beside it keeps its word.
- Reference topics are compacted: the latest value of a key counts, an empty value means that the entity is
  gone.
- `RowDeletion` says which reads prove it. A read counts as complete when every window of it was answered;
  `last_seen_at` is null where the process never saw the row, or has shown more than 4,096 newer ones since the
  last complete read; both counts begin anew with a restart. No read counts as complete in which the answer for a
  single day may be cut by a limit of the API (VOM-SRC-018): it has a round number of rows from 50 on, or as many as a
  limit that was met, no larger answer was seen, and neither `lastId` nor, of bank rows, the hours of the day show more. A row without a readable date, or
  whose dates lie more than 7 days apart (a POS row that is paid out weeks later), is missed only by reads of the very
  days of one that showed it: what went while the process was away, or over midnight, is not told. That takes three reads within a day, so a
  `lookback_interval` of more than some hours leaves such rows out. Of a TOS institution with `sender_accounts` only rows
  that the process was shown are missed: those of accounts that are no longer asked for are not gone, and what went while
  the process was away is not told.
- A customer is `partial` only where neither the list of customers nor `/customers/{id}` has it: what a payment
  mentions never takes the place of a whole one. One that was deleted goes with a tombstone, and comes again as
  payments mention it. Of several payments the newest speaks.
- With `feed: connection`, rows of an account that `/accounts` does not list are left out, and told (VOM-SRC-024): the
  account's history is read from `start` on once it is listed.
- Known and left out: the `account` and `bank` inside a movement and the `bank` inside an account (rows of
  their own topics), `formatted_account_number` (the number once more), the colours of `status_detail`,
  `bayi` and `tahsilat` of a payment, and `related`, `invoices` and `invoiceInformation` of a customer (no
  document says what stands in them). They are no `unknown` fields, and `extras` does not carry them.
- `<prefix>.internal.*` are the connector's own; their bytes may change with any version.

`vomsis` stands for `kafka.topic_prefix`. This page is made from the program and from `schemas/`;
`UPDATE=1 cargo test --test it pages::` writes it.
";

/// When rows come that are not simply new.
const COMING: &str = "
## What comes when

A bank row is found by its id, above the cursor of its account, or by its date within the `lookback`. (A POS row is
asked for with dates always, so its id helps within the last 14 days only.)

| the row | comes |
|---|---|
| its id is above the cursor | with the next poll, however old its date |
| its id is at or below the cursor, its date within `lookback` | with the next look-back (`lookback_interval`), as `LATE` |
| its id is at or below the cursor, its date older | never: such rows are what was read long ago |
| it was in quarantine and nothing of it was published, or is back after its deletion, at or below the cursor | as `CREATED` with the next look-back, as `LATE`; with the next version |

A row that the source adds while the history is read, under a day that was read already and that the look-back does not
reach, is not found either: the days that follow raise the cursor over its id. That is so of the first history only. After
a silence longer than the `lookback`, and where look-backs failed for longer, the days since are read too and leave the
cursor to the polls: those ask above it as it was before, so a row that came meanwhile comes however old its date,
unless the API cuts that answer or it is too large: then it comes if its date is within the look-back or the history.
Polls go on while those days are read, and look-backs where one of them cannot be had. Where one call reads them for all
accounts at once, both wait until it has, also where it has to ask again because the API ignores the dates (VOM-SRC-004).

**Changing `date_type`.** What is remembered lies under the date that decided when it came. After a change, a row whose
one date lies within the `lookback` and whose other one before it may come once more, as `CREATED` with version 1. One that
was never edited has the `event_id` that it had: whoever counts each `event_id` once is not disturbed by it; of one that
was, [versions begin anew](#versions-that-begin-anew). With `deletions: emit` such a row may be
told as deleted; set `ignore` before the change, and `emit` again when a `lookback` has passed.

**Raising `lookback`, moving `start` back.** A look-back reads no day whose rows are remembered no more: they would all come
once more. So after `lookback` was raised it begins about where it began before, and is a day longer each day until it is as
long as it should be; what comes late or is edited under the days before is not found. `start` counts for the first history
only: moved back later it changes nothing.

### Versions that begin anew
Whoever keeps the highest `meta.version` of a row has to know when the connector's memory of it is gone: its next event is
`CREATED` with version 1 whatever was published before, and an edit after that is version 2. `event_id` holds the version, so
only a row that was never edited comes under the id that it had. That is so after `checkpoint reset` of a shard that had
lost something, where a TOS institution's `code` is spelled otherwise, and
for the rows of a changed `date_type` above. Forget the versions of the keys concerned before, or order a row's events by
offset within its partition, which is right always.

**Clocks.** Rows are remembered for a `lookback` before the newest row, so that a clock which is some days ahead forgets
nothing; an account without new rows keeps those of its last days.

An answer for one account (TOS: one institution) that holds a row of another one that is followed too is not believed
(VOM-SRC-023): that account shows the row as well, and it would come twice. A row that names an account which nobody
follows is published by whoever gets it, under the name that it has. POS rows and payments of the list name nobody, so
theirs cannot be compared.

An id beyond 2^53 raises the cursor only where another row, or the cursor, is at least half of it: a single absurd one
would hide every later row. Its row is published all the same.

Where one call serves all accounts (`feed: connection`, or `auto` with many accounts), that call asks above the
highest id of all of them. A row whose id is above the cursor of its own account, and below that of another
account's row that the source has shown before, is found within the look-back as above. One whose date is older comes

1. with the next poll, where it shows at most 15 minutes after that other row: each poll asks so far back;
2. else with the first poll after the next look-back, where it shows at most a day after it;
3. else, and where the process was restarted in between, with the look at its account alone, which asks above the
   account's own cursor: at most `check_interval` (one day) later.

If its own account shows a row with a higher id first, it is a row below the cursor from then on; not where the account's
rows were refused (`max_bad_ratio`), whose cursor waits until its own poll was good, over a restart too. An API that refuses
`lastId` without dates (VOM-SRC-010) shows no row that is older than the days sent with it: 7 for an account, 2 for all
at once.
";

/// Fields that are null where their type is wrong, as `meta.warnings` names them.
fn unreadable() -> String {
    let named = Warning::ALL.iter().filter(|warning| warning.is_of_unreadable_field());
    let named: Vec<_> = named.map(|warning| format!("`{}`", warning.as_str())).collect();
    format!(
        "\nWarnings about fields that are null because their type was wrong: {}.\n",
        named.join(", ")
    )
}

fn topics_table(page: &mut String) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/full.yaml");
    let kafka = config::load(&example, std::iter::empty()).unwrap().config.kafka;
    *page += "\n## Topics\n\n| topic | key | value | cleanup |\n|---|---|---|---|\n";
    for topic in topics::desired(&kafka, true) {
        let is_record = schemas::ALL.iter().any(|schema| schema.name == topic.holds);
        let value = if is_record {
            format!("[{0}](#{1})", topic.holds, topic.holds.to_lowercase())
        } else {
            topic.holds.to_owned()
        };
        let cleanup = topic.cleanup.map_or("any", topics::Cleanup::as_str);
        writeln!(page, "| `{}` | `{}` | {value} | {cleanup} |", topic.name, topic.key).unwrap();
    }
}

/// An Avro type in a few words; a record is described once, by its own table.
fn kind(schema: &Value, records: &mut Vec<Value>) -> String {
    match schema {
        Value::String(name) => name.rsplit('.').next().unwrap().to_owned(),
        Value::Array(options) => {
            let options = options.iter().filter(|option| *option != "null");
            let kinds: Vec<_> = options.map(|option| kind(option, records)).collect();
            format!("{}, optional", kinds.join(" or "))
        }
        _ => match (schema["logicalType"].as_str(), schema["type"].as_str().unwrap()) {
            (Some("decimal"), _) => format!("decimal({},{})", schema["precision"], schema["scale"]),
            (Some(logical), _) => logical.to_owned(),
            (None, "array") => format!("list of {}", kind(&schema["items"], records)),
            (None, "record") => {
                records.push(schema.clone());
                schema["name"].as_str().unwrap().to_owned()
            }
            (None, plain) => plain.to_owned(),
        },
    }
}

fn record_table(record: &Value, page: &mut String, seen: &mut Vec<String>) {
    let name = record["name"].as_str().unwrap().to_owned();
    if seen.contains(&name) {
        return;
    }
    writeln!(page, "\n### {name}\n\n{}\n", record["doc"].as_str().unwrap()).unwrap();
    *page += "| field | type | class | meaning |\n|---|---|---|---|\n";
    seen.push(name);
    let mut below = Vec::new();
    for field in record["fields"].as_array().unwrap() {
        let name = field["name"].as_str().unwrap();
        let kind = kind(&field["type"], &mut below);
        let class = field["pii"].as_str().unwrap();
        let mut doc = cell(field["doc"].as_str().unwrap());
        if let Some(allowed) = field["allowed"].as_array() {
            let words: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
            write!(doc, " One of {}.", words.join(", ")).unwrap();
        }
        writeln!(page, "| `{name}` | {kind} | {class} | {doc} |").unwrap();
    }
    for record in &below {
        record_table(record, page, seen);
    }
}

#[test]
fn the_page_of_the_streams_is_what_the_program_writes() {
    let mut page = INTRODUCTION.to_owned();
    page += &unreadable();
    page += COMING;
    page += &event_id::section();
    topics_table(&mut page);
    page += "\n## Records\n\nThe class says what a field may tell: N nothing, C commercial secret, I \
           identifier, P personal, F free text, K masked card. `privacy` in the\n[configuration]\
           (configuration.md) decides what is done with each class.\n";
    let mut seen = Vec::new();
    for schema in schemas::ALL {
        record_table(&serde_json::from_str(schema.json).unwrap(), &mut page, &mut seen);
    }
    for stream in Stream::ALL {
        assert!(page.contains(&format!("`vomsis.{}`", stream.topic_suffix())), "{stream}");
    }
    assert_committed("docs/streams.md", &page);
}
