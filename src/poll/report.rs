//! What an entity tells of its polls: the board, the metrics, the log.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    domain::{quarantine::QuarantinedRow, time::Day, vocabulary::RejectionReason},
    log_event,
    state::position::Checkpoint,
    telemetry::{clock::now, events::Event},
};

use super::{
    blame::{Asker, explain},
    board::{LastError, Phase},
    digest::Digest,
    entity::{Entity, Failure},
};

impl Entity {
    fn records(&self, kind: &str) -> prometheus::IntCounter {
        let key = &self.target.key;
        let labels = [key.connection.as_str(), key.stream.name(), kind];
        self.shared.metrics.source_records.with_label_values(&labels)
    }

    /// Counts rows that went to the topic of deletions, or tombstones.
    pub(super) fn count_deleted(&self, rows: u64) {
        self.records("deleted").inc_by(rows);
        self.count_published(rows);
    }

    fn count_published(&self, rows: u64) {
        let at = now();
        self.shared.board.update(&self.target.key, |standing| standing.rows.add(at, rows));
    }

    pub(super) fn count(&self, digest: &Digest, operation: &str) {
        let key = &self.target.key;
        let counts = digest.counts;
        for (kind, n) in
            [("new", counts.new), ("changed", counts.changed), ("unchanged", counts.unchanged)]
        {
            if n > 0 {
                self.records(kind).inc_by(n);
            }
        }
        self.count_published(counts.new + counts.changed);
        let mut quarantined: BTreeMap<RejectionReason, u64> = BTreeMap::new();
        for reason in &digest.quarantined {
            *quarantined.entry(*reason).or_default() += 1;
        }
        // An unknown topic would have failed the digest already.
        let quarantine = self.target.encoder.topic(QuarantinedRow::NAME).unwrap_or_default();
        for (reason, rows) in quarantined {
            let labels = [key.connection.as_str(), key.stream.name(), &quarantine, reason.as_str()];
            self.shared.metrics.dlq_records.with_label_values(&labels).inc_by(rows);
            log_event!(
                Event::RowQuarantined,
                connection = %key.connection,
                stream = %key.stream,
                entity = %key.entity,
                reason = reason.as_str(),
                topic = %quarantine,
                rows,
                "rows that cannot be mapped went to quarantine"
            );
        }
        if counts.contradictions > 0 {
            log_event!(
                Event::RowsContradict,
                connection = %key.connection,
                stream = %key.stream,
                entity = %key.entity,
                ids = counts.contradictions,
                "ids stood in one answer with several contents, the published one stays, else the last one counts"
            );
        }
        if counts.unknown_fields > 0 {
            let labels = [key.connection.as_str(), operation];
            let counter = self.shared.metrics.api_unknown_fields.with_label_values(&labels);
            if counter.get() == 0 {
                log_event!(
                    Event::UnknownFields,
                    connection = %key.connection,
                    operation,
                    "the first fields since the start that the model does not know"
                );
            }
            counter.inc_by(counts.unknown_fields);
        }
    }

    /// Notes that an answer is good, whether or not its rows arrive.
    pub(super) fn report_read(&self) {
        let at = now();
        self.shared.board.update(&self.target.key, |standing| standing.last_success = Some(at));
    }

    /// Notes a poll that went well, its rows committed.
    pub fn report_success(&self, checkpoint: &Checkpoint, today: Day, published: u64) {
        let at = now();
        let mut recovered_from = None;
        self.shared.board.update(&self.target.key, |standing| {
            recovered_from = standing.last_error.take().map(|error| error.code);
            standing.phase = if checkpoint.backfill_next.is_some() {
                Phase::Backfilling
            } else {
                Phase::Running
            };
            standing.last_success = Some(at);
            // Whoever waits now says until when; a backfill goes on at once.
            standing.next_poll = None;
            standing.committed_at = Some(at);
            standing.newest_at = standing.newest_at.max(checkpoint.newest_at);
            standing.backfill_ratio = checkpoint.backfill_ratio(today);
            standing.read_through = match checkpoint.backfill_next {
                None => Some(at),
                Some(next) => Some(next.start()),
            };
        });
        if let Some(after) = recovered_from {
            let key = &self.target.key;
            log_event!(
                Event::PollRecovered,
                connection = %key.connection,
                stream = %key.stream,
                entity = %key.entity,
                after,
                "polling works again"
            );
        }
        self.count_good_poll(published);
    }

    /// Notes a poll that went well, its rows committed, while look-backs or windows of a gap fail: what
    /// those would show does not arrive, so the checkpoint is not true, and why stays to be read.
    pub(super) fn report_beside_failures(&self, checkpoint: &Checkpoint, published: u64) {
        let at = now();
        self.shared.board.update(&self.target.key, |standing| {
            standing.last_success = Some(at);
            standing.next_poll = None;
            standing.newest_at = standing.newest_at.max(checkpoint.newest_at);
        });
        self.count_good_poll(published);
    }

    /// Notes that the connection-wide feed had a good answer, whether or not its rows arrive.
    pub(super) fn report_answered(&self) {
        let at = now();
        self.shared.board.update(&self.target.key, |standing| {
            if standing.phase == Phase::Running {
                standing.last_success = Some(at);
            }
        });
    }

    /// Notes that the connection-wide feed has read this account's rows too.
    pub fn report_served(&self) {
        let at = now();
        self.shared.board.update(&self.target.key, |standing| {
            if standing.phase == Phase::Running {
                standing.last_success = Some(at);
                standing.committed_at = Some(at);
                standing.read_through = Some(at);
            }
        });
    }

    /// Notes a poll that failed, and says so; the next one comes after `retry_in`, or not before a
    /// secret changes or an operator acts.
    pub fn report_failure(&self, failure: &Failure, retry_in: Option<Duration>) {
        self.note_failure(failure, explain(&self.target.key, Asker::Itself, failure), retry_in);
    }

    /// Notes that the connection-wide feed could not take this account's rows; its own poller asks
    /// for them, and says then when it does so again.
    pub fn report_failure_by_feed(&self, failure: &Failure) {
        self.note_failure(failure, explain(&self.target.key, Asker::Feed, failure), None);
    }

    fn note_failure(&self, failure: &Failure, message: String, retry_in: Option<Duration>) {
        let code = failure.event().code();
        let key = &self.target.key;
        log_event!(
            failure.event(),
            connection = %key.connection,
            stream = %key.stream,
            entity = %key.entity,
            error = %message,
            retry_in_s = retry_in.map(|d| d.as_secs()),
            "poll failed"
        );
        let at = now();
        self.shared.board.update(key, |standing| {
            standing.phase = Phase::Failed;
            standing.next_poll = retry_in.map(|wait| at.after(wait));
            standing.last_error = Some(LastError { at, code, message });
        });
        self.count_poll("error");
    }

    /// Tells that a live answer was too large.
    pub(super) fn tell_backlog(&self) {
        let key = &self.target.key;
        log_event!(
            Event::LiveTooLarge,
            connection = %key.connection,
            stream = %key.stream,
            entity = %key.entity,
            "more new rows than one answer may hold, reading them by days"
        );
    }

    /// Notes that the entity's poller ended for good.
    pub fn report_stopped(&self) {
        self.shared.board.update(&self.target.key, |standing| {
            standing.phase = Phase::Stopped;
            standing.next_poll = None;
        });
    }

    /// Notes when the next poll is due.
    pub fn report_next(&self, wait: Duration) {
        let at = now().after(wait);
        self.shared.board.update(&self.target.key, |standing| standing.next_poll = Some(at));
    }

    /// How long a poll took, from its first request to its commit.
    pub fn observe_poll(&self, took: Duration) {
        let key = &self.target.key;
        let labels = [key.connection.as_str(), key.stream.name()];
        let histogram = self.shared.metrics.source_poll_duration.with_label_values(&labels);
        histogram.observe(took.as_secs_f64());
    }

    fn count_good_poll(&self, published: u64) {
        self.count_poll(if published > 0 { "success" } else { "empty" });
    }

    fn count_poll(&self, outcome: &str) {
        let key = &self.target.key;
        let labels = [key.connection.as_str(), key.stream.name(), outcome];
        self.shared.metrics.source_polls.with_label_values(&labels).inc();
    }
}
