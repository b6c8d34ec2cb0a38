//! Card transactions on POS terminals.

use std::borrow::Cow;

use crate::domain::{
    fields::record,
    meta::EventMeta,
    money::{Money, Rate},
    time::{Day, Timestamp},
    vocabulary::{CardBrand, PosKind},
};

record! {
    /// A card transaction on a POS terminal, as the bank reports it.
    PosTransaction = "PosTransaction" with meta {
        /// Id of the transaction. Source: id.
        transaction_id: i64,
        /// Id of the terminal that was asked for. Source: path of the request.
        station_id: i64,
        /// The source's own key of the transaction (hex). Source: key.
        source_key: Option<Cow<'a, str>>,
        /// The bank's terminal number. Source: station.
        terminal_no: Option<Cow<'a, str>>,
        /// The bank's merchant number. Source: workplace.
        merchant_no: Option<Cow<'a, str>>,
        /// Card number, at most the first 6 and the last 4 digits. Source: card_number.
        card_masked: Option<Cow<'a, str>>,
        /// The source's own text of the card's type. Source: card_type.
        card_type_raw: Option<Cow<'a, str>>,
        /// Brand of the card. Source: sub_card_type.
        card_brand: CardBrand,
        /// The source's own text of the brand. Source: sub_card_type.
        card_brand_raw: Option<Cow<'a, str>>,
        /// Sale, refund or void. Source: transaction_type.
        kind: PosKind,
        /// The source's own text of the kind. Source: transaction_type.
        kind_raw: Option<Cow<'a, str>>,
        /// Gross amount in units of currency, signed as sent. Source: gross_amount.
        gross_amount: Option<Money>,
        /// Commission in units of currency, signed as sent. Source: commission.
        commission_amount: Option<Money>,
        /// Net amount in units of currency, signed as sent. Source: net_amount.
        net_amount: Option<Money>,
        /// Commission in percent. Source: commission_rate.
        commission_rate_pct: Option<Rate>,
        /// Currency code, upper case, TL as TRY. Source: exchange.
        currency: Cow<'a, str>,
        /// The source's own text of the currency. Source: exchange.
        currency_raw: Option<Cow<'a, str>>,
        /// Number of instalments; 0 and 1 both mean a single payment. Source: installments_count.
        installment_count: Option<i32>,
        /// Which instalment this is. Source: installments_order.
        installment_no: Option<i32>,
        /// When the card was used, UTC; read as Europe/Istanbul. Source: date and time, else
        /// system_date.
        transaction_at: Option<Timestamp>,
        /// Day on which the card was used. Source: date.
        transaction_date: Option<Day>,
        /// When the transaction entered the bank's system, UTC; read as Europe/Istanbul. Source:
        /// system_date.
        system_at: Option<Timestamp>,
        /// The source's own text of that time. Source: system_date.
        system_at_local: Option<Cow<'a, str>>,
        /// Day of the terminal's closing. Source: end_of_day_date.
        end_of_day_date: Option<Day>,
        /// Day of the registration. Source: registration_date.
        registration_date: Option<Day>,
        /// Value date. Source: valor.
        value_date: Option<Day>,
        /// Day of the authorisation. Source: provision_date.
        authorization_date: Option<Day>,
        /// The source's own text of that day, whose format is not documented. Source:
        /// provision_date.
        authorization_date_raw: Option<Cow<'a, str>>,
        /// Day until which the money is held. Source: blocked_date.
        blocked_date: Option<Day>,
        /// The source's own text of that day, whose format is not documented. Source: blocked_date.
        blocked_date_raw: Option<Cow<'a, str>>,
        /// Day on which the transaction ended. Source: transaction_end_date.
        transaction_end_date: Option<Day>,
        /// The source's own text of that day, whose format is not documented. Source:
        /// transaction_end_date.
        transaction_end_date_raw: Option<Cow<'a, str>>,
        /// Day of the transfer to the account. Source: transfer_to_account_date.
        settled_date: Option<Day>,
        /// The source's own text of that day, whose format is not documented. Source:
        /// transfer_to_account_date.
        settled_date_raw: Option<Cow<'a, str>>,
        /// Time of the hold, as sent. Source: block_time.
        block_time_raw: Option<Cow<'a, str>>,
        /// Number of the hold. Source: blocked_no.
        blocked_no: Option<Cow<'a, str>>,
        /// Number of the batch. Source: batchn.
        batch_no: Option<Cow<'a, str>>,
        /// Number of the merchant chain. Source: chain_no.
        chain_no: Option<Cow<'a, str>>,
        /// Number of the authorisation. Source: provision_no.
        authorization_no: Option<Cow<'a, str>>,
        /// Confirmation code. Source: confirmation_number.
        confirmation_no: Option<Cow<'a, str>>,
        /// The bank's reference number. Source: reference_number.
        reference_no: Option<Cow<'a, str>>,
        /// The bank's transaction number. Source: transaction_no.
        bank_transaction_no: Option<Cow<'a, str>>,
        /// Reward contribution, as sent; its format is not documented. Source: award_contribution.
        award_contribution: Option<Cow<'a, str>>,
        /// Extra reward contribution, as sent; its format is not documented. Source:
        /// extra_award_contribution.
        extra_award_contribution: Option<Cow<'a, str>>,
        /// Reward contribution (sm), as sent; its format is not documented. Source:
        /// sm_award_contribution.
        sm_award_contribution: Option<Cow<'a, str>>,
        /// Social contribution of the merchant, as sent; its format is not documented. Source:
        /// workplace_social_contribution.
        workplace_social_contribution: Option<Cow<'a, str>>,
        /// Service commission, as sent; its format is not documented. Source: service_com.
        service_com: Option<Cow<'a, str>>,
        /// Chip field iklcom, as sent; its format is not documented. Source: iklcom_chip.
        iklcom_chip: Option<Cow<'a, str>>,
        /// Chip points deducted, as sent; its format is not documented. Source: kesilen_chip.
        kesilen_chip: Option<Cow<'a, str>>,
        /// Chip points, net, as sent; its format is not documented. Source: net_chip.
        net_chip: Option<Cow<'a, str>>,
        /// Chip field vrcom, as sent; its format is not documented. Source: vrcom_chip.
        vrcom_chip: Option<Cow<'a, str>>,
        /// Product class, as sent; its format is not documented. Source: product_class.
        product_class: Option<Cow<'a, str>>,
        /// The bank's description. Source: description.
        description: Option<Cow<'a, str>>,
    }
}
