//! POS rows.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    domain::{
        content::Content,
        ids::SourceId,
        meta::EventMeta,
        money::Money,
        time::{Day, Timestamp},
        transactions::PosTransaction,
        warnings::Warning,
    },
    mapping::{
        dates,
        json::{Mask::*, keys},
        reader::{LocalText, Problem, Reader},
        row::{Body, Head, RowContext, id_text},
        words,
    },
};

keys! {
    PosKey {
        Id = "id", Figure, "transaction_id";
        AwardContribution = "award_contribution", Code, "award_contribution";
        Batch = "batchn", Code, "batch_no";
        BlockedDate = "blocked_date", Figure, "blocked_date_raw";
        BlockedNo = "blocked_no", Code, "blocked_no";
        BlockTime = "block_time", Figure, "block_time_raw";
        CardNumber = "card_number", Card, "card_masked";
        CardType = "card_type", Code, "card_type_raw";
        ChainNo = "chain_no", Code, "chain_no";
        Commission = "commission", Figure, "commission_amount";
        CommissionRate = "commission_rate", Figure, "commission_rate_pct";
        ConfirmationNo = "confirmation_number", Code, "confirmation_no";
        Date = "date", Figure, "transaction_date";
        Description = "description", Free, "description";
        EndOfDayDate = "end_of_day_date", Figure, "end_of_day_date";
        Exchange = "exchange", Figure, "currency_raw";
        ExtraAwardContribution = "extra_award_contribution", Code, "extra_award_contribution";
        GrossAmount = "gross_amount", Figure, "gross_amount";
        IklcomChip = "iklcom_chip", Code, "iklcom_chip";
        InstallmentsCount = "installments_count", Figure, "installment_count";
        InstallmentsOrder = "installments_order", Figure, "installment_no";
        KesilenChip = "kesilen_chip", Code, "kesilen_chip";
        SourceKey = "key", Code, "source_key";
        NetAmount = "net_amount", Figure, "net_amount";
        NetChip = "net_chip", Code, "net_chip";
        ProductClass = "product_class", Code, "product_class";
        ProvisionDate = "provision_date", Figure, "authorization_date_raw";
        ProvisionNo = "provision_no", Code, "authorization_no";
        ReferenceNo = "reference_number", Code, "reference_no";
        RegistrationDate = "registration_date", Figure, "registration_date";
        ServiceCom = "service_com", Code, "service_com";
        SmAwardContribution = "sm_award_contribution", Code, "sm_award_contribution";
        Station = "station", Code, "terminal_no";
        SubCardType = "sub_card_type", Code, "card_brand_raw";
        SystemDate = "system_date", Figure, "system_at_local";
        Time = "time", Figure, "transaction_at";
        TransactionEndDate = "transaction_end_date", Figure, "transaction_end_date_raw";
        TransactionNo = "transaction_no", Code, "bank_transaction_no";
        TransactionType = "transaction_type", Code, "kind_raw";
        TransferDate = "transfer_to_account_date", Figure, "settled_date_raw";
        Valor = "valor", Figure, "value_date";
        VrcomChip = "vrcom_chip", Code, "vrcom_chip";
        Workplace = "workplace", Code, "merchant_no";
        SocialContribution = "workplace_social_contribution", Code, "workplace_social_contribution";
    }
}

/// Maps a POS row; the station comes from the path of the request.
pub(super) fn map<'a>(
    reader: &mut Reader<'_, 'a>,
    ctx: &RowContext<'_>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let id = reader.id(PosKey::Id);
    head.source_id = id.as_ref().ok().copied().flatten().map(SourceId::Number);
    let days = Days::read(reader)?;
    days.tell(head);
    let transaction_id = id?.ok_or_else(|| Problem::missing("id"))?;
    let station_id = ctx.entity.parse().map_err(|_| Problem::missing("station id"))?;
    let record = record(reader, days, transaction_id, station_id)?;
    Ok(Body {
        key: id_text(station_id),
        source_key: record.source_key.as_deref().map(|key| xxh3_64(key.as_bytes())),
        record: Content::Pos(record),
    })
}

/// Every date and time of a row; `_raw` is the text of those whose format no document gives.
struct Days<'a> {
    transaction_at: Option<Timestamp>,
    system: LocalText<'a>,
    transaction: Option<Day>,
    end_of_day: Option<Day>,
    registration: Option<Day>,
    value: Option<Day>,
    authorization: DayText<'a>,
    blocked: DayText<'a>,
    transaction_end: DayText<'a>,
    settled: DayText<'a>,
}

type DayText<'a> = (Option<Day>, Option<Cow<'a, str>>);

impl<'a> Days<'a> {
    fn read(reader: &mut Reader<'_, 'a>) -> Result<Self, Problem> {
        let system = reader.time(PosKey::SystemDate)?;
        Ok(Self {
            transaction: reader.day(PosKey::Date)?.0,
            end_of_day: reader.day(PosKey::EndOfDayDate)?.0,
            registration: reader.day(PosKey::RegistrationDate)?.0,
            value: reader.day(PosKey::Valor)?.0,
            authorization: reader.day(PosKey::ProvisionDate)?,
            blocked: reader.day(PosKey::BlockedDate)?,
            transaction_end: reader.day(PosKey::TransactionEndDate)?,
            settled: reader.day(PosKey::TransferDate)?,
            transaction_at: transaction_at(reader, &system)?,
            system,
        })
    }

    /// The blocked day is none of those by which the API may serve a row.
    fn tell(&self, head: &mut Head) {
        let system = self.system.text.as_deref().and_then(dates::local_day);
        head.day = self.transaction.or(system);
        head.window_days = [
            self.transaction,
            system,
            self.end_of_day,
            self.registration,
            self.value,
            self.authorization.0,
            self.transaction_end.0,
            self.settled.0,
        ];
        head.newest_at = self.transaction_at;
    }
}

fn record<'a>(
    reader: &mut Reader<'_, 'a>,
    days: Days<'a>,
    transaction_id: i64,
    station_id: i64,
) -> Result<PosTransaction<'a>, Problem> {
    let currency =
        reader.currency(PosKey::Exchange)?.ok_or_else(|| Problem::missing("exchange"))?;
    let [gross_amount, commission_amount, net_amount] = amounts(reader)?;
    let card_brand_raw = reader.text(PosKey::SubCardType)?;
    let kind_raw = reader.text(PosKey::TransactionType)?;
    Ok(PosTransaction {
        meta: EventMeta::default(),
        transaction_id,
        station_id,
        source_key: reader.text(PosKey::SourceKey)?,
        terminal_no: reader.text(PosKey::Station)?,
        merchant_no: reader.text(PosKey::Workplace)?,
        card_masked: reader.card(PosKey::CardNumber)?,
        card_type_raw: reader.text(PosKey::CardType)?,
        card_brand: words::card_brand(card_brand_raw.as_deref()),
        card_brand_raw,
        kind: words::pos_kind(kind_raw.as_deref()),
        kind_raw,
        gross_amount,
        commission_amount,
        net_amount,
        commission_rate_pct: reader.rate(PosKey::CommissionRate)?,
        currency: currency.code,
        currency_raw: Some(currency.raw),
        installment_count: reader.integer(PosKey::InstallmentsCount)?,
        installment_no: reader.integer(PosKey::InstallmentsOrder)?,
        transaction_at: days.transaction_at,
        transaction_date: days.transaction,
        system_at: days.system.at,
        system_at_local: days.system.text,
        end_of_day_date: days.end_of_day,
        registration_date: days.registration,
        value_date: days.value,
        authorization_date: days.authorization.0,
        authorization_date_raw: days.authorization.1,
        blocked_date: days.blocked.0,
        blocked_date_raw: days.blocked.1,
        transaction_end_date: days.transaction_end.0,
        transaction_end_date_raw: days.transaction_end.1,
        settled_date: days.settled.0,
        settled_date_raw: days.settled.1,
        block_time_raw: reader.text(PosKey::BlockTime)?,
        blocked_no: reader.text(PosKey::BlockedNo)?,
        batch_no: reader.text(PosKey::Batch)?,
        chain_no: reader.text(PosKey::ChainNo)?,
        authorization_no: reader.text(PosKey::ProvisionNo)?,
        confirmation_no: reader.text(PosKey::ConfirmationNo)?,
        reference_no: reader.text(PosKey::ReferenceNo)?,
        bank_transaction_no: reader.text(PosKey::TransactionNo)?,
        award_contribution: reader.text(PosKey::AwardContribution)?,
        extra_award_contribution: reader.text(PosKey::ExtraAwardContribution)?,
        sm_award_contribution: reader.text(PosKey::SmAwardContribution)?,
        workplace_social_contribution: reader.text(PosKey::SocialContribution)?,
        service_com: reader.text(PosKey::ServiceCom)?,
        iklcom_chip: reader.text(PosKey::IklcomChip)?,
        kesilen_chip: reader.text(PosKey::KesilenChip)?,
        net_chip: reader.text(PosKey::NetChip)?,
        vrcom_chip: reader.text(PosKey::VrcomChip)?,
        product_class: reader.text(PosKey::ProductClass)?,
        description: reader.shown_text(PosKey::Description, Warning::UnreadableDescription),
    })
}

/// Gross, commission and net; a contradiction is told and left alone.
fn amounts(reader: &mut Reader<'_, '_>) -> Result<[Option<Money>; 3], Problem> {
    let gross = reader.money(PosKey::GrossAmount)?;
    let commission = reader.money(PosKey::Commission)?;
    let net = reader.money(PosKey::NetAmount)?;
    if let (Some(gross), Some(commission), Some(net)) = (gross, commission, net)
        && gross.checked_sub(commission) != Some(net)
    {
        reader.warnings.insert(Warning::NetMismatch);
    }
    Ok([gross, commission, net])
}

/// Day and clock together, else the system's time; a clock that cannot be read is not replaced.
fn transaction_at(
    reader: &mut Reader<'_, '_>,
    system: &LocalText<'_>,
) -> Result<Option<Timestamp>, Problem> {
    let day = reader.text(PosKey::Date)?;
    let time = reader.text(PosKey::Time)?;
    Ok(match day.zip(time) {
        Some((day, time)) => dates::combine(&day, &time, &mut reader.warnings),
        None => system.at,
    })
}
