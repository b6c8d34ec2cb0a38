//! The poller of an institution, whose windows are single days and share none.

use serde_json::json;

use super::*;
use crate::{poll::fetch::Origin, state::position::Checkpoint, telemetry::clock::now};

const INSTITUTION: &str = "0006624";
const BAD: usize = 25;

impl Stage {
    /// The same with an institution.
    async fn with_institution() -> Self {
        let stage = Self::new().await;
        let (url, folder) = (stage.simulator.base_url(), stage.folder.path().display());
        let text = format!(
            "connections: [{{id: acme, tos: {{base_url: \"{url}\", \
             token_url: \"{url}/auth/oauth/v2/token\", client_id_file: {folder}/key, \
             client_secret_file: {folder}/secret, consent_id: c, resource: sandbox, \
             institutions: [{{code: \"{INSTITUTION}\"}}]}}, \
             quota: {{requests_per_minute: 60000, concurrency: 8, reserved_for_payments: 0}}}}]\n"
        );
        let loaded = crate::config::parse("c", &text, std::iter::empty()).unwrap();
        stage.configured(model::Connection::clone(&loaded.config.connections[0]))
    }
}

#[tokio::test]
async fn look_backs_beside_a_gap_do_not_take_the_day_before_them_for_read() {
    let stage = Stage::with_institution().await;
    let today = now().local_day();
    // Of the day before those that a look-back spans some hours were read; too many of its rows are
    // bad.
    let mut checkpoint = Checkpoint::initial(today.plus(-90), today.plus(-2).start());
    checkpoint.backfill_next = None;
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    let entity = stage.entity(Stream::TosPayments, INSTITUTION, state);
    let paid = format!("{}T00:00:00", today.plus(-3).to_date());
    let row = || fields(json!({"PaymentDate": paid, "Amount": "NaN"}));
    let rows = (0..BAD).map(|_| row()).collect();
    let ids = stage.simulator.ledger().add_rows(Stream::TosPayments, INSTITUTION, rows).unwrap();
    let often = schedule(Duration::from_millis(40), Duration::from_millis(40));
    let schedule = Schedule { window_days: 1, overlap_days: 0, ..often };
    let origin = Origin::Institution { code: INSTITUTION.to_owned(), sender_accounts: Vec::new() };
    let poller = tokio::spawn(stage.poller(&entity, schedule, origin).run());
    let asked = || stage.asked("tos_query").len();
    until("it looks back again and again", || asked() > 30).await;
    let position = entity.position(&schedule, today, today).await;
    assert_eq!(position.backfill_next, Some(today.plus(-3)), "still to be read");
    for id in ids {
        let healed = fields(json!({"Amount": 5}));
        stage.simulator.ledger().edit_row(Stream::TosPayments, id, healed).unwrap();
    }
    let created = |kind: &String| kind == "io.vomsis.v1.TosPayment.created";
    until("its rows come", || stage.kinds().iter().filter(|kind| created(kind)).count() == BAD)
        .await;
    stage.stop.cancel();
    poller.await.unwrap();
}
