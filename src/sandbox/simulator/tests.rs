use std::collections::BTreeSet;

use chrono::NaiveDate;
use reqwest::{Client, Response, redirect};
use serde_json::{Value, json};

use super::*;
use crate::domain::ids::Stream;

const BANK_SAMPLE: &str = include_str!("../samples/bank_transactions.json");
const POS_SAMPLE: &str = include_str!("../samples/pos_transactions.json");
const VIRTUAL_POS_SAMPLE: &str = include_str!("../samples/virtual_pos_transactions.json");
const TOS_SAMPLE: &str = include_str!("../samples/tos_payments.json");

pub(super) struct Probe {
    pub(super) simulator: Simulator,
    pub(super) client: Client,
    bank: String,
    pub(super) virtual_pos: String,
}

pub(super) fn options() -> SimulatorOptions {
    let now = NaiveDate::from_ymd_opt(2026, 6, 1).and_then(|day| day.and_hms_opt(12, 0, 0));
    SimulatorOptions { now, accounts: 2, terminals: 1, ..SimulatorOptions::default() }
}

impl Probe {
    pub(super) async fn start(options: SimulatorOptions) -> Self {
        let simulator = Simulator::start(options).await.unwrap();
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        let keys = json!({"app_key": APP_KEY, "app_secret": APP_SECRET});
        let base = simulator.base_url();
        let token = async |path: &str| -> Value {
            let request = client.post(format!("{base}{path}")).json(&keys);
            request.send().await.unwrap().json().await.unwrap()
        };
        let bank = token("/api/v2/authenticate").await["token"].as_str().unwrap().to_owned();
        let virtual_pos = token("/api/vpos/v3/auth/token").await["access_token"].clone();
        let virtual_pos = virtual_pos.as_str().unwrap().to_owned();
        Self { simulator, client, bank, virtual_pos }
    }

    async fn get(&self, path: &str) -> Response {
        let token = if path.contains("/vpos/") { &self.virtual_pos } else { &self.bank };
        let request = self.client.get(format!("{}{path}", self.simulator.base_url()));
        let request = request.header("accept", "application/json").bearer_auth(token);
        request.send().await.unwrap()
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    pub(super) async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status().as_u16()
    }

    pub(super) async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let method = method.parse().unwrap();
        let url = format!("{}/_ctl/{path}", self.simulator.base_url());
        let answer = self.client.request(method, url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        answer.json().await.unwrap()
    }

    async fn tos(&self, query: Value) -> Value {
        let form = [
            ("client_id", APP_KEY),
            ("client_secret", APP_SECRET),
            ("grant_type", "b2b_credentials"),
            ("scope", "payment"),
            ("consentId", "1"),
            ("resource", "sandbox"),
        ];
        let base = self.simulator.base_url();
        let request = self.client.post(format!("{base}/auth/oauth/v2/token")).form(&form);
        let token: Value = request.send().await.unwrap().json().await.unwrap();
        let token = token["access_token"].as_str().unwrap();
        let request = self.client.post(format!("{base}/tos/query")).bearer_auth(token).json(&query);
        request.send().await.unwrap().json().await.unwrap()
    }
}

fn keys(row: &Value) -> Vec<String> {
    row.as_object().unwrap().keys().cloned().collect()
}

fn sample(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn ids(body: &Value, key: &str) -> Vec<i64> {
    body[key].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

const MARCH: &str = "beginDate=10-03-2022 00:00:00&endDate=10-03-2022 23:59:59";
const LAST_WEEK: &str = "beginDate=26-05-2026 00:00:00&endDate=01-06-2026 23:59:59";

#[tokio::test]
async fn documents_samples_are_served_as_documented() {
    let probe = Probe::start(options()).await;
    let bank = probe.json(&format!("/api/v2/accounts/73/transactions?{MARCH}")).await;
    assert_eq!(bank, json!({"status": "success", "transactions": sample(BANK_SAMPLE)}));
    let path = "/api/v2/pos-rapor/stations/1/transactions?beginDate=01-12-2021&endDate=14-12-2021";
    let pos = probe.json(path).await;
    assert_eq!(pos, json!({"status": "success", "transactions": sample(POS_SAMPLE)}));
    let list = probe.json("/api/vpos/v3/transactions-list?status=successful").await;
    let listed = list["data"].as_array().unwrap();
    assert!(sample(VIRTUAL_POS_SAMPLE).iter().all(|row| listed.contains(row)));
    let tos = probe
        .tos(json!({"InstitutionCode": "0006624", "PaymentDate": "2022-12-28T00:00:00"}))
        .await;
    assert_eq!(tos["Data"]["Result"], sample(TOS_SAMPLE)[0]);
    assert_eq!(tos["Header"]["StatusCode"], "APIGW000000");
}

#[tokio::test]
async fn generated_rows_have_the_samples_keys_in_the_samples_order() {
    let probe = Probe::start(options()).await;
    let bank = probe.json(&format!("/api/v2/accounts/101/transactions?{LAST_WEEK}")).await;
    assert_eq!(keys(&bank["transactions"][0]), keys(&sample(BANK_SAMPLE)[0]));
    let path =
        "/api/v2/pos-rapor/stations/101/transactions?beginDate=20-05-2026&endDate=01-06-2026";
    let pos = probe.json(path).await;
    assert_eq!(keys(&pos["transactions"][0]), keys(&sample(POS_SAMPLE)[0]));
    let list = probe.json("/api/vpos/v3/transactions-list").await;
    let documented = sample(VIRTUAL_POS_SAMPLE);
    assert_eq!(keys(&list["data"][0]), keys(&documented[0]));
    assert_eq!(keys(&list["data"][0]["musteri"]), keys(&documented[0]["musteri"]));
    let feed = probe.json(&format!("/api/v2/transactions?{LAST_WEEK}")).await;
    let account = &feed["transactions"][0]["account"];
    assert!(account["bank"]["bank_name"].is_string() && account.get("created_at").is_none());
}

#[tokio::test]
async fn reference_lists_have_the_documents_envelopes() {
    let probe = Probe::start(options()).await;
    assert!(probe.json("/api/v2/banks").await["banks"].is_array());
    assert!(probe.json("/api/v2/accounts").await["accounts"].is_array());
    assert!(probe.json("/api/v2/banks/5/accounts").await["banks"][0].get("bank_id").is_none());
    assert_eq!(probe.json("/api/v2/accounts/25").await["account"][0]["balance"], "557.00");
    assert_eq!(probe.json("/api/v2/pos-rapor/stations").await["success"], "true");
    let types = probe.json("/api/v2/transaction_types").await;
    assert_eq!(types["transaction_types"].as_array().unwrap().len(), 46);
    assert!(probe.json("/api/vpos/v3/customers").await.is_array());
    let url = format!("{}/api/vpos/v3/installments", probe.simulator.base_url());
    let answer = probe.client.post(url).bearer_auth(&probe.virtual_pos).send().await.unwrap();
    assert_eq!(answer.headers()["x-ratelimit-limit"], "100");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["data"]["Axess"]["6"]["block_rate"], "12.0000");
}

#[tokio::test]
async fn find_answers_by_query_and_by_body() {
    let probe = Probe::start(options()).await;
    let path = "/api/vpos/v3/transaction/find";
    let found = probe.json(&format!("{path}?referanceNo=169VPCE5C20E03814BD1")).await;
    assert_eq!(
        (&found["data"]["amount"], &found["data"]["status"]),
        (&json!("1300.00"), &json!("Başarılı"))
    );
    let request = probe.client.get(format!("{}{path}", probe.simulator.base_url()));
    let body = json!({"referanceNo": "VP2024112323912"});
    let answer = request.bearer_auth(&probe.virtual_pos).json(&body).send().await.unwrap();
    let found: Value = answer.json().await.unwrap();
    assert_eq!(found["data"]["paidAmount"], "2.58");
}

#[tokio::test]
async fn last_id_is_exclusive_and_needs_no_dates() {
    let probe = Probe::start(options()).await;
    let all = ids(&probe.json("/api/v2/accounts/101/transactions?lastId=0").await, "transactions");
    let (newest, second) = (all[0], all[1]);
    let path = format!("/api/v2/accounts/101/transactions?lastId={second}");
    assert_eq!(ids(&probe.json(&path).await, "transactions"), [newest]);
    assert_eq!(probe.status("/api/v2/accounts/101/transactions").await, 422);
}

#[tokio::test]
async fn windows_include_both_ends_and_follow_the_date_type() {
    let probe = Probe::start(options()).await;
    let add = json!({"stream": "bank_transactions", "account": 73, "rows": [
        {"id": 9_000_001, "system_date": "2026-05-04 00:00:00"},
        {"id": 9_000_002, "system_date": "2026-05-04 23:59:59"},
        {"id": 9_000_003, "system_date": "2026-05-05 00:00:00", "accounting_date": "2026-05-04 08:00:00"},
    ]});
    probe.control("POST", "rows", add).await;
    let day = "beginDate=04-05-2026 00:00:00&endDate=04-05-2026 23:59:59";
    let path = format!("/api/v2/accounts/73/transactions?{day}");
    let by_system = ids(&probe.json(&path).await, "transactions");
    assert_eq!(by_system, [9_000_002, 9_000_001]);
    let path = format!("{path}&dateType=accounting_date");
    assert_eq!(ids(&probe.json(&path).await, "transactions").len(), 3);
}

#[tokio::test]
async fn long_windows_and_pos_times_are_422_and_wrong_forms_a_default_range() {
    let probe = Probe::start(options()).await;
    for path in [
        "/api/v2/accounts/73/transactions?beginDate=01-03-2022 00:00:00&endDate=08-03-2022 23:59:59",
        "/api/v2/pos-rapor/stations/1/transactions?beginDate=01-12-2021&endDate=15-12-2021",
        "/api/v2/pos-rapor/stations/1/transactions?beginDate=01-12-2021 00:00:00&endDate=02-12-2021",
        "/api/v2/pos-rapor/stations/1/transactions?lastId=1",
    ] {
        let answer = probe.get(path).await;
        assert_eq!(answer.status(), 422, "{path}");
        assert!(answer.json::<Value>().await.unwrap()["errors"].is_object());
    }
    let wrong = probe
        .json("/api/v2/accounts/101/transactions?beginDate=2022-03-10&endDate=2022-03-10")
        .await;
    let right = probe.json(&format!("/api/v2/accounts/101/transactions?{LAST_WEEK}")).await;
    assert_eq!(wrong, right);
}

#[tokio::test]
async fn access_needs_the_sandbox_keys_and_a_good_token() {
    let probe = Probe::start(options()).await;
    let base = probe.simulator.base_url();
    let wrong = [("app_key", "x"), ("app_secret", "y")];
    let request = probe.client.post(format!("{base}/api/v2/authenticate")).form(&wrong);
    let refused: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["status"], "error");
    probe.simulator.expire_tokens();
    let answer = probe.get("/api/v2/banks").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"message": "Unauthenticated."}));
    let browser = probe.client.get(format!("{base}/api/v2/banks")).send().await.unwrap();
    assert_eq!(
        (browser.status().as_u16(), &browser.headers()["location"]),
        (302, &"/login".parse().unwrap())
    );
}

#[tokio::test]
async fn tos_locks_after_five_wrong_secrets() {
    let probe = Probe::start(options()).await;
    let form = [
        ("client_id", APP_KEY),
        ("client_secret", "wrong"),
        ("grant_type", "b2b_credentials"),
        ("scope", "payment"),
        ("consentId", "1"),
        ("resource", "sandbox"),
    ];
    let mut codes = Vec::new();
    for _ in 0..6 {
        let url = format!("{}/auth/oauth/v2/token", probe.simulator.base_url());
        let answer = probe.client.post(url).form(&form).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        codes.push(body["Header"]["StatusCode"].as_str().unwrap().to_owned());
    }
    assert_eq!(codes[4..], ["ACBG000005", "ACBG000006"]);
}

#[tokio::test]
async fn every_replacing_fault_is_seen_once_and_then_gone() {
    let probe = Probe::start(options()).await;
    for (spec, status, text) in [
        ("429:x1", 429, "Too Many Attempts."),
        ("429=30:x1", 429, "Too Many Attempts."),
        ("500:x1", 500, "Server Error"),
        ("504:x1", 504, "<html>"),
        ("html:x1", 200, "<html>"),
        ("success_false:x1", 200, "\"success\":false"),
        ("success_false_text:x1", 200, "{\"success\":\"false\",\"status\""),
        ("status_error:x1", 200, "\"status\":\"error\""),
        ("missing_key:x1", 200, "{\"status\":\"success\"}"),
        ("401:x1", 401, "Unauthenticated."),
        ("403:x1", 403, "unauthorized"),
        ("ip_not_found:x1", 403, "203.0.113.7"),
        ("login:x1", 302, "/login"),
    ] {
        probe.control("POST", "faults", json!({"set": [spec]})).await;
        let answer = probe.get("/api/v2/banks").await;
        assert_eq!(answer.status(), status, "{spec}");
        let waits = answer.headers().get("retry-after").is_some();
        assert_eq!(waits, spec.starts_with("429=30"), "{spec}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(text), "{spec}: {body}");
        assert_eq!(probe.status("/api/v2/banks").await, 200, "{spec}");
    }
}

#[tokio::test]
async fn bending_faults_bend() {
    let probe = Probe::start(options()).await;
    let path = format!("/api/v2/accounts/101/transactions?{LAST_WEEK}");
    let whole = probe.json(&path).await;
    let set = async |spec: &str| probe.control("POST", "faults", json!({"set": [spec]})).await;
    set("truncated").await;
    let text = probe.get(&path).await.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_err() && whole.to_string().starts_with(&text));
    set("cut").await;
    assert!(probe.get(&path).await.text().await.is_err());
    set("cap=2").await;
    assert_eq!(ids(&probe.json(&path).await, "transactions"), ids(&whole, "transactions")[..2]);
    set("dates_required").await;
    assert_eq!(probe.status("/api/v2/accounts/101/transactions?lastId=1").await, 422);
    set("default_range").await;
    let march = probe.json(&format!("/api/v2/accounts/101/transactions?{MARCH}")).await;
    assert_eq!(march, whole);
    set("expired_token:x1").await;
    assert_eq!(probe.status(&path).await, 401);
    assert_eq!(probe.status(&path).await, 401);
}

#[tokio::test]
async fn order_gzip_and_rate_limit_are_settings() {
    let probe = Probe::start(options()).await;
    let path = format!("/api/v2/accounts/101/transactions?{LAST_WEEK}");
    let down = ids(&probe.json(&path).await, "transactions");
    probe.control("POST", "settings", json!({"order": "ascending", "gzip": true})).await;
    let up = ids(&probe.json(&path).await, "transactions");
    assert!(up.iter().eq(down.iter().rev()) && up.len() > 1);
    probe.control("POST", "settings", json!({"order": "shuffled", "rate_limit": 1})).await;
    let shuffled = ids(&probe.json(&path).await, "transactions");
    let (shuffled, up): (BTreeSet<i64>, BTreeSet<i64>) =
        (shuffled.into_iter().collect(), up.into_iter().collect());
    assert_eq!(shuffled, up);
    let refused = probe.get(&path).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    probe.control("POST", "settings", json!({"gzip": false})).await;
    assert_eq!(probe.status(&path).await, 429, "what is left out stays");
    probe.control("POST", "settings", json!({"rate_limit": null})).await;
    assert_eq!(probe.status(&path).await, 200, "null takes the limit away");
}

#[tokio::test]
async fn a_setting_of_the_wrong_kind_is_refused_by_its_name_and_changes_nothing() {
    let probe = Probe::start(options()).await;
    let url = format!("{}/_ctl/settings", probe.simulator.base_url());
    for (key, value) in [
        ("rate_limit", json!("many")),
        ("rate_limit", json!(-1)),
        ("rate_limit", json!(1.5)),
        ("rate_limit", json!(true)),
        ("gzip", json!(null)),
        ("order", json!(null)),
        ("order", json!("sideways")),
        ("arrivals_per_second", json!(null)),
        ("arrivals_per_second", json!(-1)),
        ("now", json!("noon")),
    ] {
        let body = json!({"rate_limit": 0, key: value});
        let answer = probe.client.post(&url).json(&body).send().await.unwrap();
        let status = answer.status();
        let said: Value = answer.json().await.unwrap();
        let said = said["error"].as_str().unwrap_or_default();
        assert!(status == 400 && said.contains(key), "{body}: {status} {said}");
    }
    assert_eq!(probe.status("/api/v2/banks").await, 200, "no limit was set");
}

#[tokio::test]
async fn ledger_keeps_every_content_and_requests_are_counted() {
    let probe = Probe::start(options()).await;
    let add = json!({"stream": "bank_transactions", "account": 73,
        "rows": [{"amount": "-12.50", "_omit": ["note"]}, {"id": null, "amount": "1e3"}]});
    let added = probe.control("POST", "rows", add).await;
    let id = added["ids"][0].as_i64().unwrap();
    for note in [json!("a"), json!("b"), json!("b"), json!("a")] {
        let change = json!({"stream": "bank_transactions", "id": id, "fields": {"note": note}});
        probe.control("PATCH", "rows", change).await;
    }
    let gone = json!({"stream": "bank_transactions", "id": id});
    probe.control("DELETE", "rows", gone).await;
    let truth = probe.json("/_ctl/ledger?stream=bank_transactions&entity=73").await;
    let rows = truth["streams"]["bank_transactions"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == id).unwrap();
    let notes: Vec<_> =
        row["contents"].as_array().unwrap().iter().map(|content| content.get("note")).collect();
    assert_eq!(notes, [None, Some(&json!("a")), Some(&json!("b")), Some(&json!("a"))]);
    assert_eq!((&row["deleted"], &row["contents"][0]["type"]), (&json!(true), &json!("borclu")));
    let served = probe.json("/api/v2/accounts/73/transactions?lastId=0").await;
    assert_eq!(served["transactions"].as_array().unwrap().len(), 2);
    assert!(served["transactions"][0]["id"].is_null());
    let requests = probe.json("/_ctl/requests").await;
    assert_eq!(requests["counts"]["account_transactions"], 1);
    assert!(requests["last"][0].to_string().contains("authenticate"));
    assert!(!requests.to_string().contains(APP_SECRET));
}

#[tokio::test]
async fn entities_are_added_closed_and_taken_away() {
    let probe = Probe::start(options()).await;
    let added = probe.control("POST", "entities", json!({"stream": "accounts"})).await;
    let id = added["id"].as_i64().unwrap();
    probe.control("POST", "entities", json!({"stream": "accounts", "close": id})).await;
    let path = format!("/api/v2/accounts/{id}");
    assert_eq!(probe.json(&path).await["account"][0]["status"], 0);
    probe.control("DELETE", "entities", json!({"stream": "accounts", "id": id})).await;
    assert_eq!(probe.status(&path).await, 404);
}

#[tokio::test]
async fn windows_of_twenty_thousand_rows_are_served_whole() {
    let probe = Probe::start(options()).await;
    let load = json!({"accounts": 1, "rows_per_account": 20_000, "days": 6, "seed": 1});
    probe.control("POST", "load", load).await;
    let body = probe.json(&format!("/api/v2/accounts/103/transactions?{LAST_WEEK}")).await;
    assert_eq!(body["transactions"].as_array().unwrap().len(), 20_000);
    assert!(probe.simulator.ledger().count(Stream::BankTransactions) > 20_000);
}

#[tokio::test]
async fn a_stopped_source_answers_nobody() {
    let probe = Probe::start(options()).await;
    assert_eq!(probe.status("/api/v2/banks").await, 200);
    let Probe { simulator, client, bank, .. } = probe;
    let url = format!("{}/api/v2/banks", simulator.base_url());
    simulator.stop().await;
    assert!(client.get(url).bearer_auth(bank).send().await.is_err());
}
