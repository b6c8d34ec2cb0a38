//! The life of the sink beside a group that says nothing any more.

use tokio::sync::mpsc;

use super::*;
use crate::{
    config::model::Privacy,
    domain::vocabulary::CommandType,
    publish::encode::local_ids,
    sink::{
        desk::tests::kafka,
        tests::{NOON, entry, refund},
        waiting::Waiting,
    },
    telemetry::metrics::Metrics,
};

struct NoProbe;

impl Standing for NoProbe {
    fn stopped(&self, _: Option<String>) {}
}

fn parts() -> Parts {
    Parts {
        env: "test".into(),
        kafka: kafka(),
        schema_registry: SchemaRegistry {
            url: String::new(),
            mode: model::RegistryMode::Verify,
            auth: None,
        },
        sink: model::Sink {
            enabled: true,
            acknowledge_real_money: true,
            max_amount: None,
            max_daily_amount: None,
            max_in_doubt: 3,
            post_timeout: Duration::from_secs(30),
            quiescence: Duration::from_secs(900),
        },
        state_dir: PathBuf::new(),
        connections: BTreeMap::new(),
        clients: HashMap::new(),
        encoder: Arc::new(Encoder::new(&local_ids(), str::to_owned).unwrap()),
        privacy: Arc::new(PrivacyRules::new(&Privacy::default(), None).unwrap()),
        tally: Tally::new(Arc::new(Metrics::new()), &kafka()),
        standing: Arc::new(NoProbe),
    }
}

#[test]
fn what_waits_or_is_in_doubt_is_shown_until_another_replica_may_show_it() {
    let parts = parts();
    let metrics = Arc::clone(parts.tally.metrics());
    let shown = || {
        let doubts = metrics.commands_in_doubt.with_label_values(&["refund"]).get();
        let waiting = metrics.commands_waiting.with_label_values(&["refund"]).get();
        (doubts, waiting, metrics.commands_oldest_waiting.get() > 0.0)
    };
    for (phase, expected) in [
        (Phase::Retrying, (1, 1, true)),
        (Phase::Restoring, (1, 1, true)),
        (Phase::Stopped, (1, 1, true)),
        (Phase::Standby, (0, 0, false)),
    ] {
        parts.tally.doubts(&[(CommandType::Refund, NOON)]);
        parts.tally.waiting(&Waiting::of([&entry(refund("10.00"))]));
        parts.enter(phase, None);
        assert_eq!(shown(), expected, "{phase:?}");
    }
}

#[tokio::test]
async fn a_group_whose_thread_ended_is_an_error_and_the_end_of_the_program_is_none() {
    for is_ending in [false, true] {
        let (changes, changed) = mpsc::unbounded_channel();
        let (progress, _progressed) = mpsc::unbounded_channel();
        let (renew, _renewals) = mpsc::unbounded_channel();
        let mut member = Member { changes: changed, progress, renew };
        let stop = CancellationToken::new();
        drop(changes);
        if is_ending {
            stop.cancel();
        }
        let outcome = serve(&parts(), &mut member, &stop).await;
        assert_eq!(outcome.is_err(), !is_ending, "{outcome:?}");
    }
}
