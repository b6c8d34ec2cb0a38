//! POS rows.

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    domain::{
        content::Content, ids::SourceId, meta::EventMeta, time::Timestamp,
        transactions::PosTransaction, warnings::Warning,
    },
    mapping::{
        card, dates,
        json::{Mask::*, keys},
        reader::{LocalText, Problem, Reader},
        row::{Body, Head, RowContext, id_text},
        words,
    },
};

keys! {
    PosKey {
        Id = "id", Open, "transaction_id";
        AwardContribution = "award_contribution", Open, "award_contribution";
        Batch = "batchn", Open, "batch_no";
        BlockedDate = "blocked_date", Open, "blocked_date_raw";
        BlockedNo = "blocked_no", Open, "blocked_no";
        BlockTime = "block_time", Open, "block_time_raw";
        CardNumber = "card_number", Card, "card_masked";
        CardType = "card_type", Open, "card_type_raw";
        ChainNo = "chain_no", Open, "chain_no";
        Commission = "commission", Open, "commission_amount";
        CommissionRate = "commission_rate", Open, "commission_rate_pct";
        ConfirmationNo = "confirmation_number", Open, "confirmation_no";
        Date = "date", Open, "transaction_date";
        Description = "description", Free, "description";
        EndOfDayDate = "end_of_day_date", Open, "end_of_day_date";
        Exchange = "exchange", Open, "currency_raw";
        ExtraAwardContribution = "extra_award_contribution", Open, "extra_award_contribution";
        GrossAmount = "gross_amount", Open, "gross_amount";
        IklcomChip = "iklcom_chip", Open, "iklcom_chip";
        InstallmentsCount = "installments_count", Open, "installment_count";
        InstallmentsOrder = "installments_order", Open, "installment_no";
        KesilenChip = "kesilen_chip", Open, "kesilen_chip";
        SourceKey = "key", Open, "source_key";
        NetAmount = "net_amount", Open, "net_amount";
        NetChip = "net_chip", Open, "net_chip";
        ProductClass = "product_class", Open, "product_class";
        ProvisionDate = "provision_date", Open, "authorization_date_raw";
        ProvisionNo = "provision_no", Open, "authorization_no";
        ReferenceNo = "reference_number", Open, "reference_no";
        RegistrationDate = "registration_date", Open, "registration_date";
        ServiceCom = "service_com", Open, "service_com";
        SmAwardContribution = "sm_award_contribution", Open, "sm_award_contribution";
        Station = "station", Open, "terminal_no";
        SubCardType = "sub_card_type", Open, "card_brand_raw";
        SystemDate = "system_date", Open, "system_at_local";
        Time = "time", Open, "transaction_at";
        TransactionEndDate = "transaction_end_date", Open, "transaction_end_date_raw";
        TransactionNo = "transaction_no", Open, "bank_transaction_no";
        TransactionType = "transaction_type", Open, "kind_raw";
        TransferDate = "transfer_to_account_date", Open, "settled_date_raw";
        Valor = "valor", Open, "value_date";
        VrcomChip = "vrcom_chip", Open, "vrcom_chip";
        Workplace = "workplace", Open, "merchant_no";
        SocialContribution = "workplace_social_contribution", Open, "workplace_social_contribution";
    }
}

/// Maps a POS row; the station comes from the path of the request.
#[expect(clippy::too_many_lines, reason = "one line a field of the record")]
pub(super) fn map<'a>(
    reader: &mut Reader<'_, 'a>,
    ctx: &RowContext<'_>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let id = reader.id(PosKey::Id);
    head.source_id = id.as_ref().ok().copied().flatten().map(SourceId::Number);
    let system = reader.time(PosKey::SystemDate)?;
    let (transaction_date, _) = reader.day(PosKey::Date)?;
    let (end_of_day_date, _) = reader.day(PosKey::EndOfDayDate)?;
    let (registration_date, _) = reader.day(PosKey::RegistrationDate)?;
    let (value_date, _) = reader.day(PosKey::Valor)?;
    let (authorization_date, authorization_date_raw) = reader.day(PosKey::ProvisionDate)?;
    let (blocked_date, blocked_date_raw) = reader.day(PosKey::BlockedDate)?;
    let (transaction_end_date, transaction_end_date_raw) =
        reader.day(PosKey::TransactionEndDate)?;
    let (settled_date, settled_date_raw) = reader.day(PosKey::TransferDate)?;
    let system_day = system.text.as_deref().and_then(dates::local_day);
    let transaction_at = transaction_at(reader, &system)?;
    head.day = transaction_date.or(system_day);
    head.window_days = [
        transaction_date,
        system_day,
        end_of_day_date,
        registration_date,
        value_date,
        authorization_date,
        transaction_end_date,
        settled_date,
    ];
    head.newest_at = transaction_at;

    let transaction_id = id?.ok_or_else(|| Problem::missing("id"))?;
    let station_id = ctx.entity.parse().map_err(|_| Problem::missing("station id"))?;
    let currency =
        reader.currency(PosKey::Exchange)?.ok_or_else(|| Problem::missing("exchange"))?;
    let gross_amount = reader.money(PosKey::GrossAmount)?;
    let commission_amount = reader.money(PosKey::Commission)?;
    let net_amount = reader.money(PosKey::NetAmount)?;
    if let (Some(gross), Some(commission), Some(net)) =
        (gross_amount, commission_amount, net_amount)
        && gross.checked_sub(commission) != Some(net)
    {
        reader.warnings.insert(Warning::NetMismatch);
    }
    let card_masked = reader.text(PosKey::CardNumber)?.map(|text| {
        let (masked, hidden) = card::mask_field(text);
        if hidden {
            reader.warnings.insert(Warning::CardRemasked);
        }
        masked
    });
    let card_brand_raw = reader.text(PosKey::SubCardType)?;
    let kind_raw = reader.text(PosKey::TransactionType)?;
    let source_key = reader.text(PosKey::SourceKey)?;
    let record = PosTransaction {
        meta: EventMeta::default(),
        transaction_id,
        station_id,
        source_key,
        terminal_no: reader.text(PosKey::Station)?,
        merchant_no: reader.text(PosKey::Workplace)?,
        card_masked,
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
        transaction_at,
        transaction_date,
        system_at: system.at,
        system_at_local: system.text,
        end_of_day_date,
        registration_date,
        value_date,
        authorization_date,
        authorization_date_raw,
        blocked_date,
        blocked_date_raw,
        transaction_end_date,
        transaction_end_date_raw,
        settled_date,
        settled_date_raw,
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
        description: reader.text(PosKey::Description)?,
    };
    Ok(Body {
        key: id_text(station_id),
        source_key: record.source_key.as_deref().map(|key| xxh3_64(key.as_bytes())),
        record: Content::Pos(record),
        customer: None,
    })
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
