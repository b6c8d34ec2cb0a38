//! The answer to a token request. Pure.

use std::time::Duration;

use secrecy::SecretString;

use crate::api::envelope::{Fields, parse_body, parse_fields};

/// Taken off the end of a token's life: a call that starts with it should also end with it.
const MARGIN: Duration = Duration::from_secs(60);
/// Where nothing tells how long a token lives.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(23 * 3600);
/// A token is used at least that long, even if clocks disagree; a 401 ends it anyway.
const LIFETIME_MIN: Duration = Duration::from_secs(60);
/// And at most that long: instants far in the future do not exist everywhere.
const LIFETIME_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

/// Under which names a token may stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenShape {
    pub(super) names: &'static [&'static str],
}

impl TokenShape {
    /// The token and how long to use it; the error says what is missing and quotes nothing.
    pub(super) fn read(
        self,
        body: &str,
        now_epoch: i64,
    ) -> Result<(SecretString, Duration), String> {
        let root = parse_body(body).map_err(|_| "the token answer is not JSON".to_owned())?;
        let fields = parse_fields(root.get()).ok_or("the token answer is no object")?;
        let nested = fields.get("data").and_then(|data| parse_fields(data.get()));
        let holders = [Some(&fields), nested.as_ref()];
        let (holder, token) = holders
            .into_iter()
            .flatten()
            .find_map(|holder| self.token_in(holder).map(|token| (holder, token)))
            .ok_or_else(|| format!("no {} in the token answer", self.names.join(" or ")))?;
        let lifetime = expires_in(holder)
            .or_else(|| jwt_expiry(&token).map(|exp| exp.saturating_sub(now_epoch)))
            .map_or(LIFETIME_DEFAULT, |seconds| {
                let seconds = u64::try_from(seconds).unwrap_or(0);
                Duration::from_secs(seconds).saturating_sub(MARGIN)
            })
            .clamp(LIFETIME_MIN, LIFETIME_MAX);
        Ok((SecretString::from(token), lifetime))
    }

    fn token_in(self, fields: &Fields<'_>) -> Option<String> {
        self.names.iter().find_map(|name| {
            // A token with blanks or control characters could not stand in a header.
            fields.text(name).filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic()))
        })
    }
}

fn expires_in(fields: &Fields<'_>) -> Option<i64> {
    fields.text("expires_in").and_then(|text| text.trim().parse().ok()).filter(|s: &i64| *s > 0)
}

/// `exp` of a JWT whose payload can be read; the other two parts do not matter.
fn jwt_expiry(token: &str) -> Option<i64> {
    let mut parts = token.split('.');
    let payload = parts.nth(1)?;
    parts.next()?;
    let json = String::from_utf8(decode_base64url(payload)?).ok()?;
    let exp = parse_fields(json.trim())?.text("exp")?;
    // Some issuers write a fraction.
    exp.split('.').next()?.parse().ok()
}

fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const BANK: TokenShape = TokenShape { names: &["token", "access_token"] };
    const VPOS: TokenShape = TokenShape { names: &["access_token", "token"] };

    fn read(shape: TokenShape, body: &str, now: i64) -> (String, u64) {
        let (token, lifetime) = shape.read(body, now).unwrap();
        (token.expose_secret().to_owned(), lifetime.as_secs())
    }

    #[test]
    fn an_undecodable_token_is_used_for_23_hours() {
        let body = r#"{"status":"200","token":"x.y"}"#;
        assert_eq!(read(BANK, body, 0), ("x.y".to_owned(), 23 * 3600));
    }

    #[test]
    fn a_decodable_token_is_used_until_a_minute_before_its_end() {
        // {"aud":"7","exp":1000600}, between a header that is no base64 and any signature
        let body = r#"{"status":"success","token":"%%%.eyJhdWQiOiI3IiwiZXhwIjoxMDAwNjAwfQ.s"}"#;
        assert_eq!(read(BANK, body, 1_000_000).1, 540);
        assert_eq!(read(BANK, body, 1_000_590).1, 60);
        assert_eq!(read(BANK, body, 9_000_000).1, 60);
    }

    #[test]
    fn expires_in_counts_first() {
        let body = r#"{"access_token":"t","token_type":"Bearer","expires_in":"3600"}"#;
        assert_eq!(read(VPOS, body, 0), ("t".to_owned(), 3540));
    }

    #[test]
    fn both_names_and_one_more_layer_are_read() {
        assert_eq!(read(VPOS, r#"{"success":true,"token":"b"}"#, 0).0, "b");
        assert_eq!(read(VPOS, r#"{"token":"b","access_token":"a"}"#, 0).0, "a");
        assert_eq!(read(VPOS, r#"{"success":true,"data":{"access_token":"a"}}"#, 0).0, "a");
    }

    #[test]
    fn answers_without_a_usable_token_are_refused_without_quoting_them() {
        for body in
            [r#"{"status":"canary"}"#, r#"{"token":"can ary"}"#, r#"{"token":null}"#, "[]", "<"]
        {
            let problem = BANK.read(body, 0).unwrap_err();
            assert!(!problem.contains("can"), "{problem}");
        }
    }
}
