//! TOS rows.

use std::borrow::Cow;

use crate::{
    domain::{
        content::Content,
        ids::SourceId,
        meta::EventMeta,
        time::Timestamp,
        transactions::TosPayment,
        vocabulary::{RejectionReason, TosType},
        warnings::Warning,
    },
    mapping::{
        card, dates,
        json::{Key as _, Mask::*, keys},
        reader::{Problem, Reader},
        row::{Body, Head, RowContext},
        words,
    },
};

keys! {
    TosKey {
        Type = "TransactionType", Figure, "type_raw";
        ObjectId = "TransactionObjectId", Code, "transaction_object_id";
        TransactionCode = "InstitutionTransactionCode", Code, "institution_transaction_code";
        ReceiverBankCode = "ReceiverBankCode", Code, "receiver_bank_code";
        PaymentDate = "PaymentDate", Figure, "payment_date";
        ErrorText = "ErrorExplanation", Free, "error_text";
        InstitutionCode = "InstitutionCode", Code, "institution_code";
        Amount = "Amount", Figure, "amount";
        CreditUse = "CreditUse", Figure, "credit_use";
        SenderAccountNo = "SenderAccountNo", Tail, "sender_account_no";
        ReceiverName = "ReceiverNameSurname", Stars, "receiver_name_surname";
        ReceiverBranchCode = "ReceiverBranchCode", Code, "receiver_branch_code";
        ReceiverFatherName = "ReceiverFatherName", Stars, "receiver_father_name";
        Result = "Result", Figure, "succeeded";
        ReceiverBankName = "ReceiverBankName", Code, "receiver_bank_name";
        QueryNo = "TransactionQueryNo", Code, "query_no";
        TransferDate = "TransferDate", Figure, "transferred_at_local";
        ErrorCode = "ErrorCode", Figure, "error_code";
        Currency = "CurrencyType", Figure, "currency";
        TaxIdentityCheck = "TaxIdentityCheck", Figure, "tax_identity_check";
        ReceiverAccount = "ReceivertAccountIbanNo", Iban, "receiver_iban_or_account";
        Explanation = "Explanation", Free, "explanation";
        ReceiverAddress = "ReceiverAddress", Stars, "receiver_address";
        ReceiverTelephone = "ReceiverTelephone", Stars, "receiver_telephone";
        ReceiverIdentityNo = "ReceiverIdentityNo", Tail, "receiver_national_id";
        ReceiverTaxOffice = "ReceiverAdministrationTax", Stars, "receiver_tax_office";
        ReceiverTaxNo = "ReceiverTaxNo", Tail, "receiver_tax_no";
        ReceiverEmail = "ReceiverEmail", Stars, "receiver_email";
        PackageNo = "InstitutionPackageNo", Code, "package_no";
        ReturnPaymentDate = "ComingReturnPaymentDate", Figure, "return_payment_at_local";
        ReturnQueryNo = "ComingReturnTransactionQueryNo", Code, "return_query_no";
        ReturnObjectId = "ReturnTransactionObjectId", Code, "return_transaction_object_id";
        ReturnDate = "ReturnDate", Figure, "returned_at_local";
        StatementText = "ExtractExplanation", Free, "statement_text";
        SenderBranchCode = "SenderBranchCode", Code, "sender_branch_code";
        TransactionNo = "InstitutionTransactionNo", Code, "institution_transaction_code";
        ReceiverAccountIban = "ReceiverAccountIbanNo", Iban, "receiver_iban_or_account";
    }
}

/// Maps a TOS row.
pub(super) fn map<'a>(
    reader: &mut Reader<'_, 'a>,
    ctx: &RowContext<'_>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let institution_code = reader.text(TosKey::InstitutionCode)?;
    head.key = institution_code.as_deref().map(Into::into);
    // Zero is the gateway's word for none.
    let object_id = reader.text(TosKey::ObjectId)?.filter(|id| !is_zero(id));
    let transaction_code = reader.first_text(&[TosKey::TransactionCode, TosKey::TransactionNo])?;
    let institution = institution_code.as_deref().unwrap_or(ctx.entity);
    check_numbers(reader, object_id.is_some())?;
    head.source_id = source_id(object_id.as_deref(), institution, transaction_code.as_deref())?;
    let (payment_date, _) = reader.day(TosKey::PaymentDate)?;
    let transferred = reader.time(TosKey::TransferDate)?;
    head.day = payment_date;
    head.window_days[0] = payment_date;
    head.newest_at = transferred.at.or_else(|| payment_date.and_then(midnight));
    if head.source_id.is_none() {
        return Err(Problem::missing("TransactionObjectId"));
    }

    let amount = reader.money(TosKey::Amount)?.ok_or_else(|| Problem::missing("Amount"))?;
    let currency =
        reader.currency(TosKey::Currency)?.ok_or_else(|| Problem::missing("CurrencyType"))?;
    let (kind, type_raw) = type_of(reader);
    let (receiver_iban_or_account, card_masked) = receiver_account(reader, kind)?;
    let returned = reader.time(TosKey::ReturnDate)?;
    let return_payment = reader.time(TosKey::ReturnPaymentDate)?;
    let key = institution_code.clone().unwrap_or_else(|| Cow::Owned(ctx.entity.to_owned()));
    let record = TosPayment {
        meta: EventMeta::default(),
        transaction_object_id: object_id,
        institution_code,
        package_no: reader.text(TosKey::PackageNo)?,
        institution_transaction_code: transaction_code,
        query_no: reader.text(TosKey::QueryNo)?,
        r#type: kind,
        type_raw,
        amount,
        currency: currency.code,
        succeeded: reader.flag(TosKey::Result)?,
        error_code: reader.shown_integer(TosKey::ErrorCode, Warning::UnreadableErrorCode),
        error_text: reader.text(TosKey::ErrorText)?,
        payment_date,
        transferred_at: transferred.at,
        transferred_at_local: transferred.text,
        returned_at: returned.at,
        returned_at_local: returned.text,
        return_payment_at: return_payment.at,
        return_payment_at_local: return_payment.text,
        sender_account_no: reader.text(TosKey::SenderAccountNo)?,
        sender_branch_code: reader.text(TosKey::SenderBranchCode)?,
        receiver_iban_or_account,
        card_masked,
        receiver_bank_code: reader.text(TosKey::ReceiverBankCode)?,
        receiver_branch_code: reader.text(TosKey::ReceiverBranchCode)?,
        receiver_bank_name: reader.text(TosKey::ReceiverBankName)?,
        receiver_name_surname: reader.text(TosKey::ReceiverName)?,
        receiver_address: reader.text(TosKey::ReceiverAddress)?,
        receiver_telephone: reader.text(TosKey::ReceiverTelephone)?,
        receiver_email: reader.text(TosKey::ReceiverEmail)?,
        receiver_father_name: reader.text(TosKey::ReceiverFatherName)?,
        receiver_national_id: reader.national_id(TosKey::ReceiverIdentityNo)?,
        receiver_tax_no: reader.tax_no(TosKey::ReceiverTaxNo)?,
        receiver_tax_office: reader.text(TosKey::ReceiverTaxOffice)?,
        tax_identity_check: reader.flag(TosKey::TaxIdentityCheck)?,
        credit_use: reader.flag(TosKey::CreditUse)?,
        return_query_no: reader.text(TosKey::ReturnQueryNo)?,
        return_transaction_object_id: reader.text(TosKey::ReturnObjectId)?,
        explanation: reader.shown_text(TosKey::Explanation, Warning::UnreadableExplanation),
        statement_text: reader.shown_text(TosKey::StatementText, Warning::UnreadableStatementText),
        gateway_object_id: ctx.gateway_object_id.map(|id| Cow::Owned(id.to_owned())),
    };
    Ok(Body::plain(key, Content::Tos(record)))
}

/// `0`, however many.
fn is_zero(id: &str) -> bool {
    let id = id.trim();
    !id.is_empty() && id.bytes().all(|byte| byte == b'0')
}

/// The object id where it is there, else institution and transaction code together.
///
/// An id that a 64-bit number would not give back digit by digit stays a text.
fn source_id(
    object_id: Option<&str>,
    institution: &str,
    transaction_code: Option<&str>,
) -> Result<Option<SourceId>, Problem> {
    let Some(id) = object_id.map(str::trim) else {
        return Ok(transaction_code
            .map(|code| SourceId::Text(format!("{institution}/{code}").into_boxed_str())));
    };
    // A number with a point or an exponent has lost digits that an id needs.
    if id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(Some(match id.parse::<i64>() {
            Ok(number) if number.to_string() == id => SourceId::Number(number),
            _ => SourceId::Text(id.into()),
        }));
    }
    Err(Problem {
        reason: RejectionReason::InvalidId,
        field: "TransactionObjectId",
        detail: Cow::Borrowed("neither digits nor letters alone"),
    })
}

/// What an id is made from is a text, or a number of digits alone: `2e16` has lost those that an id
/// needs, and `true` never had any.
fn check_numbers(reader: &Reader<'_, '_>, has_object_id: bool) -> Result<(), Problem> {
    let keys: &[TosKey] = match has_object_id {
        true => &[TosKey::ObjectId],
        false => &[TosKey::TransactionCode, TosKey::TransactionNo],
    };
    for key in keys {
        let raw = reader.raw(*key);
        // The first that says anything is what the id is made from.
        if matches!(raw, "" | "null" | "\"\"") {
            continue;
        }
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        let is_text = raw.starts_with('"') || raw == "null";
        if !is_text && !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Problem {
                reason: RejectionReason::InvalidId,
                field: key.name(),
                detail: Cow::Borrowed("a number of other signs than digits"),
            });
        }
        break;
    }
    Ok(())
}

/// The type by its number, or by the name that the document gives the number; any other text is an
/// unknown type with a warning: a payment must not be missing for the sake of it.
fn type_of(reader: &mut Reader<'_, '_>) -> (TosType, Option<i32>) {
    let named = reader.text(TosKey::Type).ok().flatten();
    if let Some(kind) = named.and_then(|text| words::tos_type_named(&text)) {
        return (kind, None);
    }
    let number = reader.shown_integer(TosKey::Type, Warning::UnreadableTypeRaw);
    (words::tos_type(number), number)
}

/// The start of a local day.
fn midnight(day: crate::domain::time::Day) -> Option<Timestamp> {
    let text = format!("{} 00:00:00", day.to_date());
    dates::timestamp(&text, &mut crate::domain::warnings::Warnings::default())
}

type AccountOrCard<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>);

/// An account, or the masked number of a card: a full one never leaves this function.
fn receiver_account<'a>(
    reader: &mut Reader<'_, 'a>,
    kind: TosType,
) -> Result<AccountOrCard<'a>, Problem> {
    let keys = [TosKey::ReceiverAccount, TosKey::ReceiverAccountIban];
    let Some(text) = reader.first_text(&keys)? else { return Ok((None, None)) };
    let is_untold = reader.warnings.contains(Warning::UnreadableTypeRaw);
    let may_be_card = is_untold && is_as_long_as_a_card(&text);
    if kind == TosType::CreditCard || may_be_card || card::is_card(&text) {
        let (masked, hidden) = card::mask_field(text);
        if hidden {
            reader.warnings.insert(Warning::CardRemasked);
        }
        return Ok((None, Some(masked)));
    }
    reader.check_iban(&text);
    Ok((Some(text), None))
}

/// Of a payment whose type cannot be read, such a number may be a card even if it does not add up.
fn is_as_long_as_a_card(text: &str) -> bool {
    let digits = text.trim();
    (13..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}
