//! How an `event_id` is made, for `docs/streams.md`: a worked example, put together here from what the
//! page says and compared with what the program makes.

use std::fmt::Write;

use sha1::{Digest as _, Sha1};
use uuid::{Builder, Uuid};
use vomsis_connect::{
    config::model::DateType,
    domain::ids::{ConnectionId, Stream},
    mapping::{EVENT_NAMESPACE, HASH_RULE, RowContext, content_hash, event_id, map_row},
};
use xxhash_rust::xxh3::xxh3_128;

const TEXT: &str = "
## How an `event_id` is made

It is the UUIDv5 of the text `<connection>/<stream>/<source_id>/<version>/<hash>` in the namespace
`42fc11d4-ebb6-562b-b0fd-6367771d1532`, itself the UUIDv5 of `https://vomsis-connect/event/v1` in the URL
namespace. `<stream>` is the stream's name in the configuration and `<hash>` the XXH3-128 (seed 0) of the
content as 32 hex digits. The content are the record's fields in the order of the tables below, without `meta`
and `gateway_object_id`, as they are before any privacy rule: whoever masks or drops fields cannot compute it
from the event. Its bytes:

| value | bytes |
|---|---|
| a record, the outermost too | `{`, its fields, `}` |
| a field | its name, `:`, its value; a field that is null is left out whole |
| a list | `[`, the number of its elements (8 bytes), its elements; an empty list is there, with 0 |
| text, also where a list of words is given | `s`, its length in bytes (8 bytes), UTF-8 |
| decimal | `b`, its length (8 bytes), the unscaled value as in Avro: big-endian two's complement, as short as can be |
| long, int, date, timestamp | `i`, the number in 8 bytes |
| boolean | `t` or `f` |

Numbers of 8 bytes are little-endian, negative ones in two's complement.
A `RowDeletion` takes the hash of the content that was published last. A `QuarantinedRow` has the stream
`quarantine`, the version of what was published before (0: nothing) and the hash of the row's text as it came,
without `account` and `bank` of a bank row; it cannot be computed from the masked text.

This row of the connection `acme`, seen for the first time:

```json
";

const ROW: &str = r#"{"id":7,"bank_account_id":73,"type":"borclu","amount":"-12.50","fec_name":"TL",
 "system_date":"2024-03-01 09:30:00","description":"kira","tags":["ev"]}"#;

/// A field's bytes and how the page shows its value.
struct Field(&'static str, Vec<u8>, String);

fn sized(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], &u64::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
}

fn text(name: &'static str, value: &str) -> Field {
    Field(name, sized(b's', value.as_bytes()), format!("{value:?}"))
}

fn number(name: &'static str, value: i64) -> Field {
    Field(name, [&b"i"[..], &value.to_le_bytes()].concat(), value.to_string())
}

/// The content of [`ROW`], field by field.
fn fields() -> Vec<Field> {
    // -12.50 times 10^5 is -1,250,000.
    let amount = sized(b'b', &[0xec, 0xed, 0x30]);
    let tag = [&b"{name:"[..], &sized(b's', b"ev"), b"}"].concat();
    let tags = [&b"["[..], &1_u64.to_le_bytes(), &tag].concat();
    vec![
        number("transaction_id", 7),
        number("account_id", 73),
        text("category", "UNKNOWN"),
        text("direction", "DEBIT"),
        text("direction_raw", "borclu"),
        Field("amount", amount, "-12.50000, unscaled -1250000".to_owned()),
        text("currency", "TRY"),
        text("currency_raw", "TL"),
        number("booked_at", 1_709_274_600_000),
        text("booked_at_local", "2024-03-01 09:30:00"),
        text("description", "kira"),
        Field("tags", tags, "a list of one record whose name is \"ev\"".to_owned()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By the letter of RFC 9562, 5.5.
fn uuid_v5(namespace: &Uuid, name: &[u8]) -> Uuid {
    let hash = Sha1::digest([namespace.as_bytes(), name].concat());
    Builder::from_sha1_bytes(hash[..16].try_into().unwrap()).into_uuid()
}

/// The section of the page.
pub(super) fn section() -> String {
    let mut page =
        format!("{TEXT}{ROW}\n```\n\nhas these bytes, which stand here in lines:\n\n```\n");
    let mut bytes = Vec::from(b"{");
    page += "7b  {\n";
    for Field(name, value, shown) in fields() {
        let field = [name.as_bytes(), b":", &value].concat();
        writeln!(page, "{}  {name}: {shown}", hex(&field)).unwrap();
        bytes.extend(field);
    }
    bytes.push(b'}');
    page += "7d  }\n```\n\n";
    let hash = xxh3_128(&bytes);
    let name = format!("acme/bank_transactions/7/1/{hash:032x}");
    let namespace = uuid_v5(&Uuid::NAMESPACE_URL, b"https://vomsis-connect/event/v1");
    let id = uuid_v5(&namespace, name.as_bytes());
    writeln!(page, "Their XXH3-128 is `{hash:032x}`, and `{name}` has the id\n`{id}`.").unwrap();
    assert_is_the_programs(namespace, hash, id);
    page
}

fn assert_is_the_programs(namespace: Uuid, hash: u128, id: Uuid) {
    let context = RowContext {
        entity: "73",
        date_type: DateType::SystemDate,
        entity_currency: None,
        carry_extras: false,
        replaced_text: false,
        gateway_object_id: None,
    };
    let row = map_row(Stream::BankTransactions, ROW, &context).unwrap();
    let made = content_hash(&row.record, HASH_RULE, &mut Vec::new());
    assert_eq!(format!("{made:032x}"), format!("{hash:032x}"), "the bytes of the content");
    let connection = ConnectionId::try_new("acme").unwrap();
    assert_eq!(event_id(&connection, "bank_transactions", &row.source_id, 1, made), id);
    assert_eq!(EVENT_NAMESPACE, namespace);
}
