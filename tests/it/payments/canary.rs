//! Commands, answers and people's words that hold planted canaries: no card number shows anywhere,
//! no person and no credential outside of what somebody has to read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::json;
use vomsis_connect::domain::ids::Stream;

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage, change, end, say},
};
use crate::harness::{
    avro::Decoder,
    canaries::{Canaries, MAIL, NAME, assert_clean},
    gate::{Gate, Way},
    http,
    process::Process,
    registry::shared_registry,
    wait::wait_until,
};

/// Whom the API names in its own words about a request: nothing tells a name from other words, and
/// somebody has to read them. docs/privacy.md says so.
const TOLD_NAME: &str = "Serçe Bülbüloğlu";

/// What the API answers to the requests about each payment; nothing stands for the truth.
fn answers(canaries: &Canaries) -> Vec<(&'static str, Option<Way>)> {
    let (sentence, pan) = (canaries.sentence(), &canaries.pan);
    let page = format!("<html><title>{NAME}</title><body>{sentence}</body></html>");
    let change = |word: &str, code: &str, message: &str| {
        json!({
            "islem_id": 1, "type": "iade", "trans_id": pan, "response": word,
            "proc_return_code": code, "iade_tutar": null, "error_code": code,
            "error_message": message, "status": word.to_lowercase(), "status_detail": sentence,
            "musteri": {"unvan": NAME, "email": MAIL}, "kart": pan,
        })
        .to_string()
    };
    let refused = format!("kart {pan} reddedildi, {TOLD_NAME}");
    let ok = "200 OK\r\nContent-Type: application/json";
    let unprocessable = "422 Unprocessable Content\r\nContent-Type: application/json";
    let message = json!({"success": false, "message": sentence, "errors": {NAME: [sentence]}});
    vec![
        ("TRUE", None),
        ("DECLINED", Some(Way::Answer(ok, change("Declined", "51", &refused)))),
        ("APPROVED", Some(Way::Answer(ok, change("Approved", "00", &refused)))),
        ("STRANGE", Some(Way::Answer(ok, change(&sentence, pan, &sentence)))),
        ("PAGE", Some(Way::Answer("200 OK\r\nContent-Type: text/html", page.clone()))),
        ("GATEWAY", Some(Way::Answer("504 Gateway Time-out\r\nContent-Type: text/html", page))),
        (
            "HALF",
            Some(Way::Answer(ok, change("Approved", "00", &sentence).chars().take(80).collect())),
        ),
        ("INVALID", Some(Way::Answer(unprocessable, message.to_string()))),
        ("CLOSED", Some(Way::Closed)),
    ]
}

/// Puts canaries wherever the rows of payments have room for them.
fn plant(stage: &Stage, canaries: &Canaries, references: &[&str]) {
    stage.pay(references, "100.00");
    let mut ledger = stage.simulator().ledger();
    let fields = json!({
        "kredi_kart_no": canaries.pan, "aciklama": canaries.sentence(), "invoiceName": NAME,
        "hata_mesaji": canaries.sentence(), "invoiceEmail": MAIL,
        "invoiceTaxNumber": canaries.national_id, "bilinmeyen": canaries.iban,
    });
    let fields = fields.as_object().unwrap();
    let rows: Vec<i64> =
        ledger.rows(Stream::VirtualPosTransactions).iter().map(|row| row.id).collect();
    for id in rows {
        ledger.edit_row(Stream::VirtualPosTransactions, id, fields.clone()).unwrap();
    }
}

/// Commands whose senders put a card number wherever they could.
fn commands(canaries: &Canaries, references: &[&str]) -> Vec<Order> {
    let Canaries { pan, iban, national_id } = canaries;
    let with = |order: Order| Order {
        reason: Some(format!("{NAME} {MAIL} {pan} {iban} {national_id}")),
        requested_by: format!("shop {pan}"),
        ..order
    };
    let mut orders: Vec<Order> =
        references.iter().map(|reference| with(Order::refund(reference, 100))).collect();
    orders.push(with(Order::refund("nobody's", 100)));
    orders.push(with(Order { amount: None, ..Order::refund("TRUE", 1) }));
    orders.push(Order {
        kind: "REFUND",
        currency: Some("EUR"),
        ..with(Order::refund("TRUE", 200))
    });
    orders
}

#[test]
fn nothing_planted_shows_in_logs_results_journal_headers_or_metrics() {
    let stage = Stage::new("pay-canary");
    let canaries = Canaries::new();
    let answers = answers(&canaries);
    let references: Vec<&str> = answers.iter().map(|(reference, _)| *reference).collect();
    plant(&stage, &canaries, &references);
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&tokens);
    let gate = Gate::before(stage.simulator().addr, move |request| {
        let bearer = request.split("earer ").nth(1).and_then(|rest| rest.split("\r\n").next());
        seen.lock().unwrap().extend(bearer.map(str::to_owned));
        let is_change = request.starts_with("POST /api/vpos/v3/transaction ");
        let about = |reference: &str| request.contains(&format!("\"{reference}\""));
        let meant = answers.iter().find(|(reference, _)| is_change && about(reference));
        meant.and_then(|(_, way)| way.clone()).unwrap_or(Way::Through)
    });
    let home = stage.home();
    change(&home, &stage.simulator().base_url(), &format!("http://{}", gate.address()));
    let orders = commands(&canaries, &references);
    stage.shop.send(&orders);
    send_junk(&stage, &canaries);
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    feed.wait_for_final(&orders);
    wait_until("the junk is refused", DEADLINE, || {
        stage.records("payment.commands.rejected").len() >= JUNK
    });
    let parked = orders.iter().find(|order| order.reference == "PAGE").unwrap();
    assert_eq!(feed.newest(parked).unwrap()["outcome"], "PARKED");
    let mut shown = BTreeMap::new();
    let pan = &canaries.pan;
    let words = [
        vec!["commands", "resolve", &parked.id, "--outcome", "executed", "--evidence", pan],
        vec!["commands", "halt", "--reason", pan],
        vec!["commands", "resume", "--reason", pan],
    ];
    for words in words {
        let name = words.join(" ").replace(pan.as_str(), "…");
        let last: &[&str] = if words[1] == "halt" { &[] } else { &["--yes"] };
        let said = say(&home, &[&words[..], &["--actor", pan], last].concat());
        assert_eq!(said.code, 0, "{said:?}");
        shown.insert(name, said.out + &said.err);
    }
    for arguments in [&["list", "--state", "all"][..], &["show", &parked.id]] {
        for more in [&[][..], &["-o", "json"]] {
            let said = say(&home, &[&["commands"], arguments, more].concat());
            shown.insert(format!("{arguments:?} {more:?}"), said.out + &said.err);
        }
    }
    connector.wait_for_line("VOM-SNK-021", DEADLINE);
    let mut planted: Vec<String> = canaries.all().iter().map(ToString::to_string).collect();
    planted.extend(tokens.lock().unwrap().iter().cloned());
    assert!(planted.len() > 8, "a token was seen: {planted:?}");
    shown.extend(pages(&mut connector));
    end(&mut connector);
    shown.insert("stderr".to_owned(), connector.stderr());
    shown.insert("stdout".to_owned(), connector.stdout());
    let told = [&planted[..], &[TOLD_NAME.to_owned()]].concat();
    for (place, text) in &shown {
        assert_clean(place, text, &told);
    }
    sweep(&stage, &planted);
    name_stands_in_the_message_alone(&stage);
}

/// Somebody mistakes a card for a reference, or for a connection: records keep their keys.
#[test]
fn a_card_in_a_key_shows_in_no_log_and_no_header() {
    let stage = Stage::new("pay-card-key");
    let pan = Canaries::new().pan;
    let orders =
        [Order::refund(&pan, 100), Order::cancel(&pan), Order::refund("REF", 100).of(&pan)];
    stage.shop.send(&orders);
    let home = stage.home();
    let mut connector = home.run();
    stage.feed().wait_for_final(&orders);
    connector.wait_for_line("VOM-SNK-011", DEADLINE);
    end(&mut connector);
    assert_clean("stderr", &connector.stderr(), std::slice::from_ref(&pan));
    let results = stage.records("payment.results");
    assert_eq!(results.len(), orders.len());
    for record in results {
        assert!(record.key.unwrap().contains(&pan));
        assert_clean("headers", &format!("{:?}", record.headers), std::slice::from_ref(&pan));
    }
}

/// The name that the API told stands in the two results that carry its words, and nowhere beside.
fn name_stands_in_the_message_alone(stage: &Stage) {
    let decoder = Decoder::new(shared_registry().url());
    let (planted, mut named) = ([TOLD_NAME.to_owned()], 0);
    for record in stage.records("payment.results") {
        let mut result = decoder.decode(record.value.as_ref().unwrap());
        let message = result["provider_message"].take();
        named += usize::from(message.to_string().contains(TOLD_NAME));
        assert_clean("a result beside its message", &result.to_string(), &planted);
        assert_clean("a result's headers", &format!("{:?}", record.headers), &planted);
    }
    assert_eq!(named, 2, "of the declined and of the approved one");
}

/// What a listener shows.
fn pages(connector: &mut Process) -> Vec<(String, String)> {
    let address = connector.address(DEADLINE);
    let get = |page: &str| (page.to_owned(), http::get(address, page).unwrap().body);
    ["/metrics", "/api/v1/status", "/readyz?verbose", "/"].map(get).to_vec()
}

/// Records that are no commands.
const JUNK: usize = 10;

fn send_junk(stage: &Stage, canaries: &Canaries) {
    let schema = stage.shop.schema_id();
    let good = Order::refund("TRUE", 300);
    stage.shop.send_raw("acme/TRUE", canaries.sentence().as_bytes());
    for planted in [&canaries.pan, &canaries.iban, &canaries.national_id] {
        stage.shop.send_raw(planted, &good.value(schema));
        let named = Order { id: planted.clone(), ..good.clone() };
        stage.shop.send_raw("acme/TRUE", &named.value(schema));
        let connection = Order { connection: format!("{planted}/"), ..good.clone() };
        stage.shop.send_raw("acme/TRUE", &connection.value(schema));
    }
}

/// Topics: headers and results, and the journal with everything in it.
fn sweep(stage: &Stage, planted: &[String]) {
    let decoder = Decoder::new(shared_registry().url());
    for record in stage.records("payment.results") {
        assert_clean("a result's headers", &format!("{:?}", record.headers), planted);
        let result = decoder.decode(record.value.as_ref().unwrap());
        assert_clean("a result", &result.to_string(), planted);
    }
    for record in stage.records("internal.payment-journal") {
        let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default());
        assert_clean("the journal", &format!("{:?} {value}", record.key), planted);
    }
    let refused = stage.records("payment.commands.rejected");
    assert_eq!(refused.len(), JUNK);
    for record in refused {
        assert_clean("a refused record's headers", &format!("{:?}", record.headers), planted);
    }
}
