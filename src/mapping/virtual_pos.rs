//! Rows of the virtual-POS list.

use std::borrow::Cow;

use crate::{
    domain::{
        content::Content, ids::SourceId, meta::EventMeta, transactions::VirtualPosTransaction,
        vocabulary::VirtualPosStatus, warnings::Warning,
    },
    mapping::{
        bank::nested,
        dates,
        json::{Mask::*, keys},
        reader::{LocalText, Problem, Reader},
        reference::CustomerKey,
        row::{Body, Head, RowContext, id_text},
        words,
    },
};

keys! {
    VirtualPosKey {
        Id = "id", Figure, "transaction_id";
        PosId = "pos_id", Figure, "pos_id";
        CustomerId = "musteri_id", Figure, "customer_id";
        ReferenceNo = "referans_kodu", Code, "reference_no";
        Description = "aciklama", Free, "description";
        TransactedAt = "islem_tarihi", Figure, "transacted_at_local";
        Amount = "tutar", Figure, "amount";
        Currency = "para_birimi", Figure, "currency";
        Installment = "taksit", Figure, "installment_count";
        Rate = "taksit_oran", Figure, "commission_rate_pct";
        ChargedTotal = "taksit_tutar", Figure, "charged_total";
        CardNumber = "kredi_kart_no", Card, "card_masked";
        CardBank = "kredi_kart_banka", Code, "issuer_bank";
        ClientIp = "ip_adresi", Stars, "client_ip";
        ResultCode = "hata_kodu", Free, "result_code";
        ResultMessage = "hata_mesaji", Free, "result_message";
        Durum = "durum", Code, "durum_raw";
        Kind = "tur", Code, "kind_raw";
        OrderId = "order_id", Code, "order_id";
        TransId = "trans_id", Code, "bank_transaction_id";
        PosName = "pos_name", Code, "pos_name";
        CardFamily = "cc_family", Code, "card_family";
        CardOrg = "cc_org", Code, "card_org_raw";
        CardType = "cc_type", Code, "card_type_raw";
        RefundedAmount = "iade_tutar", Figure, "refunded_amount";
        CollectionId = "tahsilat_id", Figure, "collection_id";
        DealerId = "bayi_id", Figure, "dealer_id";
        InvoiceInfoId = "invoiceInfoId", Figure, "invoice_info_id";
        InvoiceType = "invoiceType", Code, "invoice_type";
        InvoiceName = "invoiceName", Stars, "invoice_name";
        InvoicePhone = "invoicePhone", Stars, "invoice_phone";
        InvoiceTitle = "invoiceTitle", Stars, "invoice_title";
        InvoiceTaxOffice = "invoiceTaxOffice", Code, "invoice_tax_office";
        InvoiceTaxNumber = "invoiceTaxNumber", Tail, "invoice_tax_number";
        InvoiceEmail = "invoiceEmail", Stars, "invoice_email";
        InvoiceAddress = "invoiceAddress", Stars, "invoice_address";
        InfoEmails = "infoEmails", Stars, "info_emails";
        DiscountRate = "discountRate", Figure, "discount_rate_pct";
        CreatedAt = "created_at", Figure, "created_at_local";
        StatusDetail = "status_detail", Nested(StatusDetailKey::FIELDS), "status_raw";
        Customer = "musteri", Nested(CustomerKey::FIELDS), "";
        Dealer = "bayi", Nested(CustomerKey::FIELDS), "";
        Collection = "tahsilat", Nested(&[]), "";
    }
}

keys! {
    StatusDetailKey {
        Title = "title", Code, "";
        TextColor = "text_color", Code, "";
        BorderColor = "border_color", Code, "";
        BackgroundColor = "bg_color", Code, "";
        Status = "status", Code, "";
    }
}

/// Maps a row of the list.
pub(super) fn map<'a>(
    reader: &mut Reader<'_, 'a>,
    _ctx: &RowContext<'_>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let id = reader.id(VirtualPosKey::Id);
    let reference_no = reader.text(VirtualPosKey::ReferenceNo)?;
    head.source_id = match &id {
        Ok(Some(id)) => Some(SourceId::Number(*id)),
        _ => reference_no.as_deref().map(|text| SourceId::Text(text.into())),
    };
    head.key = reference_no.as_deref().map(Into::into);
    let transacted = reader.time(VirtualPosKey::TransactedAt)?;
    head.day = transacted.text.as_deref().and_then(dates::local_day);
    head.window_days[0] = head.day;
    head.newest_at = transacted.at;

    let transaction_id = id?;
    let key = match (&reference_no, transaction_id) {
        (Some(reference_no), _) => reference_no.clone(),
        (None, Some(id)) => id_text(id),
        (None, None) => return Err(Problem::missing("id")),
    };
    let record = record(reader, transaction_id, reference_no, transacted)?;
    Ok(Body::plain(key, Content::VirtualPos(record)))
}

fn record<'a>(
    reader: &mut Reader<'_, 'a>,
    transaction_id: Option<i64>,
    reference_no: Option<Cow<'a, str>>,
    transacted: LocalText<'a>,
) -> Result<VirtualPosTransaction<'a>, Problem> {
    let created = reader.time(VirtualPosKey::CreatedAt)?;
    let (status, status_raw, durum_raw) = status(reader)?;
    let kind_raw = reader.text(VirtualPosKey::Kind)?;
    Ok(VirtualPosTransaction {
        meta: EventMeta::default(),
        transaction_id,
        pos_id: reader.integer(VirtualPosKey::PosId)?,
        customer_id: reader.integer(VirtualPosKey::CustomerId)?,
        collection_id: reader.integer(VirtualPosKey::CollectionId)?,
        dealer_id: reader.integer(VirtualPosKey::DealerId)?,
        invoice_info_id: reader.integer(VirtualPosKey::InvoiceInfoId)?,
        reference_no: reference_no.unwrap_or_default(),
        order_id: reader.text(VirtualPosKey::OrderId)?,
        bank_transaction_id: reader.text(VirtualPosKey::TransId)?,
        transacted_at: transacted.at,
        transacted_at_local: transacted.text,
        created_at: created.at,
        created_at_local: created.text,
        amount: reader.money(VirtualPosKey::Amount)?,
        charged_total: reader.money(VirtualPosKey::ChargedTotal)?,
        refunded_amount: reader.money(VirtualPosKey::RefundedAmount)?,
        commission_rate_pct: reader.rate(VirtualPosKey::Rate)?,
        discount_rate_pct: reader.rate(VirtualPosKey::DiscountRate)?,
        currency: reader.currency(VirtualPosKey::Currency)?.map(|currency| currency.code),
        installment_count: reader.integer(VirtualPosKey::Installment)?,
        status,
        status_raw,
        durum_raw,
        kind: words::virtual_pos_kind(kind_raw.as_deref()),
        kind_raw,
        result_code: reader.text(VirtualPosKey::ResultCode)?,
        result_message: reader.text(VirtualPosKey::ResultMessage)?,
        card_masked: reader.card(VirtualPosKey::CardNumber)?,
        issuer_bank: reader.text(VirtualPosKey::CardBank)?,
        card_family: reader.text(VirtualPosKey::CardFamily)?,
        card_org_raw: reader.text(VirtualPosKey::CardOrg)?,
        card_type_raw: reader.text(VirtualPosKey::CardType)?,
        pos_name: reader.text(VirtualPosKey::PosName)?,
        client_ip: reader.text(VirtualPosKey::ClientIp)?,
        description: reader.shown_text(VirtualPosKey::Description, Warning::UnreadableDescription),
        invoice_type: reader.text(VirtualPosKey::InvoiceType)?,
        invoice_title: reader.text(VirtualPosKey::InvoiceTitle)?,
        invoice_tax_office: reader.text(VirtualPosKey::InvoiceTaxOffice)?,
        invoice_tax_number: reader.tax_no(VirtualPosKey::InvoiceTaxNumber)?,
        invoice_name: reader.text(VirtualPosKey::InvoiceName)?,
        invoice_phone: reader.text(VirtualPosKey::InvoicePhone)?,
        invoice_email: reader.text(VirtualPosKey::InvoiceEmail)?,
        invoice_address: reader.text(VirtualPosKey::InvoiceAddress)?,
        info_emails: reader.text(VirtualPosKey::InfoEmails)?,
    })
}

/// The status, and the two texts that may tell it.
pub(super) type Status<'a> = (VirtualPosStatus, Option<Cow<'a, str>>, Option<Cow<'a, str>>);

/// `status_detail.status` where it is there, else `durum`.
pub(super) fn status<'a>(reader: &mut Reader<'_, 'a>) -> Result<Status<'a>, Problem> {
    let durum_raw = reader.text(VirtualPosKey::Durum)?;
    let detail = nested::<StatusDetailKey>(reader.raw(VirtualPosKey::StatusDetail));
    let status_raw = match &detail {
        Some(fields) => Reader::new(fields).text(StatusDetailKey::Status)?,
        None => None,
    };
    let deciding = status_raw.as_deref().or(durum_raw.as_deref());
    Ok((words::virtual_pos_status(deciding), status_raw, durum_raw))
}
