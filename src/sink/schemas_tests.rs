//! A registry that comes and goes, as whoever reads commands meets it.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::atomic::{AtomicU8, Ordering::SeqCst},
    thread,
};

use super::*;
use crate::config::model::{RegistryMode, SchemaRegistry};

const AWAY: u8 = 0;
const UNKNOWN: u8 = 1;
const TELLS: u8 = 2;
/// Takes the request, and never answers.
const SILENT: u8 = 3;
/// A trouble of its own, which says nothing of the schema.
const ERRS: u8 = 4;
/// The same of schema 1 alone; it tells the even ones, and does not know the other odd ones.
const ERRS_OF_ONE: u8 = 5;
const LONG: Duration = Duration::from_secs(60);

/// A registry that does as it is told, and the schemas that are asked for there.
fn begin() -> (Arc<AtomicU8>, Schemas) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mode = Arc::new(AtomicU8::new(AWAY));
    let told = Arc::clone(&mode);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mode = told.load(SeqCst);
            match mode {
                AWAY => continue,
                SILENT => {
                    // Open for as long as a client may wait.
                    thread::spawn(move || {
                        thread::sleep(LONG);
                        drop(stream);
                    });
                    continue;
                }
                _ => {}
            }
            let mut request = [0; 4096];
            // A client that is gone by now has its next try.
            let read = stream.read(&mut request).unwrap_or(0);
            let (status, body) = match (mode, id_of(&request[..read])) {
                (ERRS, _) | (ERRS_OF_ONE, Some(1)) => {
                    ("500 Internal Server Error", r#"{"error_code": 50001, "message": "x"}"#)
                }
                (UNKNOWN, _) | (ERRS_OF_ONE, Some(3 | 5)) => {
                    ("404 Not Found", r#"{"error_code": 40403, "message": "not found"}"#)
                }
                _ => ("200 OK", r#"{"schema": "\"int\""}"#),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
            let rest = format!("content-length: {length}\r\nconnection: close\r\n\r\n{body}");
            drop(stream.write_all(format!("{head}{rest}").as_bytes()));
        }
    });
    let config = SchemaRegistry { url, mode: RegistryMode::Verify, auth: None };
    (mode, Schemas::new(Registry::new(&config)))
}

/// The schema that is asked for.
fn id_of(request: &[u8]) -> Option<u32> {
    let request = String::from_utf8_lossy(request);
    let rest = request.split("/schemas/ids/").nth(1)?;
    rest.split(['?', ' ']).next()?.parse().ok()
}

async fn is_told(schemas: &mut Schemas, id: u32) -> Option<bool> {
    match timeout(LONG, schemas.learn(id)).await.expect("nobody is held up") {
        Told::Schema(_) => Some(true),
        Told::None(_) => Some(false),
        Told::NotYet => None,
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_asked_until_it_answers_and_holds_nobody_up() {
    let (mode, mut schemas) = begin();
    mode.store(TELLS, SeqCst);
    assert_eq!(is_told(&mut schemas, 1).await, Some(true));
    mode.store(AWAY, SeqCst);
    assert_eq!(is_told(&mut schemas, 1).await, Some(true), "it is known");
    for id in [2, 3, 2] {
        assert_eq!(is_told(&mut schemas, id).await, None);
        assert!(schemas.is_settled(id), "it is asked for already");
    }
    mode.store(TELLS, SeqCst);
    let mut answered = Vec::new();
    for _ in 0..2 {
        answered.push(timeout(LONG, schemas.answered()).await.unwrap().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, [2, 3], "each once");
    assert_eq!(is_told(&mut schemas, 2).await, Some(true));
}

#[tokio::test]
async fn one_error_and_a_silence_are_no_word_about_a_schema_and_are_not_remembered() {
    for trouble in [ERRS, SILENT] {
        let (mode, mut schemas) = begin();
        mode.store(trouble, SeqCst);
        let asked = std::time::Instant::now();
        assert_eq!(is_told(&mut schemas, 1).await, None, "neither known nor refused");
        assert!(asked.elapsed() < LONG / 2, "others are not held up for as long");
        mode.store(TELLS, SeqCst);
        assert_eq!(timeout(LONG, schemas.answered()).await.unwrap().unwrap(), 1);
        assert_eq!(is_told(&mut schemas, 1).await, Some(true));
    }
}

#[tokio::test]
async fn what_a_registry_does_not_know_is_asked_for_again_with_the_next_commands() {
    let (mode, mut schemas) = begin();
    mode.store(UNKNOWN, SeqCst);
    assert_eq!(is_told(&mut schemas, 1).await, Some(false));
    mode.store(TELLS, SeqCst);
    assert_eq!(is_told(&mut schemas, 1).await, Some(false), "by the same batch");
    schemas.forget_refusals();
    assert_eq!(is_told(&mut schemas, 1).await, Some(true));
}

#[tokio::test]
async fn one_that_is_never_answered_about_holds_up_no_other_one() {
    let (mode, mut schemas) = begin();
    mode.store(ERRS_OF_ONE, SeqCst);
    assert_eq!(is_told(&mut schemas, 1).await, None);
    for (id, told) in [(2, true), (3, false), (4, true), (5, false)] {
        assert_eq!(is_told(&mut schemas, id).await, None, "{id} would wait for nothing");
        assert_eq!(timeout(LONG, schemas.answered()).await.unwrap().unwrap(), id);
        // Other partitions go on before the record that waited is read again.
        for _ in 0..2 {
            schemas.forget_refusals();
        }
        assert!(schemas.is_settled(id), "what was told of {id} is kept");
        assert_eq!(is_told(&mut schemas, id).await, Some(told), "{id}");
        assert_eq!(is_told(&mut schemas, id).await, Some(told), "{id}, by the same batch");
        schemas.forget_refusals();
        assert_eq!(schemas.is_settled(id), told, "a refusal of {id} that was heard is forgotten");
    }
    assert!(schemas.is_settled(1), "it is asked for still");
}
