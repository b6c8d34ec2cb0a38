use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use super::*;

/// A registry that answers every call: id 7 to who shows `authorization`, 401 to all others.
fn guarded(authorization: &'static str) -> String {
    serving(move |head| {
        let wanted = format!("authorization: {authorization}").to_lowercase();
        if head.contains(&wanted) {
            ("200 OK", r#"{"subject": "s", "version": 1, "id": 7, "schema": "\"int\""}"#)
        } else {
            ("401 Unauthorized", r#"{"error_code": 40101, "message": "who are you"}"#)
        }
    })
}

/// A registry that answers every call so, by its head in lower case.
fn serving(says: impl Fn(&str) -> (&'static str, &'static str) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            // The body follows in the same or the next segment; the answer closes the connection.
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                let length = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..length]);
            }
            let head = String::from_utf8_lossy(&request).to_lowercase();
            let (status, body) = says(&head);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

fn registry(url: &str, auth: Option<RegistryAuth>) -> Registry {
    Registry::new(&SchemaRegistry { url: url.to_owned(), mode: RegistryMode::Verify, auth })
}

#[tokio::test]
async fn a_password_file_is_shown_as_basic_and_read_again_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    std::fs::write(&password_file, "wrong\n").unwrap();
    // base64 of "user:canary"
    let url = guarded("Basic dXNlcjpjYW5hcnk=");
    let auth =
        RegistryAuth::Basic { username: "user".to_owned(), password_file: password_file.clone() };
    let registry = registry(&url, Some(auth));
    let refused = registry.verify("s", "\"int\"").await.unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }) && refused.is_retriable(), "{refused}");
    std::fs::write(&password_file, "canary\n").unwrap();
    assert_eq!(registry.verify("s", "\"int\"").await.unwrap(), 7);
    assert!(!format!("{registry:?} {refused}").contains("canary"));
}

#[tokio::test]
async fn a_token_file_is_shown_as_bearer_by_every_call() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, " canary\n").unwrap();
    let url = guarded("Bearer canary");
    let registry = registry(&url, Some(RegistryAuth::Bearer { token_file: token_file.clone() }));
    assert_eq!(registry.register("s", "\"int\"").await.unwrap(), 7);
    assert_eq!(registry.latest("s").await.unwrap().as_deref(), Some("\"int\""));
    assert_eq!(registry.schema(7).await.unwrap(), "\"int\"");
    std::fs::remove_file(&token_file).unwrap();
    let unreadable = registry.schema(7).await.unwrap_err();
    assert!(matches!(&unreadable, Error::Secret { file, .. } if *file == token_file));
    std::fs::write(&token_file, " \n").unwrap();
    assert!(registry.schema(7).await.unwrap_err().to_string().contains("is empty"));
}

#[tokio::test]
async fn without_credentials_a_guarded_registry_refuses() {
    let url = guarded("Bearer canary");
    let refused = registry(&url, None).verify("s", "\"int\"").await.unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }), "{refused}");
}

#[tokio::test]
async fn an_id_that_the_registry_cannot_read_is_unknown_and_any_other_bad_request_may_pass() {
    let told = r#"{"error_code": 400, "message": "Invalid parameter 'id'"}"#;
    for (body, is_no) in
        [(told, true), ("<html>plain HTTP was sent to the HTTPS port</html>", false)]
    {
        let registry = registry(&serving(move |_| ("400 Bad Request", body)), None);
        let by_id = registry.schema(7).await.unwrap_err();
        assert_eq!(matches!(by_id, Error::Missing { .. }), is_no, "{by_id}");
        assert_eq!(by_id.is_retriable(), !is_no, "{by_id}");
        for other in [
            registry.verify("s", "\"int\"").await.map(drop),
            registry.register("s", "\"int\"").await.map(drop),
            registry.is_compatible("s", "\"int\"").await.map(drop),
            registry.latest("s").await.map(drop),
        ] {
            let other = other.unwrap_err();
            assert!(matches!(other, Error::Unavailable { .. }), "{other}");
        }
    }
}
