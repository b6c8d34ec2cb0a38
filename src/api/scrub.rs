//! Takes what could be a person, a card, an account or a secret out of a text of the API.

use std::net::IpAddr;

use crate::mapping::mask_cards;

/// Longer texts are cut: a message is a sentence, not a page.
const CHARS_MAX: usize = 200;
/// Runs of as many digits may be an account, a card, an identity or a phone number.
const DIGITS_MIN: usize = 6;
/// Unbroken words of that length are tokens and keys rather than words.
const WORD_CHARS_MAX: usize = 30;

/// The text without long numbers, long words, mail addresses and the `secrets`; IP addresses stay.
pub(crate) fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    let words: Vec<String> = text.split_whitespace().map(scrub_word).collect();
    // Cards first: groups that dots or slashes join are short numbers to the other search.
    let joined = scrub_digits(&mask_cards(&words.join(" ")));
    match joined.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", joined.get(..end).unwrap_or_default()),
        None => joined,
    }
}

/// A URL or path without query, each part of it scrubbed as if it stood alone.
pub(crate) fn scrub_location(location: &str, secrets: &[&str]) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    path.split('/').map(|part| scrub(part, secrets)).collect::<Vec<_>>().join("/")
}

fn scrub_word(word: &str) -> String {
    if word.contains('@') {
        return "***".to_owned();
    }
    if word.chars().count() > WORD_CHARS_MAX {
        // Beside an address there may be a token.
        return find_ip(word).map_or_else(|| "***".to_owned(), |ip| format!("***{ip}***"));
    }
    word.chars().filter(|c| !c.is_control()).collect()
}

/// Replaces runs of digits that count six or more, also where single blanks or dashes group them.
fn scrub_digits(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        if !c.is_ascii_digit() {
            out.push(c);
            at += 1;
            continue;
        }
        let (end, digits) = digit_run(&chars, at);
        if digits >= DIGITS_MIN {
            out.push_str("***");
        } else {
            out.extend(chars.iter().take(end).skip(at));
        }
        at = end;
    }
    out
}

/// Where the run that starts here ends, and how many digits it has. Stars count as the digits that
/// a mask hides: what is left of a card or an IBAN is still one.
fn digit_run(chars: &[char], start: usize) -> (usize, usize) {
    let (mut at, mut end, mut digits) = (start, start, 0);
    while let Some(&c) = chars.get(at) {
        let joins = matches!(c, ' ' | '-' | '\u{a0}') && at == end;
        if c.is_ascii_digit() || c == '*' {
            digits += 1;
            end = at + 1;
        } else if !joins {
            break;
        }
        at += 1;
    }
    (end, digits)
}

/// The last IP address in a text, such as the refused one at the end of an `ip_not_found` message.
pub(crate) fn find_ip(text: &str) -> Option<IpAddr> {
    text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':')))
        .filter_map(|part| {
            let trimmed = part.trim_matches(|c| c == '.');
            trimmed.parse().ok().or_else(|| trimmed.trim_matches(':').parse().ok())
        })
        .rfind(|ip: &IpAddr| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_go_and_addresses_stay() {
        assert_eq!(scrub("hesap 12345678 yok", &[]), "hesap *** yok");
        assert_eq!(scrub("card 5440 7812 3456 6021", &[]), "card ***");
        assert_eq!(scrub("card 544078******6021 x", &[]), "card *** x");
        // Made here, so that no whole card stands in the source.
        let dotted = ["4111", "1111", "1111", "1111"].join(".");
        assert_eq!(scrub(&format!("card {dotted} x"), &[]), "card 4111.11**.****.1111 x");
        assert_eq!(scrub("iban TR44 0020 3000 1", &[]), "iban TR***");
        assert_eq!(scrub("ip 203.0.113.7 port 8443", &[]), "ip 203.0.113.7 port 8443");
        assert_eq!(scrub("ip_not_found: 203.100.113.117", &[]), "ip_not_found: 203.100.113.117");
        assert_eq!(scrub("12345 fits", &[]), "12345 fits");
    }

    #[test]
    fn secrets_tokens_and_mail_addresses_go() {
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.e30.sig";
        let text = format!("bad key hush for a.b@example.com token {token}");
        assert_eq!(scrub(&text, &["hush"]), "bad key *** for *** token ***");
        let blocked = format!("blocked http://203.0.113.7/x?access_token={token}");
        assert_eq!(scrub(&blocked, &[]), "blocked ***203.0.113.7***");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = "ş ".repeat(400);
        assert_eq!(scrub(&text, &[]).chars().count(), CHARS_MAX + 1);
    }

    #[test]
    fn locations_lose_query_and_tokens_but_stay_readable() {
        let location = "https://host.example/login/eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9?x=hush";
        assert_eq!(scrub_location(location, &["hush"]), "https://host.example/login/***");
        assert_eq!(scrub_location("/a/12345678", &[]), "/a/***");
    }

    #[test]
    fn the_refused_address_is_found() {
        let found = |text| find_ip(text).map(|ip| ip.to_string());
        assert_eq!(
            found("ip_not_found: IP kayıtlı değil : 203.0.113.7"),
            Some("203.0.113.7".into())
        );
        assert_eq!(found("IP:203.0.113.7."), Some("203.0.113.7".into()));
        assert_eq!(found("refused 2001:db8::7"), Some("2001:db8::7".into()));
        assert_eq!(found("version 1.2 at 12:30"), None);
    }
}
