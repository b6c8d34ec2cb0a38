use prometheus::{TextEncoder, proto::MetricFamily};

use super::*;
use crate::{domain::time::Day, poll::board::LastError, state::position::Checkpoint};

const YAML: &str = "
connections:
  - id: a
    bank_pos: {app_key_file: /k, app_secret_file: /s}
    streams:
      bank_transactions: {poll_interval: 5m, quiet_slo: 26h}
      reference: null
  - id: b
    tos: {base_url: 'https://h', token_url: 'https://h/t', client_id_file: /k, client_secret_file: /s, consent_id: '1', institutions: [{code: '1'}]}
";
const START: Timestamp = Timestamp(1_000_000);
const LATER: Timestamp = Timestamp(2_000_000);

struct Fixture {
    board: Board,
    series: Series,
    metrics: Arc<Metrics>,
}

fn fixture() -> Fixture {
    let config = crate::config::parse("c.yaml", YAML, std::iter::empty()).unwrap().config;
    let metrics = Arc::new(Metrics::new());
    let board = Board::new(config.connections.iter().map(|c| &c.id), START);
    let mut series = Series::new(&config.connections, "v.quarantine", Arc::clone(&metrics));
    series.export(&board, START);
    Fixture { board, series, metrics }
}

impl Fixture {
    fn text(&self) -> String {
        let families: Vec<MetricFamily> = self.metrics.registry.gather();
        TextEncoder::new().encode_to_string(&families).unwrap()
    }

    /// Changes one that was there from the start.
    fn know(&self, key: &EntityKey, change: impl FnOnce(&mut Standing)) {
        self.board.update(key, |standing| {
            standing.watched_since = START;
            change(standing);
        });
    }

    #[track_caller]
    fn assert_has(&self, line: &str) {
        let text = self.text();
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
}

fn key(connection: &str, stream: Stream, entity: &str) -> EntityKey {
    let connection = ConnectionId::try_new(connection).unwrap();
    EntityKey { connection, stream, entity: entity.into() }
}

#[test]
fn every_polled_stream_has_its_series_before_anything_is_known() {
    let all = fixture();
    for (connection, stream) in [
        ("a", "bank_transactions"),
        ("a", "pos_transactions"),
        ("a", "accounts"),
        ("a", "terminals"),
        ("b", "tos_payments"),
    ] {
        let labels = format!("connection=\"{connection}\",stream=\"{stream}\"");
        all.assert_has(&format!("vomsis_source_last_success_timestamp_seconds{{{labels}}} 1000"));
        all.assert_has(&format!("vomsis_source_newest_record_timestamp_seconds{{{labels}}} 1000"));
        all.assert_has(&format!("vomsis_source_state{{connection=\"{connection}\",state=\"running\",stream=\"{stream}\"}} 0"));
        all.assert_has(&format!("vomsis_source_poll_duration_seconds_count{{{labels}}} 0"));
    }
    let bank = "connection=\"a\",stream=\"bank_transactions\"";
    all.assert_has(&format!("vomsis_source_freshness_slo_seconds{{{bank}}} 960"));
    all.assert_has(&format!("vomsis_source_quiet_slo_seconds{{{bank}}} 93600"));
    assert!(!all.text().contains("stream=\"banks\""), "reference: null polls no banks");
}

#[test]
fn a_restored_position_speaks_until_the_first_poll() {
    let mut all = fixture();
    let mut checkpoint = Checkpoint::initial(Day(0), Timestamp(500_000));
    checkpoint.backfill_next = None;
    checkpoint.newest_at = Some(Timestamp(400_000));
    all.board.adopt(&key("a", Stream::BankTransactions, "1"), Some(&checkpoint), Day(1));
    all.know(&key("a", Stream::BankTransactions, "1"), |_| {});
    all.series.export(&all.board, LATER);
    let bank = "connection=\"a\",stream=\"bank_transactions\"";
    all.assert_has(&format!("vomsis_source_newest_record_timestamp_seconds{{{bank}}} 400"));
    all.assert_has(&format!("vomsis_source_checkpoint_position_timestamp_seconds{{{bank}}} 500"));
    all.assert_has(&format!("vomsis_source_last_success_timestamp_seconds{{{bank}}} 1000"));
    all.assert_has(
        "vomsis_source_state{connection=\"a\",state=\"running\",stream=\"bank_transactions\"} 1",
    );
    all.assert_has(&format!("vomsis_source_backfill_progress_ratio{{{bank}}} 1"));
}

#[test]
fn a_new_account_is_backfilling_and_a_new_list_is_not() {
    let mut all = fixture();
    all.board.adopt(&key("a", Stream::BankTransactions, "1"), None, Day(1));
    all.board.adopt(&key("a", Stream::BankTransactions, EntityKey::WHOLE), None, Day(1));
    all.board.adopt(&key("a", Stream::Accounts, EntityKey::WHOLE), None, Day(1));
    all.series.export(&all.board, LATER);
    let state = |state, stream| {
        format!("vomsis_source_state{{connection=\"a\",state=\"{state}\",stream=\"{stream}\"}} 1")
    };
    all.assert_has(&state("backfilling", "bank_transactions"));
    all.assert_has(&state("running", "accounts"));
}

#[test]
fn a_stream_without_entities_is_as_fresh_as_the_list_that_says_so() {
    let mut all = fixture();
    all.know(&key("a", Stream::Terminals, EntityKey::WHOLE), |standing| {
        standing.last_success = Some(LATER);
    });
    all.series.export(&all.board, LATER);
    let pos = "connection=\"a\",stream=\"pos_transactions\"";
    all.assert_has(&format!("vomsis_source_last_success_timestamp_seconds{{{pos}}} 2000"));
    all.assert_has(
        "vomsis_source_state{connection=\"a\",state=\"running\",stream=\"pos_transactions\"} 1",
    );
}

#[test]
fn one_failing_entity_shows_and_the_oldest_success_counts() {
    let mut all = fixture();
    for (entity, phase, at) in [
        ("1", Phase::Running, LATER),
        ("2", Phase::Failed, Timestamp(1_500_000)),
        ("3", Phase::Stopped, Timestamp(1)),
    ] {
        all.know(&key("a", Stream::BankTransactions, entity), |standing| {
            standing.phase = phase;
            standing.last_success = Some(at);
        });
    }
    all.series.export(&all.board, LATER);
    let bank = "connection=\"a\",stream=\"bank_transactions\"";
    all.assert_has(&format!("vomsis_source_last_success_timestamp_seconds{{{bank}}} 1500"));
    all.assert_has(
        "vomsis_source_state{connection=\"a\",state=\"failed\",stream=\"bank_transactions\"} 1",
    );
    all.assert_has(
        "vomsis_source_state{connection=\"a\",state=\"running\",stream=\"bank_transactions\"} 0",
    );
}

#[test]
fn an_account_promises_nothing_of_the_time_before_it_was_there_or_while_it_was_closed() {
    let mut all = fixture();
    let [first, new, reopened] = ["1", "2", "3"].map(|id| key("a", Stream::BankTransactions, id));
    let bank = "connection=\"a\",stream=\"bank_transactions\"";
    let assert_both = |all: &mut Fixture, seconds: &str| {
        all.series.export(&all.board, LATER);
        for gauge in ["last_success", "checkpoint_commit"] {
            all.assert_has(&format!("vomsis_source_{gauge}_timestamp_seconds{{{bank}}} {seconds}"));
        }
    };
    let good = |standing: &mut Standing, at| {
        (standing.last_success, standing.committed_at) = (Some(at), Some(at));
    };
    all.know(&first, |standing| good(standing, LATER));
    all.know(&reopened, |standing| {
        good(standing, Timestamp(1));
        standing.phase = Phase::Stopped;
    });
    // Listed just now, and closed no more: neither has been asked for with success.
    all.board.update(&new, |_| {});
    all.board.update(&reopened, |standing| standing.phase = Phase::Failed);
    assert_both(&mut all, "2000");
    // Both get old from then on, whatever else is noted of them.
    all.board.update(&new, |standing| standing.watched_since = Timestamp(1_700_000));
    all.board.update(&new, |standing| standing.phase = Phase::Failed);
    assert_both(&mut all, "1700");
    all.board.update(&reopened, |standing| standing.watched_since = Timestamp(1_600_000));
    all.board.update(&reopened, |standing| standing.phase = Phase::Running);
    assert_both(&mut all, "1600");
}

#[test]
fn a_feed_that_is_refused_makes_fresh_accounts_failing_and_not_stale() {
    let mut all = fixture();
    let (feed, account) = (EntityKey::WHOLE, "1");
    let set = |all: &mut Fixture, entity, phase, at| {
        all.know(&key("a", Stream::BankTransactions, entity), |standing| {
            (standing.phase, standing.last_success) = (phase, Some(Timestamp(at)));
        });
        all.series.export(&all.board, LATER);
    };
    let bank = "connection=\"a\",stream=\"bank_transactions\"";
    let success =
        |seconds| format!("vomsis_source_last_success_timestamp_seconds{{{bank}}} {seconds}");
    set(&mut all, feed, Phase::Failed, 1_500_000);
    all.assert_has(&success(1500));
    set(&mut all, account, Phase::Running, LATER.0);
    all.assert_has(&success(2000));
    all.assert_has(
        "vomsis_source_state{connection=\"a\",state=\"failed\",stream=\"bank_transactions\"} 1",
    );
    // Nobody else speaks for the stream.
    set(&mut all, account, Phase::Stopped, LATER.0);
    all.assert_has(&success(1500));
}

#[test]
fn another_replicas_connections_go_once_this_one_has_its_shards() {
    let mut all = fixture();
    let (a, b) = (ConnectionId::try_new("a").unwrap(), ConnectionId::try_new("b").unwrap());
    all.board.note_grant(LATER);
    all.board.answer_for(&a, LATER);
    all.series.export(&all.board, LATER);
    assert!(all.text().contains("last_success_timestamp_seconds{connection=\"b\""), "not yet");
    let settled = Timestamp(LATER.0 + 30_000);
    all.series.export(&all.board, settled);
    assert!(!all.text().contains("last_success_timestamp_seconds{connection=\"b\""));
    assert!(!all.text().contains("source_state{connection=\"b\""));
    let bank = "connection=\"a\",stream=\"bank_transactions\"";
    all.assert_has(&format!("vomsis_source_last_success_timestamp_seconds{{{bank}}} 1000"));
    all.board.forget(&a);
    all.board.answer_for(&b, settled);
    all.series.export(&all.board, settled);
    assert!(!all.text().contains("last_success_timestamp_seconds{connection=\"a\""));
    let tos = "connection=\"b\",stream=\"tos_payments\"";
    all.assert_has(&format!("vomsis_source_last_success_timestamp_seconds{{{tos}}} 2030"));
}

#[test]
fn a_stream_that_nobody_is_known_to_have_grows_stale_and_does_not_vanish() {
    let mut all = fixture();
    let a = ConnectionId::try_new("a").unwrap();
    let why = LastError { at: LATER, code: "VOM-SHD-012", message: "lost".into() };
    all.board.answer_for(&a, START);
    for (entity, phase) in [("1", Phase::Running), ("2", Phase::Stopped)] {
        all.know(&key("a", Stream::BankTransactions, entity), |standing| {
            (standing.phase, standing.last_success) = (phase, Some(Timestamp(1_500_000)));
        });
    }
    all.board.lose(&a, &why);
    let long_after = Timestamp(LATER.0 + 600_000);
    all.series.export(&all.board, long_after);
    let bank = "connection=\"a\",stream=\"bank_transactions\"";
    let stale = format!("vomsis_source_last_success_timestamp_seconds{{{bank}}} 1500");
    let state = |state| {
        format!(
            "vomsis_source_state{{connection=\"a\",state=\"{state}\",stream=\"bank_transactions\"}} 1"
        )
    };
    all.assert_has(&stale);
    all.assert_has(&state("failed"));
    let standings = all.board.snapshot();
    assert_eq!(
        standings.values().map(|standing| standing.phase).collect::<Vec<_>>(),
        [Phase::Failed, Phase::Stopped],
        "what is closed stays closed"
    );
    assert_eq!(standings.values().next().unwrap().last_error, Some(why));

    // Given back to this replica: stale until its pollers run, then told anew.
    all.board.answer_for(&a, long_after);
    all.series.export(&all.board, long_after);
    all.assert_has(&stale);
    all.board.begin(&a, long_after);
    all.series.export(&all.board, long_after);
    all.assert_has(&format!("vomsis_source_last_success_timestamp_seconds{{{bank}}} 2600"));
    assert!(all.board.snapshot().is_empty(), "another may have closed some of them");
    // Pollers that start again without a loss between make nothing look fresh.
    all.board.update(&key("a", Stream::BankTransactions, "1"), |_| {});
    all.board.begin(&a, Timestamp(long_after.0 + 600_000));
    assert_eq!(all.board.snapshot().len(), 1);
    assert_eq!(all.board.answered().get(&a), Some(&long_after));
}

#[test]
fn what_was_lost_and_given_to_another_goes_once_this_replica_has_its_shards() {
    let mut all = fixture();
    let (a, b) = (ConnectionId::try_new("a").unwrap(), ConnectionId::try_new("b").unwrap());
    let why = LastError { at: LATER, code: "VOM-SHD-012", message: "lost".into() };
    for connection in [&a, &b] {
        all.board.answer_for(connection, START);
        all.board.update(&key(connection.as_str(), Stream::Banks, EntityKey::WHOLE), |_| {});
    }
    all.board.lose(&b, &why);
    // Given a shard, be it one without connections; another is released only after that.
    all.board.unsettle();
    all.board.note_grant(LATER);
    all.board.answer_for(&b, LATER);
    all.board.lose(&a, &why);
    all.series.export(&all.board, Timestamp(LATER.0 + 29_999));
    assert_eq!(all.board.snapshot().len(), 2, "shards arrive one after the other");
    all.series.export(&all.board, Timestamp(LATER.0 + 30_000));
    assert!(!all.text().contains("last_success_timestamp_seconds{connection=\"a\""));
    let left: Vec<_> = all.board.snapshot().into_keys().map(|key| key.connection).collect();
    assert_eq!(left, [b], "the status page forgets them too");
}
