//! Words for people.

use std::fmt::Display;

/// A count with its noun: `1 event`, `2 events`.
pub fn counted(count: impl Display, noun: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_no_plural() {
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(
            (counted(0, "event"), counted(2, "event")),
            ("0 events".into(), "2 events".into())
        );
    }
}
