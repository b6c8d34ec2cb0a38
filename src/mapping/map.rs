//! A row's JSON to a record or a rejection.

use std::borrow::Cow;

use crate::{
    domain::{
        content::Content,
        ids::{SourceId, Stream},
        vocabulary::RejectionReason,
        warnings::Warning,
    },
    mapping::{
        bank::{self, BankKey},
        json::{Fields, Key, SourceField},
        pos::{self, PosKey},
        raw,
        reader::{Problem, Reader},
        reference::{
            self, AccountKey, BankEntityKey, CustomerKey, InstallmentKey, TerminalKey,
            TransactionTypeKey,
        },
        row::{Body, Head, Mapped, Rejection, RowContext},
        tos::{self, TosKey},
        virtual_pos::{self, VirtualPosKey},
    },
};

/// A larger row is no row of these sources.
pub const ROW_BYTES_MAX: usize = 256 * 1024;

/// Maps one row of a stream.
///
/// # Errors
/// A rejection with the masked row, where a required field is missing, an id or amount cannot be
/// read exactly, a value has a shape that its field never has, or the row is too large.
#[expect(clippy::result_large_err, reason = "the record beside it is several times as large")]
pub fn map_row<'a>(
    stream: Stream,
    json: &'a str,
    ctx: &RowContext<'_>,
) -> Result<Mapped<'a>, Rejection> {
    let is_too_large = json.len() > ROW_BYTES_MAX;
    let Some(fields) = Fields::read(json, known_fields(stream), ctx.carry_extras) else {
        return Err(match is_too_large {
            true => too_large(stream, json, Head::default()),
            false => not_an_object(stream, json),
        });
    };
    let mut reader = Reader::new(&fields);
    if ctx.replaced_text && json.contains(char::REPLACEMENT_CHARACTER) {
        reader.warnings.insert(Warning::ReplacedText);
    }
    let mut head = Head::default();
    let mut body = map_fields(stream, &mut reader, ctx, &mut head);
    if let Some(problem) = too_long(stream, &mut head, body.as_ref().ok()) {
        body = Err(problem);
    }
    let warnings = reader.warnings;
    if is_too_large {
        return Err(too_large(stream, json, head));
    }
    match (body, head.source_id) {
        (Ok(body), Some(source_id)) => Ok(Mapped {
            source_id,
            day: head.day,
            window_days: head.window_days,
            newest_at: head.newest_at,
            key: body.key,
            source_key: body.source_key,
            record: body.record,
            warnings,
            extras: fields.extras,
            unknown_fields: fields.unknown,
        }),
        (Ok(_), None) => Err(rejected(stream, json, Head::default(), Problem::missing("id"))),
        (Err(problem), source_id) => {
            Err(rejected(stream, json, Head { source_id, ..head }, problem))
        }
    }
}

/// Maps a customer that stands inside a payment. It is partial: the customers' list knows more.
///
/// # Errors
/// As [`map_row`].
#[expect(clippy::result_large_err, reason = "the record beside it is several times as large")]
pub fn map_mentioned_customer<'a>(
    json: &'a str,
    ctx: &RowContext<'_>,
) -> Result<Mapped<'a>, Rejection> {
    let mut mapped = map_row(Stream::Customers, json, ctx)?;
    if let Content::Customer(customer) = &mut mapped.record {
        customer.partial = true;
    }
    Ok(mapped)
}

fn map_fields<'a>(
    stream: Stream,
    reader: &mut Reader<'_, 'a>,
    ctx: &RowContext<'_>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    match stream {
        Stream::BankTransactions => bank::map(reader, ctx, head),
        Stream::PosTransactions => pos::map(reader, ctx, head),
        Stream::VirtualPosTransactions => virtual_pos::map(reader, ctx, head),
        Stream::TosPayments => tos::map(reader, ctx, head),
        Stream::Banks => reference::map_bank(reader, head),
        Stream::Accounts => reference::map_account(reader, head),
        Stream::Terminals => reference::map_terminal(reader, head),
        Stream::TransactionTypes => reference::map_transaction_type(reader, head),
        Stream::Installments => reference::map_installment(reader, head),
        Stream::Customers => reference::map_customer(reader, head),
    }
}

/// The fields that the rows of a stream are known to have.
pub(super) const fn known_fields(stream: Stream) -> &'static [SourceField] {
    match stream {
        Stream::BankTransactions => BankKey::FIELDS,
        Stream::PosTransactions => PosKey::FIELDS,
        Stream::VirtualPosTransactions => VirtualPosKey::FIELDS,
        Stream::TosPayments => TosKey::FIELDS,
        Stream::Banks => BankEntityKey::FIELDS,
        Stream::Accounts => AccountKey::FIELDS,
        Stream::Terminals => TerminalKey::FIELDS,
        Stream::TransactionTypes => TransactionTypeKey::FIELDS,
        Stream::Installments => InstallmentKey::FIELDS,
        Stream::Customers => CustomerKey::FIELDS,
    }
}

fn rejected(stream: Stream, json: &str, head: Head, problem: Problem) -> Rejection {
    Rejection {
        key: key_of(stream, &head),
        source_id: head.source_id,
        reason: problem.reason,
        field: Some(problem.field),
        detail: problem.detail.into_owned(),
        raw: raw::mask_row(json, known_fields(stream)),
        day: head.day,
        window_days: head.window_days,
    }
}

/// Longer keys belong to rows that are damaged.
const KEY_CHARS_MAX: usize = 200;

/// What the key of the row's record would end with, where that is not its entity.
fn key_of(stream: Stream, head: &Head) -> Option<Box<str>> {
    let is_keyed_by_id = stream == Stream::VirtualPosTransactions || stream.is_reference();
    let id = || head.source_id.as_ref().filter(|_| is_keyed_by_id).map(ToString::to_string);
    let key = head.key.clone().or_else(|| Some(id()?.into()));
    key.filter(|key| key.chars().count() <= KEY_CHARS_MAX)
}

/// What an id that is too long is rejected with; the row then counts as one without an id.
fn too_long(stream: Stream, head: &mut Head, body: Option<&Body<'_>>) -> Option<Problem> {
    let id = match &head.source_id {
        Some(SourceId::Text(id)) => id.len(),
        Some(SourceId::Number(_)) | None => 0,
    };
    let key = body.map_or(0, |body| body.key.len());
    if id.max(key) <= SourceId::BYTES_MAX {
        return None;
    }
    if id > SourceId::BYTES_MAX {
        head.source_id = None;
    }
    let field = match stream {
        Stream::VirtualPosTransactions => "referans_kodu",
        Stream::TosPayments if id > SourceId::BYTES_MAX => "TransactionObjectId",
        Stream::TosPayments => "InstitutionCode",
        Stream::TransactionTypes => "type_no",
        Stream::Installments => "family",
        Stream::BankTransactions
        | Stream::PosTransactions
        | Stream::Banks
        | Stream::Accounts
        | Stream::Terminals
        | Stream::Customers => "id",
    };
    let (found, most) = (id.max(key), SourceId::BYTES_MAX);
    let detail = format!("{found} bytes, and an id or key has {most} at most");
    Some(Problem { reason: RejectionReason::InvalidId, field, detail: Cow::Owned(detail) })
}

fn not_an_object(stream: Stream, json: &str) -> Rejection {
    let detail = Cow::Borrowed("the row is not a JSON object");
    let problem = Problem { reason: RejectionReason::InvalidType, field: "", detail };
    let mut rejection = rejected(stream, json, Head::default(), problem);
    rejection.field = None;
    rejection
}

fn too_large(stream: Stream, json: &str, head: Head) -> Rejection {
    let key = key_of(stream, &head);
    let Head { source_id, day, window_days, .. } = head;
    Rejection {
        source_id,
        key,
        reason: RejectionReason::TooLarge,
        field: None,
        detail: format!("the row has {} bytes, more than {ROW_BYTES_MAX}", json.len()),
        raw: raw::mask_beginning(json),
        day,
        window_days,
    }
}

/// What a row is rejected with whose record has more bytes than a topic takes: a privacy rule may make
/// a long hash of each of thousands of short texts.
pub fn outgrown(stream: Stream, json: &str, mapped: &Mapped<'_>, bytes: usize) -> Rejection {
    let head = Head {
        source_id: Some(mapped.source_id.clone()),
        key: Some((&*mapped.key).into()),
        day: mapped.day,
        window_days: mapped.window_days,
        newest_at: None,
    };
    let detail = format!("its record has {bytes} bytes, more than a topic takes");
    Rejection { detail, ..too_large(stream, json, head) }
}

/// The masked beginning of a row that cannot be shown whole.
pub fn shown_beginning(json: &str) -> String {
    raw::mask_beginning(json)
}
