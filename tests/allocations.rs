//! What an idle poll of one account allocates, whatever it has seen before: a binary of its own,
//! because its allocator counts. The figure stands in `docs/performance.md`.

#[cfg(test)]
mod idle {
    use std::{collections::HashMap, sync::Arc, time::Duration};

    use allocation_counter::{AllocationInfo, measure};
    use tokio::runtime::{Builder, Runtime};
    use vomsis_connect::{
        api::Rows,
        config::model::{DateType, Deletions, Privacy},
        domain::{
            ids::{ConnectionId, EntityKey, Stream},
            schemas,
            time::{Day, Timestamp},
        },
        mapping::PrivacyRules,
        poll::{
            board::Board,
            digest::{Answer, Others, Reason, Target, digest},
            entity::{Advance, Entity, Reading, Shared},
            rooms::Rooms,
        },
        publish::{encode::Encoder, group},
        state::{changelog::EntityState, position::Checkpoint},
        telemetry::metrics::Metrics,
    };

    /// 2022-03-10, like any other day.
    const FETCHED: Timestamp = Timestamp(1_646_900_000_000);
    /// Days of a look-back.
    const DAYS: i64 = 14;
    const SMALL: i64 = 1_000;
    const LARGE: i64 = 100_000;

    fn day(back: i64) -> Day {
        FETCHED.local_day().plus(-i32::try_from(back).unwrap())
    }

    /// A row of the look-back; ids rise with the days.
    fn row(id: i64, rows: i64) -> String {
        let date = day(DAYS - 1 - id * DAYS / (rows + 1)).to_date();
        format!(
            r#"{{"id":{id},"bank_account_id":73,"system_date":"{date} 10:00:00","amount":"5.00","fec_name":"TL","type":"alacakli","note":null}}"#
        )
    }

    fn target() -> Target {
        let ids: HashMap<_, _> = schemas::ALL.iter().map(|schema| (schema.name, 1)).collect();
        Target {
            key: EntityKey {
                connection: ConnectionId::try_new("acme").unwrap(),
                stream: Stream::BankTransactions,
                entity: "73".into(),
            },
            encoder: Arc::new(Encoder::new(&ids, |suffix| format!("vomsis.{suffix}")).unwrap()),
            privacy: Arc::new(PrivacyRules::new(&Privacy::default(), None).unwrap()),
            date_type: DateType::SystemDate,
            carry_extras: false,
            max_bad_ratio: 0.2,
            others: Others::default(),
            ce_source: "/vomsis/acme/bank_transactions".into(),
            some_accounts: false,
            lookback_days: Some(14),
        }
    }

    /// An account that has seen so many rows, and has read all of its history.
    fn account(rows: i64) -> Entity {
        let target = target();
        let texts: Vec<String> = (1..=rows).map(|id| row(id, rows)).collect();
        let answers = [Rows::from_texts(&texts, FETCHED)];
        let mut state = EntityState::default();
        let answer = Answer::of(&answers, Reason::Backfill, None, None, FETCHED);
        let read = digest(&target, &state, &answer).unwrap();
        assert_eq!(read.counts.new, rows.unsigned_abs());
        state.seen.apply(read.staging);
        assert_eq!(state.seen.len(), texts.len());
        state.checkpoint = Some(Checkpoint {
            cursor: read.highest_id,
            backfill_next: None,
            newest_at: read.newest_at,
            ..Checkpoint::initial(day(30), FETCHED)
        });
        // Nobody takes batches in: one that is written would fail the poll.
        let (publisher, inbox) = group::channel();
        drop(inbox);
        let (board, metrics) = (Arc::new(Board::default()), Arc::new(Metrics::new()));
        let shared = Shared { publisher, board, metrics, rooms: Rooms::default() };
        Entity::new(target, Deletions::Ignore, state, shared)
    }

    /// All that a poller does in a round, apart from the call to the API; how many rows were known.
    async fn poll(account: &Entity, answers: &[Rows], reason: Reason) -> u64 {
        let advance = if reason == Reason::Live { Advance::Cursor } else { Advance::Nothing };
        let start = day(30);
        let reading = Reading { answers, reason, window: None, advance, first_kept: None, start };
        let read = account.take_in(&reading).await.expect("nothing is to be written");
        account.observe_poll(Duration::from_millis(3));
        account.report_success(&account.checkpoint(start).await, FETCHED.local_day(), 0);
        account.report_next(Duration::from_secs(300));
        assert_eq!((read.counts.new, read.counts.changed), (0, 0));
        read.counts.unchanged
    }

    /// What a poll with this answer allocates, once its series and caches are there.
    fn allocated(
        runtime: &Runtime,
        account: &Entity,
        answer: &[String],
        reason: Reason,
    ) -> AllocationInfo {
        let answers = [Rows::from_texts(answer, FETCHED)];
        let mut known = 0;
        let mut once = || known = runtime.block_on(poll(account, &answers, reason));
        once();
        let info = measure(once);
        assert_eq!(known, answer.len() as u64);
        info
    }

    #[test]
    fn an_idle_poll_allocates_the_same_whatever_the_look_back_holds() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (small, large) = (account(SMALL), account(LARGE));
        let live = |account: &Entity| allocated(&runtime, account, &[], Reason::Live);
        let (of_small, of_large) = (live(&small), live(&large));
        println!("an idle live poll, {SMALL} seen rows: {of_small:?}");
        println!("an idle live poll, {LARGE} seen rows: {of_large:?}");
        assert_eq!(of_small.count_total, of_large.count_total);
        assert_eq!(of_small.bytes_total, of_large.bytes_total);
        assert_eq!(of_large.count_current, 0, "nothing of it stays");
        assert!(of_large.bytes_total < 4_096, "{of_large:?}");
    }

    #[test]
    fn reading_known_rows_again_costs_by_the_answer_and_not_by_what_was_seen() {
        const ANSWER: i64 = 100;
        let runtime = Builder::new_current_thread().build().unwrap();
        let newest = |rows: i64| {
            let texts: Vec<String> = (rows - ANSWER + 1..=rows).map(|id| row(id, rows)).collect();
            allocated(&runtime, &account(rows), &texts, Reason::LookBack)
        };
        let (of_small, of_large) = (newest(SMALL), newest(LARGE));
        println!("{ANSWER} known rows again, {SMALL} seen: {of_small:?}");
        println!("{ANSWER} known rows again, {LARGE} seen: {of_large:?}");
        assert_eq!(of_small.count_total, of_large.count_total);
        assert_eq!(of_large.count_current, 0, "nothing of it stays");
    }
}
