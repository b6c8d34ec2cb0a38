//! Fills in what follows from other keys, so that `config show` prints what is in force.

use super::Review;
use crate::config::{
    shape::{Config, Connection, Quota, Section},
    tree::Step,
};

const BANK_POS_URL: &str = "https://developers.vomsis.com/api/v2";
const VIRTUAL_POS_URL: &str = "https://uygulama.vomsis.com/api/vpos/v3";

/// Default URLs, the key files that the virtual POS borrows, a small quota's reserve, and which streams
/// run.
pub(crate) fn resolve(config: &mut Config, review: &mut Review<'_>) {
    for (index, connection) in config.connections.iter_mut().enumerate() {
        if let Some(api) = &mut connection.bank_pos {
            api.base_url.get_or_insert_with(|| BANK_POS_URL.to_owned());
        }
        borrow_keys(connection);
        reserve(&mut connection.quota);
        run_streams(connection, index, review);
    }
}

fn borrow_keys(connection: &mut Connection) {
    let Some(api) = &mut connection.virtual_pos else { return };
    api.base_url.get_or_insert_with(|| VIRTUAL_POS_URL.to_owned());
    if let Some(lender) = &connection.bank_pos
        && api.app_key_file.is_none()
        && api.app_secret_file.is_none()
    {
        api.app_key_file.clone_from(&lender.app_key_file);
        api.app_secret_file.clone_from(&lender.app_secret_file);
    }
}

/// Nobody need have written the default, which a small quota has no room for.
fn reserve(quota: &mut Quota) {
    if quota.reserved_for_payments == Quota::default().reserved_for_payments {
        quota.reserved_for_payments =
            quota.reserved_for_payments.min(quota.requests_per_minute / 2);
    }
}

fn run_streams(connection: &mut Connection, index: usize, review: &mut Review<'_>) {
    let bank = connection.bank_pos.is_some();
    let virtual_pos = connection.virtual_pos.is_some();
    let tos = connection.tos.is_some();
    let mut run = Run { index, review };
    let streams = &mut connection.streams;
    run.decide(&mut streams.bank_transactions, bank, "bank_transactions", "bank_pos", |s| {
        s.enabled
    });
    run.decide(&mut streams.pos_transactions, bank, "pos_transactions", "bank_pos", |s| s.enabled);
    run.decide(
        &mut streams.virtual_pos_transactions,
        virtual_pos,
        "virtual_pos_transactions",
        "virtual_pos",
        |s| s.enabled,
    );
    run.decide(&mut streams.tos_payments, tos, "tos_payments", "tos", |s| s.enabled);
    let any = bank || virtual_pos;
    run.decide(&mut streams.reference, any, "reference", "bank_pos or virtual_pos", |s| s.enabled);
}

struct Run<'r, 'a> {
    index: usize,
    review: &'r mut Review<'a>,
}

impl Run<'_, '_> {
    fn decide<T: Default>(
        &mut self,
        section: &mut Section<T>,
        has_api: bool,
        name: &str,
        api: &str,
        enabled: impl Fn(&T) -> bool,
    ) {
        let decided = match std::mem::take(section) {
            Section::Absent if has_api => Section::On(T::default()),
            Section::On(stream) if enabled(&stream) && has_api => Section::On(stream),
            Section::On(stream) => {
                if enabled(&stream) {
                    let path = [
                        Step::Key("connections"),
                        Step::Index(self.index),
                        Step::Key("streams"),
                        Step::Key(name),
                    ];
                    self.review.warn(
                        &path,
                        format!("the connection has no {api} section, so this stream is off"),
                    );
                }
                Section::Off
            }
            Section::Absent | Section::Off => Section::Off,
        };
        *section = decided;
    }
}
