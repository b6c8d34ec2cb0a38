//! Refused TOS tokens, kept with the connection's state.

use tokio_util::sync::CancellationToken;

use super::connection::Parts;
use crate::{
    domain::refusals::TosRefusals,
    publish::batch::{Batch, StateRecord},
    state::codec,
};

/// Writes down how many TOS tokens were refused: a restart must not try as often again, for five
/// refusals lock the bank's key.
pub(super) async fn keep_refusals(
    parts: Parts,
    mut kept: Option<TosRefusals>,
    stop: CancellationToken,
) {
    let Some(mut told) = parts.api.tos_refusals() else { return };
    loop {
        let now = told.borrow_and_update().clone();
        if now != kept {
            let value = now.as_ref().map(codec::encode_refusals);
            let record = StateRecord { key: codec::refusals_key(&parts.config.id), value };
            let batch = Batch { events: Vec::new(), state: vec![record] };
            if parts.shared.publisher.publish(batch).await.is_err() {
                return;
            }
            kept = now;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = told.changed() => if changed.is_err() { return },
        }
    }
}
