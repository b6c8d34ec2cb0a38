//! Whole answers of the documents and of what public sources add, through the real client and the
//! mapping: a shape that is known must not look like a change of the API.
//!
//! | body | of |
//! |---|---|
//! | `*_portal`, `transaction_types`, `customers` | later portal pages and public clients |
//! | `customer` | every name that the documents give a customer, when made, changed and paid for |
//! | `tos_documented` | every name of the document's table, the sample has half of them |
//! | `connection_transactions` | the document, its missing comma added |
//! | the others | the documents, as they stand |

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use axum::{Router, extract::Request, http::header, response::IntoResponse as _};
use tokio::{net::TcpListener, runtime::Runtime};
use vomsis_connect::{
    api::{BankQuery, Client, Error, Hours, ListStatus, Purpose, Rows},
    config::{self, model::DateType},
    domain::{ids::Stream, time::Day},
    mapping::{RowContext, map_row},
    telemetry::metrics::Metrics,
};

use crate::golden::event;

const LIVE: Purpose = Purpose::Live;

/// Body, stream, entity, and how many rows it has.
const BODIES: [(&str, Stream, &str, usize); 19] = [
    ("banks", Stream::Banks, "all", 1),
    ("banks_portal", Stream::Banks, "all", 1),
    ("accounts", Stream::Accounts, "all", 1),
    ("accounts_portal", Stream::Accounts, "all", 1),
    ("bank_accounts", Stream::Accounts, "all", 1),
    ("bank_accounts_portal", Stream::Accounts, "all", 1),
    ("account", Stream::Accounts, "all", 1),
    ("transaction_types", Stream::TransactionTypes, "all", 2),
    ("stations", Stream::Terminals, "all", 1),
    ("installments", Stream::Installments, "all", 42),
    ("installments_portal", Stream::Installments, "all", 2),
    ("customers", Stream::Customers, "all", 1),
    ("customer", Stream::Customers, "all", 1),
    ("account_transactions", Stream::BankTransactions, "73", 1),
    ("connection_transactions", Stream::BankTransactions, "73", 1),
    ("station_transactions", Stream::PosTransactions, "1", 1),
    ("station_transactions_s2", Stream::PosTransactions, "1", 1),
    ("tos_documented", Stream::TosPayments, "0006624", 1),
    ("tos_query", Stream::TosPayments, "0006624", 1),
];

fn body(name: &str) -> String {
    let bodies = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bodies");
    fs::read_to_string(bodies.join(format!("{name}.json"))).unwrap()
}

/// A client whose every call but the sign-in is answered by this body.
async fn client(answer: String) -> (Client, tempfile::TempDir) {
    let answered = move |request: Request| {
        let signs_in = ["/authenticate", "/auth/token", "/oauth"];
        let answer = match signs_in.iter().any(|path| request.uri().path() == *path) {
            true => r#"{"status":"success","token":"t","access_token":"t"}"#.to_owned(),
            false => answer.clone(),
        };
        async move { ([(header::CONTENT_TYPE, "application/json")], answer).into_response() }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answered)).await });
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("secret"), "secret").unwrap();
    let secret = path("secret");
    let keys = format!("app_key_file: {0}, app_secret_file: {0}", secret.display());
    let clients = format!("client_id_file: {0}, client_secret_file: {0}", secret.display());
    let text = format!(
        "connections: [{{id: acme, bank_pos: {{base_url: \"{url}\", {keys}}}, \
         virtual_pos: {{base_url: \"{url}\", {keys}}}, \
         tos: {{base_url: \"{url}\", token_url: \"{url}/oauth\", {clients}, consent_id: c, \
         resource: sandbox, institutions: [{{code: \"0006624\"}}]}}, \
         quota: {{requests_per_minute: 60000, concurrency: 8, reserved_for_payments: 0}}}}]\n"
    );
    fs::write(path("config.yaml"), text).unwrap();
    let config = config::load(&path("config.yaml"), std::iter::empty()).unwrap().config;
    let client = Client::new(&config.connections[0], Arc::new(Metrics::new())).unwrap();
    (client, folder)
}

async fn rows(client: &Client, name: &str, stream: Stream) -> Result<Rows, Error> {
    let day = Day(19_000);
    let query = BankQuery {
        window: Some((day, day)),
        hours: Hours::ALL,
        last_id: None,
        date_type: DateType::SystemDate,
    };
    match (stream, name) {
        (_, "connection_transactions") => client.connection_transactions(LIVE, &query).await,
        (Stream::BankTransactions, _) => client.account_transactions(LIVE, 73, &query).await,
        (Stream::PosTransactions, _) => {
            client.station_transactions(LIVE, 1, (day, day), None).await
        }
        (Stream::VirtualPosTransactions, _) => {
            client.virtual_pos_transactions(LIVE, ListStatus::ALL[0]).await
        }
        (Stream::TosPayments, _) => client.tos_payments(LIVE, "0006624", None, day).await,
        (reference, _) => client.reference(LIVE, reference).await,
    }
}

#[test]
fn no_answer_of_the_documents_holds_a_field_that_the_model_does_not_know() {
    let runtime = Runtime::new().unwrap();
    let list = ("transactions_list", Stream::VirtualPosTransactions, "all", 4);
    for (name, stream, entity, count) in BODIES.into_iter().chain([list]) {
        let rows = runtime.block_on(async {
            let (client, _folder) = client(body(name)).await;
            rows(&client, name, stream).await.unwrap_or_else(|error| panic!("{name}: {error}"))
        });
        assert_eq!(rows.len(), count, "{name}");
        let context = RowContext {
            entity,
            date_type: DateType::SystemDate,
            entity_currency: None,
            carry_extras: true,
            replaced_text: false,
            gateway_object_id: None,
        };
        for row in rows.iter() {
            let mapped = map_row(stream, row, &context)
                .unwrap_or_else(|rejection| panic!("{name}: {rejection:?}"));
            assert_eq!(mapped.unknown_fields, 0, "{name}: {:?}", mapped.extras);
        }
    }
}

/// A table of 42 options: each becomes one event of its own.
#[test]
fn every_instalment_option_of_the_documents_becomes_the_event_that_its_line_shows() {
    let runtime = Runtime::new().unwrap();
    let rows = runtime.block_on(async {
        let (client, _folder) = client(body("installments")).await;
        rows(&client, "installments", Stream::Installments).await.unwrap()
    });
    let events: Vec<_> = rows.iter().map(|row| event(Stream::Installments, row)).collect();
    assert_eq!(events.len(), 42);
    let keys: BTreeSet<_> = events.iter().map(|event| event["beside"]["key"].to_string()).collect();
    assert_eq!(keys.len(), events.len(), "each option has a key of its own");
    let lines: Vec<_> = events.iter().map(ToString::to_string).collect();
    insta::with_settings!({
        snapshot_path => "../golden/snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("installments-documented", lines.join("\n"));
    });
}
