use std::sync::Mutex;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

#[derive(Default)]
struct Kept(Mutex<Vec<(bool, Word)>>);

impl Switch for Kept {
    fn set(&self, halted: bool, word: Word) -> BoxFuture<'_, Result<(), Unmoved>> {
        Box::pin(async move {
            match word.reason.as_str() {
                "no sink" => Err(Unmoved::NoSink),
                "no kafka" => Err(Unmoved::Unavailable("refused".to_owned())),
                "no answer" => Err(Unmoved::Unknown("timed out".to_owned())),
                _ => {
                    self.0.lock().unwrap().push((halted, word));
                    Ok(())
                }
            }
        })
    }
}

impl Commands for Kept {
    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(async move { Ok(json!({ "asked": format!("{filter:?}") })) })
    }

    fn show(&self, meant: MeantCommand) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(async move {
            let MeantCommand { id, connection, reference } = meant;
            match id.as_u128() {
                1 => Ok(json!({ "command_id": id, "of": [connection, reference] })),
                2 => Err(Refused::Conflict("two of them".to_owned())),
                3 => Err(Refused::Unavailable("no kafka".to_owned())),
                _ => Err(Refused::Unknown(format!("no command {id}"))),
            }
        })
    }

    fn reconcile(&self, meant: MeantCommand) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(async move {
            if meant.id.as_u128() == 1 {
                return Ok(json!({ "says": "unchanged", "of": meant.reference }));
            }
            Err(Refused::Upstream("no answer".to_owned()))
        })
    }

    fn resolve(
        &self,
        meant: MeantCommand,
        decision: Decision,
    ) -> BoxFuture<'_, Result<Value, Refused>> {
        let word = Word { actor: decision.actor, reason: decision.evidence };
        self.0.lock().unwrap().push((decision.outcome == Outcome::Executed, word));
        let MeantCommand { id, reference, .. } = meant;
        Box::pin(
            async move { Ok(json!({ "command_id": id, "outcome": "SUCCEEDED", "of": reference })) },
        )
    }
}

async fn put(server: &Server, path: &str, headers: &str, body: &str) -> String {
    ask(server, "PUT", path, headers, body).await
}

async fn ask(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn started(token_file: Option<PathBuf>) -> (Server, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let admin = Admin { listen: SocketAddr::from(([127, 0, 0, 1], 0)), token_file };
    (serve(&admin, kept.clone(), kept.clone()).await.unwrap(), kept)
}

const JSON: &str = "content-type: application/json\r\n";
const WORD: &str = r#"{"actor":"ayse","reason":"audit"}"#;

#[tokio::test]
async fn the_switch_moves_both_ways_and_says_who_and_why() {
    let (server, kept) = started(None).await;
    let answer = put(&server, "/api/v1/commands/halt", JSON, WORD).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"halted":true}"#));
    let answer = put(&server, "/api/v1/commands/resume", JSON, WORD).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let word = Word { actor: "ayse".into(), reason: "audit".into() };
    assert_eq!(*kept.0.lock().unwrap(), [(true, word.clone()), (false, word)]);
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_asked_for_and_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let (server, kept) = started(Some(file.clone())).await;
    let with = |token: &str| format!("{JSON}authorization: Bearer {token}\r\n");
    for headers in [JSON.to_owned(), with("second"), with(""), with("firs")] {
        let answer = put(&server, "/api/v1/commands/halt", &headers, WORD).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("www-authenticate"));
    }
    assert!(kept.0.lock().unwrap().is_empty());
    let answer = put(&server, "/api/v1/commands/halt", &with("first"), WORD).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    std::fs::write(&file, "second").unwrap();
    let answer = put(&server, "/api/v1/commands/halt", &with("first"), WORD).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    std::fs::write(&file, "").unwrap();
    let answer = put(&server, "/api/v1/commands/halt", &with(""), WORD).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    std::fs::remove_file(&file).unwrap();
    let answer = put(&server, "/api/v1/commands/halt", &with("second"), WORD).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_as_a_problem() {
    let (server, kept) = started(None).await;
    let word = |reason: &str| format!(r#"{{"actor":"ayse","reason":"{reason}"}}"#);
    for (headers, body, code) in [
        ("", WORD.to_owned(), 415),
        (JSON, "{".to_owned(), 400),
        (JSON, r#"{"actor":"ayse"}"#.to_owned(), 422),
        (JSON, word(" "), 422),
        (JSON, word("no sink"), 409),
        (JSON, word("no kafka"), 503),
        (JSON, word("no answer"), 503),
    ] {
        let answer = put(&server, "/api/v1/commands/halt", headers, &body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{body}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        let is_certain = answer.contains("nothing has changed");
        assert_eq!(is_certain, body.contains("no kafka"), "{answer}");
        let is_unknown = answer.contains("may have moved: timed out") && answer.contains("halted");
        assert_eq!(is_unknown, body.contains("no answer"), "{answer}");
    }
    assert!(kept.0.lock().unwrap().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_told_as_a_problem_to_those_who_may_know() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first").unwrap();
    let (server, _) = started(Some(file)).await;
    let token = "authorization: Bearer first\r\n";
    for (method, path, code) in [
        ("GET", "/api/v1/command".to_owned(), 404),
        ("GET", "/".to_owned(), 404),
        ("PUT", of(1, "/undo"), 404),
        ("GET", "/api/v1/commands/halt".to_owned(), 405),
        ("DELETE", "/api/v1/commands".to_owned(), 405),
        ("PUT", of(1, "/resolve"), 405),
    ] {
        let answer = ask(&server, method, &path, token, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{method} {path}: {answer}");
        assert!(answer.contains("application/problem+json"), "{method} {path}: {answer}");
        assert!(answer.contains(&format!("\"status\":{code}")), "{method} {path}: {answer}");
        assert_eq!(answer.contains("\r\nallow: "), code == 405, "{method} {path}: {answer}");
        let answer = ask(&server, method, &path, "", "").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{method} {path}: {answer}");
    }
    server.stop().await;
}

/// A path below `/api/v1/commands`.
fn of(id: u128, verb: &str) -> String {
    format!("/api/v1/commands/{}{verb}", Uuid::from_u128(id))
}

#[tokio::test]
async fn commands_are_listed_and_shown_with_what_they_are_asked_for() {
    let (server, _) = started(None).await;
    let get = async |path: &str| ask(&server, "GET", path, "", "").await;
    let answer = get("/api/v1/commands").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("state: Open"), "{answer}");
    let answer = get("/api/v1/commands?state=in_doubt&connection=acme&reference=R-1").await;
    assert!(answer.contains("state: InDoubt") && answer.contains("acme") && answer.contains("R-1"));
    let answer = get(&of(1, "")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("[null,null]"), "{answer}");
    let answer = get(&of(1, "?connection=acme&reference=R%2F1")).await;
    assert!(answer.contains(r#"["acme","R/1"]"#), "{answer}");
    for (path, code) in [
        ("/api/v1/commands?state=late".to_owned(), 400),
        ("/api/v1/commands?stat=open".to_owned(), 400),
        ("/api/v1/commands/7".to_owned(), 400),
        (of(1, "?ref=R-1"), 400),
        (of(9, ""), 404),
        (of(2, ""), 409),
        (of(3, ""), 503),
    ] {
        let answer = get(&path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    server.stop().await;
}

const DECISION: &str = r#"{"outcome":"executed","evidence":"panel","actor":"ayse"}"#;

#[tokio::test]
async fn what_asks_the_api_or_decides_takes_json_alone() {
    let (server, kept) = started(None).await;
    let post = async |path: String, headers: &str, body: &str| {
        ask(&server, "POST", &path, headers, body).await
    };
    let answer = post(of(1, "/reconcile?reference=R-1"), JSON, "{}").await;
    assert!(answer.contains("unchanged") && answer.contains("R-1"), "{answer}");
    assert!(post(of(2, "/reconcile"), JSON, "{}").await.starts_with("HTTP/1.1 502"));
    assert!(post(of(1, "/reconcile"), "", "").await.starts_with("HTTP/1.1 415"));
    assert!(post(of(1, "/reconcile"), JSON, r#"{"force":1}"#).await.starts_with("HTTP/1.1 422"));
    for body in [
        "{}".to_owned(),
        DECISION.replace("executed", "maybe"),
        DECISION.replace("panel", " "),
        DECISION.replace("ayse", ""),
    ] {
        let answer = post(of(1, "/resolve"), JSON, &body).await;
        assert!(answer.starts_with("HTTP/1.1 422"), "{body}: {answer}");
    }
    assert!(post(of(1, "/resolve"), "", DECISION).await.starts_with("HTTP/1.1 415"));
    assert!(kept.0.lock().unwrap().is_empty(), "nobody has decided yet");
    let answer = post(of(1, "/resolve?reference=R-1"), JSON, DECISION).await;
    assert!(answer.contains("SUCCEEDED") && answer.contains("R-1"), "{answer}");
    let word = Word { actor: "ayse".into(), reason: "panel".into() };
    assert_eq!(*kept.0.lock().unwrap(), [(true, word)]);
    server.stop().await;
}

#[tokio::test]
async fn a_token_guards_commands_as_it_guards_the_switch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let (server, kept) = started(Some(file)).await;
    for (method, path, body) in [
        ("GET", "/api/v1/commands".to_owned(), ""),
        ("GET", of(1, ""), ""),
        ("POST", of(1, "/reconcile"), "{}"),
        ("POST", of(1, "/resolve"), DECISION),
    ] {
        let answer = ask(&server, method, &path, JSON, body).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{method} {path}: {answer}");
        let with = format!("{JSON}authorization: Bearer first\r\n");
        let answer = ask(&server, method, &path, &with, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    }
    assert_eq!(kept.0.lock().unwrap().len(), 1);
    server.stop().await;
}
