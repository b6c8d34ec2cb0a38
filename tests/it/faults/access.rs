//! One connection is refused access: that stays its own trouble, costs few calls, and ends with a
//! changed secret.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use super::stage::{BANK, probe};
use crate::{
    harness::{
        gate::{Gate, Way},
        http,
        process::{Home, Process},
        source::{Setup, Source},
        topics::unique_prefix,
        wait::wait_until,
    },
    stream::{DEADLINE, checker::Late, published, topics},
};

const CONNECTIONS: [&str; 2] = ["acme", "beta"];
/// The API refused a token that it had just given.
const UNAUTHORIZED: &str = "VOM-API-020";
const IP_REFUSED: &str = "VOM-API-023";
const JSON_200: &str = "200 OK\r\nContent-Type: application/json";
const JSON_401: &str = "401 Unauthorized\r\nContent-Type: application/json";
const JSON_403: &str = "403 Forbidden\r\nContent-Type: application/json";
const NOT_FOUND: &str =
    r#"{"status":"error","message":"ip_not_found IP adresi kayıtlı değil : 203.0.113.7"}"#;
/// Calls that a list or row read may cost that is refused: itself, once more with a fresh token,
/// and both sign-ins.
const CALLS_EACH: usize = 4;

/// What polls the refused API; accounts and terminals are followed when they are listed.
const LISTS: [&str; 4] = ["accounts", "banks", "terminals", "transaction_types"];

/// The last error of each list that the first connection reads from its bank and POS API.
fn errors(connector: &mut Process) -> Vec<(String, Value)> {
    let address = connector.address(DEADLINE);
    let status = http::get(address, "/api/v1/status").unwrap().json();
    let all = status["streams"].as_array().unwrap().iter();
    let is_refused = |stream: &&Value| {
        stream["connection"] == "acme" && LISTS.contains(&stream["stream"].as_str().unwrap())
    };
    let named = |stream: &Value| (stream["stream"].to_string(), stream["last_error"].clone());
    all.filter(is_refused).map(named).collect()
}

/// Waits until everything that polls the refused API has failed with this code.
#[track_caller]
fn wait_for_errors(connector: &mut Process, code: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    wait_until(&format!("everything fails with {code}"), DEADLINE, || {
        found = errors(connector);
        found.len() == LISTS.len() && found.iter().all(|(_, error)| error["code"] == code)
    });
    found
}

/// The first connection asks another address, with a secret of its own; the secret's file.
fn put_first_behind(home: &Home, api: &str, address: SocketAddr) -> PathBuf {
    // The first connection stands first.
    let path = home.path().join("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    let own = format!("http://{address}");
    let secret = home.write("acme-secret", "first");
    let changed = config.replacen(&format!("{api}/api/v2"), &format!("{own}/api/v2"), 1).replacen(
        "/secret\"",
        "/acme-secret\"",
        1,
    );
    assert!(changed.contains(&own) && changed.contains("acme-secret"), "{changed}");
    fs::write(&path, changed).unwrap();
    secret
}

#[test]
fn a_connection_that_is_refused_waits_alone_and_goes_on_with_a_changed_secret() {
    let source = Source::loaded(&crate::stream::SMALL);
    let prefix = unique_prefix("access");
    let home = source.home_of(&Setup { connections: &CONNECTIONS, ..Setup::new(&prefix) });
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let gate = Gate::before(source.simulator.addr, move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        match request.lines().next() {
            Some(line) if line.contains("/authenticate") => {
                Way::Answer(JSON_200, r#"{"status":"200","token":"x.y"}"#.to_owned())
            }
            _ => Way::Answer(JSON_401, r#"{"message":"Unauthenticated."}"#.to_owned()),
        }
    });
    let secret = put_first_behind(&home, &source.simulator.base_url(), gate.address());
    let mut connector = home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    let beta = || {
        let records = published(&prefix, BANK);
        let own = |key: &&String| key.starts_with("beta/");
        let (beta, rest) =
            records.iter().filter_map(|r| r.key.as_ref()).partition::<Vec<_>, _>(own);
        assert_eq!(rest.len(), 0, "rows of the refused connection");
        beta.len()
    };
    let wait_for_beta = |what: &str| {
        let account = source.simulator.ledger().rows(BANK).into_iter().max_by_key(|row| row.id);
        let account = account.unwrap().entity;
        let row = vec![serde_json::Map::new()];
        source.simulator.ledger().add_rows(BANK, &account, row).unwrap();
        wait_until(what, DEADLINE, || beta() >= source.expected(BANK).len());
    };
    let failed = wait_for_errors(&mut connector, UNAUTHORIZED);
    let asked = calls.load(Ordering::Relaxed);
    assert!(asked <= CALLS_EACH * failed.len(), "{asked} calls for {failed:?}");
    wait_for_beta("the other connection's history and a new row arrive");
    wait_for_beta("and another");
    assert_eq!(calls.load(Ordering::Relaxed), asked, "it is not asked again meanwhile");
    assert_eq!(probe(&mut connector, "/readyz"), 200);

    let counted = Arc::clone(&calls);
    gate.set(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Way::Answer(JSON_403, NOT_FOUND.to_owned())
    });
    fs::write(&secret, "second").unwrap();
    let failed = wait_for_errors(&mut connector, IP_REFUSED);
    let asked = calls.load(Ordering::Relaxed);
    let shown = |(_, error): &(String, Value)| {
        error["message"].as_str().is_some_and(|text| text.contains("203.0.113.7"))
    };
    assert!(failed.iter().all(shown), "{failed:?}");
    wait_for_beta("the other connection goes on");
    assert_eq!(calls.load(Ordering::Relaxed), asked, "it is not asked again meanwhile");
    assert_eq!(probe(&mut connector, "/readyz"), 200);

    gate.set(|_| Way::Through);
    fs::write(&secret, "sandbox-secret").unwrap();
    wait_until("both connections' rows arrive", DEADLINE, || {
        topics(&prefix).count_visible() >= CONNECTIONS.len() * wanted(&source)
    });
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "{}", connector.stderr());
    topics(&prefix).assert_exactly_once(&source, &CONNECTIONS, Late::Sometimes);
}

/// Rows of all streams, of which none was edited.
fn wanted(source: &Source) -> usize {
    crate::stream::STREAMS.iter().map(|stream| source.expected(*stream).len()).sum()
}
