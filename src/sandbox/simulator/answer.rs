//! Answers, before and after they are made into HTTP.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

/// An answer that faults may still spoil.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// The connection breaks in the middle of the body.
    pub(super) cut: bool,
    /// Instead of an answer the connection is closed.
    pub(super) hang_up: bool,
    /// How long it is held back.
    pub(super) wait: Duration,
}

impl Answer {
    pub(super) fn json(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string(),
            cut: false,
            hang_up: false,
            wait: Duration::ZERO,
        }
    }

    pub(super) fn text(status: u16, content_type: &'static str, body: &str) -> Self {
        Self { content_type, ..Self::json(status, body) }
    }

    /// No answer: the connection is closed without a byte.
    pub(super) fn hang_up() -> Self {
        Self { hang_up: true, ..Self::json(0, "") }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Laravel's answer to fields that it refuses.
    pub(super) fn invalid(field: &str, message: &str) -> Self {
        let errors = json!({field: [message]});
        let body = json!({"message": "The given data was invalid.", "errors": errors});
        Self::json(422, body)
    }

    /// Laravel's answer to a request without a good token.
    pub(super) fn unauthenticated() -> Self {
        Self::json(401, json!({"message": "Unauthenticated."}))
    }

    /// Where Laravel sends a browser, and whoever did not say that it wants JSON.
    pub(super) fn login() -> Self {
        let page = "<!DOCTYPE html><html><head><title>Redirecting to /login</title></head></html>";
        Self::text(302, "text/html; charset=UTF-8", page).with("location", "/login")
    }

    pub(super) fn page(status: u16, title: &str) -> Self {
        let body = format!(
            "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
        );
        Self::text(status, "text/html; charset=UTF-8", &body)
    }

    /// `{"status":"success","<key>":[rows]}` from finished rows.
    pub(super) fn rows<'a>(head: &str, key: &str, rows: impl Iterator<Item = &'a str>) -> Self {
        let mut body = format!("{{{head},\"{key}\":[");
        for (index, row) in rows.enumerate() {
            if index > 0 {
                body.push(',');
            }
            body.push_str(row);
        }
        body.push_str("]}");
        Self::json(200, body)
    }

    /// Cuts the body in the middle of a row.
    pub(super) fn truncate(&mut self) {
        let half = self.body.len() / 2;
        let end = (0..=half).rev().find(|at| self.body.is_char_boundary(*at)).unwrap_or(0);
        self.body.truncate(end);
    }

    /// The answer as HTTP.
    pub(super) fn into_response(self, gzip: bool) -> Response<Body> {
        if self.hang_up {
            // An error in place of the first chunk overtakes the headers.
            let nothing = stream::once(async { Err::<Bytes, _>(std::io::Error::other("hang up")) });
            return Response::new(Body::from_stream(nothing));
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut bytes = self.body.into_bytes();
        if gzip {
            bytes = gzip_stored(&bytes);
        }
        let body = if self.cut { broken(bytes) } else { Body::from(bytes) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// A body whose connection breaks after half of it.
///
/// The pause lets the first half leave: without it the error overtakes the headers.
fn broken(mut bytes: Vec<u8>) -> Body {
    bytes.truncate(bytes.len() / 2);
    let first = stream::once(async { Ok(Bytes::from(bytes)) });
    let cut = stream::once(async {
        tokio::time::sleep(CUT_PAUSE).await;
        Err(std::io::Error::other("connection cut"))
    });
    Body::from_stream(first.chain(cut))
}

const CUT_PAUSE: Duration = Duration::from_millis(20);

/// A gzip file of stored blocks: right for every reader, smaller for none.
///
/// The simulator only has to show that the client unpacks; it needs no compressor for that.
fn gzip_stored(bytes: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut file = Vec::with_capacity(bytes.len() + bytes.len() / 8192 + 32);
    file.extend(HEADER);
    let mut chunks = bytes.chunks(usize::from(u16::MAX)).peekable();
    if chunks.peek().is_none() {
        file.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        file.push(u8::from(chunks.peek().is_none()));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(chunk);
    }
    file.extend(crc32(bytes).to_le_bytes());
    // The length is kept modulo 2^32 by definition.
    let length = (bytes.len() & 0xffff_ffff) as u32;
    file.extend(length.to_le_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

/// A list of objects as an answer's rows.
pub(super) fn object_rows<'a>(
    rows: impl IntoIterator<Item = &'a serde_json::Map<String, Value>>,
) -> Vec<Value> {
    rows.into_iter().cloned().map(Value::Object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn truncation_keeps_characters_whole() {
        let mut answer = Answer::text(200, "text/plain", "ıııı");
        answer.truncate();
        assert_eq!(answer.body, "ıı");
    }
}
