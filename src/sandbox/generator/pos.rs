//! POS rows: the document's forty-four fields in its order, most of them null as in its sample.

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use super::{date_time, people};
use crate::sandbox::random::Random;

/// What the generator remembers of a terminal.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Till {
    pub(in crate::sandbox) terminal_no: String,
    pub(in crate::sandbox) merchant_no: String,
    pub(in crate::sandbox) currency: String,
    /// Commission in hundredths of a percent.
    pub(in crate::sandbox) commission_rate: i64,
}

/// One row of `/pos-rapor/stations/{id}/transactions`.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sandbox) struct PosRow {
    pub(in crate::sandbox) id: i64,
    award_contribution: Option<String>,
    batchn: Option<String>,
    blocked_date: Option<String>,
    blocked_no: Option<i64>,
    block_time: Option<String>,
    card_number: String,
    card_type: Option<&'static str>,
    chain_no: Option<String>,
    commission: String,
    commission_rate: String,
    confirmation_number: String,
    date: String,
    description: &'static str,
    end_of_day_date: String,
    exchange: String,
    extra_award_contribution: Option<String>,
    gross_amount: String,
    iklcom_chip: Option<String>,
    installments_count: i64,
    installments_order: i64,
    kesilen_chip: Option<String>,
    key: String,
    net_amount: String,
    net_chip: Option<String>,
    product_class: Option<String>,
    provision_date: Option<String>,
    provision_no: Option<String>,
    reference_number: Option<String>,
    registration_date: String,
    service_com: Option<String>,
    sm_award_contribution: Option<String>,
    station: String,
    sub_card_type: &'static str,
    system_date: String,
    time: String,
    transaction_end_date: Option<String>,
    transaction_no: Option<String>,
    transaction_type: &'static str,
    transfer_to_account_date: Option<String>,
    valor: String,
    vrcom_chip: Option<String>,
    workplace: String,
    workplace_social_contribution: Option<String>,
}

/// Gross, commission and net in kuruş, and how the row calls itself.
struct Price {
    gross: i64,
    commission: i64,
    kind: &'static str,
    instalments: i64,
}

fn price(random: &mut Random, commission_rate: i64) -> Price {
    let size = random.kurus(3, 6);
    let (kind, sign) = match random.below(100) {
        0..=3 => ("İade", -1),
        4 => ("İptal", -1),
        _ => ("Satış", 1),
    };
    let instalments = if random.per_mille(200) { random.between(2, 12) } else { 0 };
    // Half a kuruş rounds up, as card statements do.
    let commission = (size * commission_rate + 5_000) / 10_000;
    Price { gross: sign * size, commission: sign * commission, kind, instalments }
}

/// Writes a row of a terminal.
pub(in crate::sandbox) fn pos_row(
    random: &mut Random,
    till: &Till,
    id: i64,
    at: NaiveDateTime,
) -> PosRow {
    let price = price(random, till.commission_rate);
    let dotted = at.format("%d.%m.%Y").to_string();
    let detailed = random.per_mille(500);
    PosRow {
        id,
        award_contribution: None,
        batchn: detailed.then(|| random.digits(3)),
        blocked_date: None,
        blocked_no: None,
        block_time: None,
        card_number: people::masked_card(random),
        card_type: detailed.then(|| random.word(&["Kredi", "Banka"])),
        chain_no: None,
        commission: people::amount(price.commission),
        commission_rate: people::amount(till.commission_rate),
        confirmation_number: random.digits(6),
        date: dotted.clone(),
        description: if price.instalments == 0 { "PESIN" } else { "TAKSITLI" },
        end_of_day_date: at.format("%Y-%m-%d").to_string(),
        exchange: till.currency.clone(),
        extra_award_contribution: None,
        gross_amount: people::amount(price.gross),
        iklcom_chip: None,
        installments_count: price.instalments,
        installments_order: i64::from(price.instalments > 0),
        kesilen_chip: None,
        key: random.hex32(),
        net_amount: people::amount(price.gross - price.commission),
        net_chip: None,
        product_class: None,
        provision_date: None,
        provision_no: detailed.then(|| random.digits(6)),
        reference_number: detailed.then(|| random.digits(12)),
        registration_date: dotted,
        service_com: None,
        sm_award_contribution: None,
        station: till.terminal_no.clone(),
        sub_card_type: random.word(&["MASTERCARD", "VISA", "TROY", "AMEX"]),
        system_date: date_time(at),
        time: at.format("%H.%M.%S").to_string(),
        transaction_end_date: None,
        transaction_no: None,
        transaction_type: price.kind,
        transfer_to_account_date: None,
        valor: (at + TimeDelta::days(1)).format("%d.%m.%Y").to_string(),
        vrcom_chip: None,
        workplace: till.merchant_no.clone(),
        workplace_social_contribution: None,
    }
}
