//! Payment commands and their results.

use std::borrow::Cow;

use crate::domain::{
    fields::record,
    meta::EventMeta,
    money::Money,
    time::Timestamp,
    vocabulary::{CommandType, Outcome},
};

record! {
    /// An order to cancel or refund a virtual-POS payment.
    PaymentCommand = "PaymentCommand" {
        /// UUID that the sender chose; the same id for the same reference is the same command.
        command_id: Cow<'a, str>,
        /// What to do.
        r#type: CommandType,
        /// The connection that holds the payment.
        connection_id: Cow<'a, str>,
        /// The payment's reference.
        reference_no: Cow<'a, str>,
        /// Amount to refund in units of the payment's currency; REFUND needs it, CANCEL must not
        /// have it.
        amount: Option<Money>,
        /// Currency code that the sender expects; checked against the payment's.
        currency: Option<Cow<'a, str>>,
        /// Why, in the sender's words.
        reason: Option<Cow<'a, str>>,
        /// Who asked for it.
        requested_by: Cow<'a, str>,
        /// When it was asked for, UTC.
        requested_at: Timestamp,
        /// After this instant the command is not executed, UTC.
        expires_at: Option<Timestamp>,
    }
}

record! {
    /// What became of a payment command.
    PaymentResult = "PaymentResult" with meta {
        /// The command's id.
        command_id: Cow<'a, str>,
        /// What was to be done.
        r#type: CommandType,
        /// The payment's reference.
        reference_no: Cow<'a, str>,
        /// The command's amount in units of the payment's currency.
        amount: Option<Money>,
        /// What became of it.
        outcome: Outcome,
        /// Whether the outcome was read from the payment's state instead of the API's answer.
        inferred: bool,
        /// Requests that may have been sent.
        attempts: i32,
        /// The bank's transaction id. Source: trans_id.
        provider_transaction_id: Option<Cow<'a, str>>,
        /// The API's id of the operation. Source: islem_id.
        provider_operation_id: Option<i64>,
        /// The bank's answer code. Source: proc_return_code.
        provider_code: Option<Cow<'a, str>>,
        /// The bank's answer text. Source: error_message.
        provider_message: Option<Cow<'a, str>>,
        /// Amount refunded so far, in units of the payment's currency. Source: iade_tutar.
        refunded_total: Option<Money>,
        /// When the answer was received, UTC.
        executed_at: Option<Timestamp>,
        /// Who decided, where a person did.
        resolved_by: Option<Cow<'a, str>>,
        /// Results of this command so far, counted from 1; the highest counts. 0: this one takes no
        /// other's place, an earlier result stands where there is one.
        sequence: i32,
        /// Whether this closes the command; false for IN_DOUBT and with sequence 0.
        r#final: bool,
        /// Why, in words.
        detail: Option<Cow<'a, str>>,
    }
}
