//! Collects what is wrong, with the place of each key.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    config::{
        duration::Span,
        error::Problem,
        properties::Property,
        tree::{Node, Step},
    },
    domain::money::Money,
};

/// The smallest unit of a cap, as [`Money::unscaled`] counts: a hundredth.
const CENT: i128 = 10_i128.pow(Money::SCALE - 2);

/// What was found so far.
#[derive(Debug)]
pub(crate) struct Review<'a> {
    file: &'a str,
    root: &'a Node,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<String>,
    pub(crate) properties: Vec<Property>,
}

impl<'a> Review<'a> {
    pub(crate) fn new(file: &'a str, root: &'a Node) -> Self {
        let (problems, warnings, properties) = (Vec::new(), Vec::new(), Vec::new());
        Self { file, root, problems, warnings, properties }
    }

    pub(crate) fn refuse(&mut self, path: &[Step<'_>], message: impl Into<String>) {
        let problem = self.problem(path, message.into());
        self.problems.push(problem);
    }

    pub(crate) fn warn(&mut self, path: &[Step<'_>], message: impl Into<String>) {
        let warning = self.problem(path, message.into()).to_string();
        self.warnings.push(warning);
    }

    /// Keeps a setting of librdkafka for whoever knows them; no value is one that a file holds.
    pub(crate) fn keep(&mut self, path: &[Step<'_>], name: &str, value: Option<&str>) {
        let place = self.problem(path, String::new());
        let (name, value) = (name.to_owned(), value.map(str::to_owned));
        self.properties.push(Property { name, value, place });
    }

    fn problem(&self, path: &[Step<'_>], message: String) -> Problem {
        let at = &self.root.nearest(path).at;
        Problem::new(self.file, Some(at), &dotted(path), message)
    }

    /// A name that becomes part of topics, groups or transactional ids.
    pub(crate) fn name(&mut self, path: &[Step<'_>], text: &str, length_max: usize) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > length_max || !text.chars().all(allowed) {
            self.refuse(path, format!("write 1 to {length_max} characters of A-Z a-z 0-9 . _ -"));
        }
    }

    /// A base URL without its trailing slash.
    pub(crate) fn url(&mut self, path: &[Step<'_>], text: &str) -> String {
        let text = text.trim();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
        match authority {
            None => self.refuse(path, "not an http(s) URL; write https://host/path"),
            Some("") => self.refuse(path, "the URL has no host; write https://host/path"),
            Some(authority) if authority.contains('@') => {
                self.refuse(path, "credentials stand in the URL; remove them");
            }
            Some(_) if text.contains(['?', '#']) || text.contains(char::is_whitespace) => {
                self.refuse(path, "write a URL without ?, # and spaces");
            }
            Some(_) => {}
        }
        text.trim_end_matches('/').to_owned()
    }

    /// A URL that credentials or rows travel to.
    pub(crate) fn api_url(&mut self, path: &[Step<'_>], text: &str) -> String {
        let url = self.url(path, text);
        if url.starts_with("http://") {
            self.warn(path, "plain http: credentials and rows travel readable, use https");
        }
        url
    }

    pub(crate) fn above_zero(&mut self, path: &[Step<'_>], span: Span) -> std::time::Duration {
        if span.0.is_zero() {
            self.refuse(path, "must be above zero");
        }
        span.0
    }

    pub(crate) fn days(&mut self, path: &[Step<'_>], span: Span, min: u32, max: u32) -> u32 {
        match span.whole_days().map(u32::try_from) {
            Some(Ok(days)) if (min..=max).contains(&days) => days,
            Some(Ok(days)) if days < min => {
                self.refuse(path, format!("too short; write {min}d to {max}d"));
                min
            }
            Some(_) => {
                self.refuse(
                    path,
                    format!("too long, {max}d is the longest; write {min}d to {max}d"),
                );
                min
            }
            None => {
                self.refuse(path, "days are the smallest unit here; write 7d");
                min
            }
        }
    }

    pub(crate) fn at_least_one(&mut self, path: &[Step<'_>], number: u32) -> u32 {
        if number == 0 {
            self.refuse(path, "must be 1 or more");
        }
        number
    }

    pub(crate) fn amount(&mut self, path: &[Step<'_>], text: &str) -> Option<Money> {
        match Money::parse(text.trim()) {
            // No refund has such an amount, so a cap that has is a slip of the pen.
            Ok(amount) if amount.unscaled() % CENT != 0 => {
                self.refuse(path, "more than two digits after the point; write \"1000.00\"");
            }
            Ok(amount) if amount > Money::ZERO => return Some(amount),
            Ok(_) => self.refuse(path, "must be above zero; null is no cap"),
            Err(error) => self.refuse(path, format!("{error}; write \"1000.00\"")),
        }
        None
    }

    pub(crate) fn address(&mut self, path: &[Step<'_>], text: &str) -> SocketAddr {
        let text = text.trim();
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        numeric.parse().unwrap_or_else(|_| {
            self.refuse(path, "not an address with a port; write 0.0.0.0:8080 or [::]:8080");
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }
}

/// Whether a URL names a listener of this machine: nothing that is sent there leaves it.
pub(super) fn is_on_this_machine(url: &str) -> bool {
    let authority = authority(url);
    let port = |rest: &str| rest.is_empty() || rest.starts_with(':');
    let is = |host: &str| authority.strip_prefix(host).is_some_and(port);
    let address = authority.split(':').next().and_then(|host| host.parse::<Ipv4Addr>().ok());
    is("localhost") || is("[::1]") || address.is_some_and(|address| address.is_loopback())
}

/// Host and port of a URL, as they are written.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

fn dotted(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_of_this_machine_are_known_by_their_names_and_addresses() {
        for url in [
            "http://localhost",
            "http://127.0.0.1:9700/api/v2",
            "https://127.9.9.9/",
            "http://[::1]:1",
        ] {
            assert!(is_on_this_machine(url), "{url}");
        }
        for url in
            ["http://localhost.example", "http://10.0.0.1:80", "http://[::2]", "http://h/localhost"]
        {
            assert!(!is_on_this_machine(url), "{url}");
        }
    }
}
