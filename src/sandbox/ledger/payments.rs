//! What a cancel or a refund does to a payment.
//!
//! | asked for | payment                                | becomes                                  |
//! |-----------|----------------------------------------|------------------------------------------|
//! | cancel    | successful, of today, nothing refunded | `cancel`                                 |
//! | cancel    | successful, of another day             | declined 77                              |
//! | cancel    | any other, or partly refunded          | declined 12                              |
//! | refund    | successful, amount below the rest      | `successful`, its `iade_tutar` grown     |
//! | refund    | successful, amount is the rest         | `refund`, its `iade_tutar` the amount    |
//! | refund    | successful or refund, above the rest   | declined 13                              |
//! | refund    | failed or cancelled                    | declined 12                              |
//!
//! The documents tell the success only; the codes are card networks' usual ones, and that a
//! partly refunded payment stays `successful` is an assumption.

use chrono::NaiveDateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::LedgerError, rows::Ledger, samples, shelf::Row};
use crate::{
    domain::{
        ids::Stream,
        money::Money,
        payment::{Change, PaymentState},
        vocabulary::VirtualPosStatus,
    },
    sandbox::generator::{date_time, entities::Fields, entities::fields, virtual_pos},
};

/// A payment to be added; the rest of its row is generated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// Its reference, which no other payment has.
    pub reference: String,
    /// What was paid: `"12.50"`.
    pub amount: String,
    /// TRY where it is left out.
    #[serde(default)]
    pub currency: Option<String>,
    /// `successful` where it is left out, else `failed`, `cancel` or `refund`.
    #[serde(default)]
    pub status: Option<String>,
    /// When it was made; now where it is left out.
    #[serde(default)]
    pub at: Option<NaiveDateTime>,
}

impl NewPayment {
    /// A successful payment in lira of this moment.
    pub fn new(reference: &str, amount: &str) -> Self {
        let (reference, amount) = (reference.to_owned(), amount.to_owned());
        Self { reference, amount, currency: None, status: None, at: None }
    }
}

/// Why a payment was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No payment has the reference.
    Unknown,
    /// The bank's code and words.
    Declined(&'static str, &'static str),
}

const WRONG_STATE: Refusal = Refusal::Declined("12", "Geçersiz işlem");
const WRONG_AMOUNT: Refusal = Refusal::Declined("13", "Geçersiz tutar");
const WRONG_DAY: Refusal = Refusal::Declined("77", "Gün sonu alınmış, iptal yapılamaz");

/// The numbers of `durum`: 1 is documented.
const fn durum(status: VirtualPosStatus) -> i64 {
    match status {
        VirtualPosStatus::Successful => 1,
        VirtualPosStatus::Cancelled => 2,
        VirtualPosStatus::Refunded => 3,
        VirtualPosStatus::Failed | VirtualPosStatus::Unknown => 0,
    }
}

fn status_of(label: &str) -> Option<VirtualPosStatus> {
    match label {
        "successful" => Some(VirtualPosStatus::Successful),
        "failed" => Some(VirtualPosStatus::Failed),
        "cancel" => Some(VirtualPosStatus::Cancelled),
        "refund" => Some(VirtualPosStatus::Refunded),
        _ => None,
    }
}

impl Ledger {
    /// Adds a payment to the list and answers its id.
    pub fn add_payment(&mut self, payment: &NewPayment) -> Result<i64, LedgerError> {
        let stream = Stream::VirtualPosTransactions;
        if let Some((id, _)) = self.payment_row(&payment.reference) {
            return Err(LedgerError::Taken { stream, id });
        }
        let label = payment.status.as_deref().unwrap_or("successful");
        let status = status_of(label).ok_or(LedgerError::Unfit("no such status"))?;
        let amount = Money::parse(&payment.amount).ok().filter(|amount| *amount > Money::ZERO);
        let amount = amount.ok_or(LedgerError::Unfit("amount is no decimal above zero"))?;
        let failed = status == VirtualPosStatus::Failed;
        let (code, message) =
            if failed { ("51", "Yetersiz bakiye") } else { ("00", "İşlem Başarılı") };
        let at = date_time(payment.at.unwrap_or_else(|| self.now()));
        let refunded = (status == VirtualPosStatus::Refunded).then(|| amount.to_string());
        let row = fields(json!({
            "referans_kodu": payment.reference,
            "order_id": payment.reference,
            "islem_tarihi": at,
            "created_at": at,
            "tutar": amount.to_string(),
            "taksit": 1,
            "taksit_oran": "0.0000",
            "taksit_tutar": amount.to_string(),
            "para_birimi": payment.currency.as_deref().unwrap_or("TRY"),
            "hata_kodu": code,
            "hata_mesaji": message,
            "durum": durum(status),
            "iade_tutar": refunded,
            "status_detail": virtual_pos::status_detail(label),
        }));
        let ids = self.add_rows(stream, samples::WHOLE, vec![row])?;
        Ok(ids.first().copied().unwrap_or_default())
    }

    /// Where a payment stands, as its row tells it.
    pub fn payment(&self, reference: &str) -> Option<PaymentState> {
        let (_, row) = self.payment_row(reference)?;
        let status = status_of(row.label()).unwrap_or_default();
        let fields: Fields = serde_json::from_str(&row.json).ok()?;
        Some(PaymentState {
            status,
            amount: money(&fields, "tutar"),
            refunded: money(&fields, "iade_tutar"),
            refunded_unknown: false,
            currency: fields.get("para_birimi").and_then(Value::as_str).map(ToOwned::to_owned),
        })
    }

    /// The row of a payment.
    pub(in crate::sandbox) fn payment_row(&self, reference: &str) -> Option<(i64, &Row)> {
        let mut shelves = self.shelves(Stream::VirtualPosTransactions);
        shelves.find_map(|(_, shelf)| shelf.by_reference(reference))
    }

    /// The reference in the row of a payment.
    pub(super) fn reference_of(&self, id: i64) -> Option<String> {
        let mut shelves = self.shelves(Stream::VirtualPosTransactions);
        let row = shelves.find_map(|(_, shelf)| shelf.get(id))?;
        let fields: Fields = serde_json::from_str(&row.json).ok()?;
        fields.get("referans_kodu").and_then(Value::as_str).map(ToOwned::to_owned)
    }

    /// Cancels or refunds now; answers what was given back so far, as the row then tells it.
    pub(in crate::sandbox) fn change_payment(
        &mut self,
        reference: &str,
        change: Change,
    ) -> Result<Option<Money>, Refusal> {
        let state = self.payment(reference).ok_or(Refusal::Unknown)?;
        let (id, row) = self.payment_row(reference).ok_or(Refusal::Unknown)?;
        let is_of_today = row.json.contains(&format!("\"islem_tarihi\":\"{}", self.now().date()));
        let changes = match change {
            Change::Cancel => check_cancel(&state, is_of_today)?,
            Change::Refund { amount } => check_refund(&state, amount)?,
        };
        let after = money(&changes, "iade_tutar");
        // The row stands there, and so does its JSON: it was just read.
        let edited = self.edit_row(Stream::VirtualPosTransactions, id, changes);
        edited.map(|()| after).map_err(|_| Refusal::Unknown)
    }

    /// The ids of the next cancel or refund: `islem_id` and `trans_id`.
    pub(in crate::sandbox) fn next_change(&mut self) -> (i64, String) {
        self.last_change += 1;
        (self.last_change, (730_144 + self.last_change).to_string())
    }
}

fn money(fields: &Fields, name: &str) -> Option<Money> {
    fields.get(name).and_then(Value::as_str).and_then(|text| Money::parse(text).ok())
}

fn check_cancel(state: &PaymentState, is_of_today: bool) -> Result<Fields, Refusal> {
    if state.status != VirtualPosStatus::Successful
        || state.refunded.is_some_and(|refunded| refunded > Money::ZERO)
    {
        return Err(WRONG_STATE);
    }
    if !is_of_today {
        return Err(WRONG_DAY);
    }
    let status_detail = virtual_pos::status_detail("cancel");
    Ok(fields(json!({
        "durum": durum(VirtualPosStatus::Cancelled),
        "status_detail": status_detail,
    })))
}

fn check_refund(state: &PaymentState, amount: Money) -> Result<Fields, Refusal> {
    let whole = state.amount.unwrap_or_default();
    let before = match (state.status, state.refunded) {
        (VirtualPosStatus::Successful, refunded) => refunded.unwrap_or_default(),
        // A row that says no sum was given back whole.
        (VirtualPosStatus::Refunded, refunded) => refunded.unwrap_or(whole),
        _ => return Err(WRONG_STATE),
    };
    let after = Money::from_unscaled(before.unscaled() + amount.unscaled());
    if after > whole {
        return Err(WRONG_AMOUNT);
    }
    let mut changes = fields(json!({"iade_tutar": after.to_string()}));
    if after == whole {
        changes.insert("durum".to_owned(), json!(durum(VirtualPosStatus::Refunded)));
        changes.insert("status_detail".to_owned(), json!(virtual_pos::status_detail("refund")));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn ledger() -> Ledger {
        let now = NaiveDate::from_ymd_opt(2026, 6, 1).and_then(|day| day.and_hms_opt(12, 0, 0));
        Ledger::documented(1, now)
    }

    fn refund(amount: &str) -> Change {
        Change::Refund { amount: Money::parse(amount).unwrap() }
    }

    #[test]
    fn refunds_add_up_to_the_kurus_and_no_further() {
        let mut ledger = ledger();
        ledger.add_payment(&NewPayment::new("R1", "100.10")).unwrap();
        for (amount, after) in [("0.10", "0.10"), ("33.33", "33.43"), ("66.66", "100.09")] {
            let outcome = ledger.change_payment("R1", refund(amount));
            assert_eq!(outcome, Ok(Money::parse(after).ok()));
            let state = ledger.payment("R1").unwrap();
            assert_eq!(state.status, VirtualPosStatus::Successful);
            assert_eq!(state.refunded, Money::parse(after).ok());
        }
        assert_eq!(ledger.change_payment("R1", refund("0.02")), Err(WRONG_AMOUNT));
        assert_eq!(ledger.change_payment("R1", Change::Cancel), Err(WRONG_STATE));
        assert_eq!(ledger.change_payment("R1", refund("0.01")), Ok(Money::parse("100.1").ok()));
        assert_eq!(ledger.payment("R1").unwrap().status, VirtualPosStatus::Refunded);
        assert_eq!(ledger.change_payment("R1", refund("0.01")), Err(WRONG_AMOUNT));
        assert_eq!(ledger.change_payment("R2", refund("0.01")), Err(Refusal::Unknown));
    }

    #[test]
    fn only_successful_payments_of_today_are_cancelled() {
        let mut ledger = ledger();
        let yesterday =
            NaiveDate::from_ymd_opt(2026, 5, 31).and_then(|d| d.and_hms_opt(23, 59, 59));
        for (reference, status, at, outcome) in [
            ("A", "successful", None, Ok(None)),
            ("B", "successful", yesterday, Err(WRONG_DAY)),
            ("C", "failed", None, Err(WRONG_STATE)),
            ("D", "cancel", None, Err(WRONG_STATE)),
            ("E", "refund", None, Err(WRONG_STATE)),
        ] {
            let new = NewPayment {
                status: Some(status.to_owned()),
                at,
                ..NewPayment::new(reference, "5.00")
            };
            ledger.add_payment(&new).unwrap();
            assert_eq!(ledger.change_payment(reference, Change::Cancel), outcome, "{reference}");
        }
        assert_eq!(ledger.payment("A").unwrap().status, VirtualPosStatus::Cancelled);
        for reference in ["A", "C", "D"] {
            assert_eq!(ledger.change_payment(reference, refund("1")), Err(WRONG_STATE));
        }
        assert_eq!(ledger.change_payment("E", refund("1")), Err(WRONG_AMOUNT));
        assert!(ledger.add_payment(&NewPayment::new("A", "1.00")).is_err());
        for amount in ["", "0", "-1", "1,00"] {
            assert!(ledger.add_payment(&NewPayment::new("F", amount)).is_err(), "{amount}");
        }
    }
}
