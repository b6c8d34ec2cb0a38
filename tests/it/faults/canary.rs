//! A whole run whose rows, credentials and answers hold planted canaries: none of them shows in
//! logs, metrics, the status, keys, headers, the state, or unmasked in quarantine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Map, Value, json};
use vomsis_connect::{domain::ids::Stream, sandbox::simulator::APP_SECRET};

use super::stage::{BANK, DEADLINE, Stage, end};
use crate::harness::{
    avro::Decoder,
    canaries::{Canaries, MAIL, NAME, assert_clean},
    gate::{Gate, Way},
    http,
    registry::shared_registry,
    topics::{Record, read_to_end},
    wait::wait_until,
};

/// How often a call is tried before it fails, for all three terminals: one of them at least gets
/// the same answer to each of its tries.
const TRIES: usize = 12;
const TOPICS: [&str; 14] = [
    "bank.transactions",
    "pos.transactions",
    "virtual-pos.transactions",
    "tos.payments",
    "reference.banks",
    "reference.accounts",
    "reference.terminals",
    "reference.transaction-types",
    "reference.installments",
    "reference.customers",
    "deletions",
    "quarantine",
    "internal.assignment",
    "internal.state",
];

/// Fields of a bank row, each of them full of what it may hold.
fn bank_fields(canaries: &Canaries) -> Map<String, Value> {
    // A name among other words cannot be told from them, so free text holds none here.
    let text = format!("SN {} {} {}", canaries.pan, canaries.national_id, canaries.iban);
    let fields = json!({
        "sender_name": NAME, "sender_title": NAME, "opponent_title": NAME,
        "sender_iban": canaries.iban, "reciever_iban": canaries.iban, "opponent_iban": canaries.iban,
        "sender_identity_number": canaries.national_id, "sender_taxno": canaries.national_id,
        "opponent_taxno": canaries.national_id, "payer_tax_no": canaries.national_id,
        "sender_branch": canaries.iban, "description": text, "note": text,
        "tags": [{"tag_id": 1, "tag": {"id": 1, "name": text}}],
        "bilinmeyen_alan": text, "bilinmeyen_nesne": {"ad": NAME, "kart": canaries.pan},
    });
    fields.as_object().unwrap().clone()
}

/// The numbers as people write them, and an address.
fn spelled(canaries: &Canaries) -> String {
    let grouped = |text: &str, size: usize, joint: &str| {
        let chars: Vec<char> = text.chars().collect();
        chars.chunks(size).map(String::from_iter).collect::<Vec<_>>().join(joint)
    };
    let Canaries { pan, national_id, iban } = canaries;
    format!(
        "{} {} {} {} {MAIL} 0532 123 45 67",
        grouped(iban, 4, "-"),
        grouped(iban, 4, "\u{a0}"),
        grouped(national_id, 3, " "),
        grouped(pan, 4, "."),
    )
}

/// Rows that cannot be mapped: each puts a canary where something else belongs.
fn bad_bank_rows(canaries: &Canaries) -> Vec<Map<String, Value>> {
    let wrong = [
        json!({"amount": "1.234,56"}),
        json!({"amount": canaries.pan.clone() + ".1234567"}),
        json!({"amount": NAME}),
        json!({"amount": {"tutar": canaries.iban, "ad": NAME}}),
        json!({"amount": canaries.iban}),
        json!({"fec_name": canaries.iban}),
        json!({"fec_name": NAME}),
        json!({"fec_name": "para birimi", "fis_no": canaries.iban, "resource_code": canaries.pan}),
        json!({"fec_name": "para birimi", "fis_no": canaries.national_id, "resource_code": NAME}),
        json!({"amount": canaries.national_id.clone() + "x", "type": NAME, "key": canaries.iban}),
        json!({"amount": "12,50x", "note": spelled(canaries)}),
        json!({"_omit": ["amount"]}),
    ];
    let with = |wrong: Value| {
        let mut row = bank_fields(canaries);
        row.extend(wrong.as_object().unwrap().clone());
        row
    };
    wrong.into_iter().map(with).collect()
}

/// Puts rows with canaries into every source, good ones and bad ones; how many are bad.
fn plant(stage: &Stage, canaries: &Canaries) -> usize {
    let Canaries { pan, national_id, iban } = canaries;
    stage.add(vec![bank_fields(canaries)]);
    let bad = bad_bank_rows(canaries);
    let mut count = bad.len();
    stage.add(bad);
    let free = format!("SN {pan} {iban} {national_id}");
    let rows = [
        (Stream::PosTransactions, json!({"card_number": pan, "description": free})),
        (
            Stream::PosTransactions,
            json!({"card_number": pan, "gross_amount": pan.clone() + ".123456"}),
        ),
        (
            Stream::VirtualPosTransactions,
            json!({"kredi_kart_no": pan, "aciklama": free, "hata_mesaji": free, "invoiceName": NAME,
                   "invoiceEmail": MAIL, "invoiceTaxNumber": national_id}),
        ),
        (
            Stream::VirtualPosTransactions,
            json!({"kredi_kart_no": pan, "aciklama": free, "tutar": iban}),
        ),
        (
            Stream::TosPayments,
            json!({"ReceiverNameSurname": NAME, "ReceiverFatherName": NAME, "Explanation": free,
                   "ReceivertAccountIbanNo": pan, "ReceiverIdentityNo": national_id}),
        ),
        (
            Stream::TosPayments,
            json!({"ReceiverNameSurname": NAME, "ReceivertAccountIbanNo": iban, "Amount": NAME,
                   "ReceiverIdentityNo": national_id, "ReceiverEmail": MAIL}),
        ),
    ];
    let mut ledger = stage.source.simulator.ledger();
    for (stream, fields) in rows {
        let known = ledger.rows(stream).into_iter().max_by_key(|row| row.id).unwrap();
        let is_bad =
            ["gross_amount", "tutar", "Amount"].iter().any(|field| fields[field].is_string());
        count += usize::from(is_bad);
        let fields = fields.as_object().unwrap().clone();
        ledger.add_rows(stream, &known.entity, vec![fields]).unwrap();
    }
    count
}

/// Answers that are wrong in every way, with canaries wherever an answer has room for them.
fn lies(canaries: &Canaries) -> impl FnMut(&str) -> Way + Send + 'static {
    let sentence = canaries.sentence();
    let page = format!("<html><title>{NAME}</title><body>{sentence}</body></html>");
    let message = json!({"status": "error", "success": false, "message": sentence}).to_string();
    let gateway = json!({"Header": {"StatusCode": "ACBG999999", "StatusDescription": sentence,
        "StatusDescriptionEn": sentence, "ObjectID": sentence}})
    .to_string();
    let cut =
        format!("{{\"status\":\"success\",\"transactions\":[{{\"id\":1,\"note\":\"{sentence}");
    let junk = format!("{{\"status\":\"success\",\"transactions\":[{{\"id\":1}} {sentence}]}}");
    let to = format!("302 Found\r\nLocation: /{0}/x?iban={0}&s={APP_SECRET}", canaries.iban);
    let to: &'static str = Box::leak(to.into_boxed_str());
    let stations = [
        ("200 OK\r\nContent-Type: text/html", page.clone()),
        ("200 OK\r\nContent-Type: application/json", message.clone()),
        ("200 OK\r\nContent-Type: application/json", cut),
        ("422 Unprocessable Content\r\nContent-Type: application/json", message.clone()),
        ("200 OK\r\nContent-Type: application/json", junk),
        ("502 Bad Gateway\r\nContent-Type: text/html", page.clone()),
        ("429 Too Many Requests\r\nRetry-After: 1", sentence),
    ];
    let mut asked = 0;
    move |request: &str| {
        let line = request.lines().next().unwrap_or_default();
        if line.contains("pos-rapor/stations/") {
            // each of them for the tries of a whole call
            let (start, body) = &stations[asked / TRIES % stations.len()];
            asked += 1;
            Way::Answer(start, body.clone())
        } else if line.contains("/tos/query") {
            Way::Answer(
                "500 Internal Server Error\r\nContent-Type: application/json",
                gateway.clone(),
            )
        } else if line.contains("transactions-list") {
            Way::Answer("401 Unauthorized\r\nContent-Type: application/json", message.clone())
        } else if line.contains("/transaction_types") {
            Way::Answer("403 Forbidden\r\nContent-Type: application/json", message.clone())
        } else if line.contains("/banks") {
            Way::Answer(to, page.clone())
        } else {
            Way::Through
        }
    }
}

/// Whatever stands around the values of a topic, and the values where they must be clean too.
fn sweep(suffix: &str, records: &[Record], pan: &str, canaries: &[String]) {
    let decoder = Decoder::new(shared_registry().url());
    for record in records {
        let around = format!("{:?} {:?}", record.key, record.headers);
        assert_clean(&format!("key or header in {suffix}"), &around, canaries);
        let value =
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
        match suffix {
            "quarantine" => {
                let row = decoder.decode(record.value.as_ref().unwrap());
                assert_clean(suffix, &row.to_string(), canaries);
            }
            other if other.starts_with("internal.") => assert_clean(suffix, &value, canaries),
            // Reconciliation needs the rest in the events; a card number nobody needs.
            _ => assert_clean(suffix, &value, &[pan.to_owned()]),
        }
    }
}

#[test]
fn nothing_planted_shows_outside_the_events() {
    let stage = Stage::new("canary");
    let api = stage.source.simulator.base_url();
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&tokens);
    let gate = Gate::before(stage.source.simulator.addr, move |request| {
        let bearer = request.split("earer ").nth(1).and_then(|rest| rest.split("\r\n").next());
        seen.lock().unwrap().extend(bearer.map(str::to_owned));
        Way::Through
    });
    stage.change("url:", &api, &format!("http://{}", gate.address()));
    stage.change("bank_transactions:", "5s}", "5s, max_bad_ratio: 0.99}");

    let canaries = Canaries::new();
    let mut connector = stage.start();
    let bad = plant(&stage, &canaries);
    let quarantine = stage.topic("quarantine");
    wait_until("the bad rows are in quarantine", DEADLINE, || {
        read_to_end(stage.brokers(), &quarantine).len() >= bad
    });
    wait_until("the good row is published", DEADLINE, || {
        let found = stage.published(BANK);
        found.iter().any(|r| String::from_utf8_lossy(r.value.as_ref().unwrap()).contains(NAME))
    });
    gate.set(lies(&canaries));
    for code in ["020", "022", "024", "031", "033"] {
        connector.wait_for_line(&format!("VOM-API-{code}"), DEADLINE);
    }
    connector.wait_for_lines("VOM-API-013", 2, DEADLINE);

    let mut planted: Vec<String> = canaries.all().iter().map(ToString::to_string).collect();
    planted.extend(tokens.lock().unwrap().iter().cloned());
    assert!(planted.len() > 9, "tokens of three APIs were seen: {planted:?}");
    let address = connector.address(DEADLINE);
    let pages = ["/metrics", "/api/v1/status", "/readyz?verbose", "/version"];
    let mut shown: BTreeMap<&str, String> =
        pages.iter().map(|page| (*page, http::get(address, page).unwrap().body)).collect();
    assert!(shown["/api/v1/status"].contains("last_error"), "{}", shown["/api/v1/status"]);
    end(&mut connector);
    shown.insert("stderr", connector.stderr());
    shown.insert("stdout", connector.stdout());
    for (place, text) in &shown {
        assert_clean(place, text, &planted);
    }
    for suffix in TOPICS {
        let records = read_to_end(stage.brokers(), &stage.topic(suffix));
        sweep(suffix, &records, &canaries.pan, &planted);
    }
    assert_masked(&stage, &canaries, bad);
}

/// What quarantine shows is enough to find the row, and no more.
fn assert_masked(stage: &Stage, canaries: &Canaries, bad: usize) {
    let decoder = Decoder::new(shared_registry().url());
    let records = read_to_end(stage.brokers(), &stage.topic("quarantine"));
    assert_eq!(records.len(), bad, "each bad row is there once");
    let rows: Vec<_> = records.iter().map(|r| decoder.decode(r.value.as_ref().unwrap())).collect();
    let bank = rows.iter().find(|row| row["stream"] == "bank_transactions").unwrap();
    let raw: Value = serde_json::from_str(bank["raw"].as_str().unwrap()).unwrap();
    let iban = &canaries.iban;
    let (head, tail) = (iban.get(..4).unwrap(), iban.get(iban.len() - 4..).unwrap());
    let masked = raw["sender_iban"].as_str().unwrap();
    assert!(masked.starts_with(head) && masked.ends_with(tail) && masked.contains('*'), "{masked}");
    let identity = raw["sender_identity_number"].as_str().unwrap();
    assert!(identity.ends_with(canaries.national_id.get(7..).unwrap()), "{identity}");
    assert_eq!((&raw["sender_name"], &raw["bilinmeyen_alan"]), (&json!("***"), &json!("***")));
    // Not one in another spelling either, and what is wrong with an amount is still there.
    let shown = rows.iter().map(|row| row["raw"].as_str().unwrap()).collect::<String>();
    assert!(shown.contains("12,50x"), "{shown}");
    let digits: String = spelled(canaries).chars().filter(char::is_ascii_digit).collect();
    let left: String = shown.chars().filter(char::is_ascii_digit).collect();
    assert!(!left.contains(digits.get(8..20).unwrap()) && !shown.contains("123 45 67"), "{shown}");
}
