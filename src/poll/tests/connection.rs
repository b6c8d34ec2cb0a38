//! All pollers of a connection together.

use super::*;
use crate::{domain::refusals::TosRefusals, poll::connection, state::changelog::ConnectionState};

#[tokio::test]
async fn a_connection_ends_when_it_is_stopped_and_keeps_no_refusals_where_there_is_no_tos() {
    let stage = Stage::new().await;
    let refusals = Some(TosRefusals { refused: 1, salt: "s".into(), digest: "d".into() });
    let state = ConnectionState { refusals, ..ConnectionState::default() };
    let running = tokio::spawn(connection::run(stage.parts.clone(), state, stage.stop.clone()));
    until("its lists are published", || stage.commits() > 3).await;
    stage.stop.cancel();
    tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap();
}
