//! Durations as people write them: `2s`, `5m`, `1h 30m`, `30d`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// No number with a unit.
    #[error("not a duration; write 2s, 5m, 1h or 30d")]
    NoDuration,
    /// A unit that the configuration does not have, `M` for months among them.
    #[error(
        "not a unit of time; write ms, s (or sec), m (or min), h, d (24 hours) or w (7 days), such as 90m or 30d"
    )]
    OtherUnit,
    /// More seconds than a number holds.
    #[error("too long, no clock counts that far; write 2s, 5m, 1h or 30d")]
    TooLong,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The units of the schema's pattern.
const UNITS: [&str; 21] = [
    "ms", "msec", "s", "sec", "second", "seconds", "m", "min", "minute", "minutes", "h", "hr",
    "hour", "hours", "d", "day", "days", "w", "week", "weeks", "millis",
];

impl Span {
    /// That many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// That many minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(60 * minutes)
    }

    /// That many hours.
    pub const fn hours(hours: u64) -> Self {
        Self::minutes(60 * hours)
    }

    /// That many days.
    pub const fn days(days: u64) -> Self {
        Self::hours(24 * days)
    }

    /// Reads `5m`; a bare number says nothing about its unit and is refused.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, Unread> {
        check_units(text)?;
        humantime::parse_duration(text.trim()).map(Self).map_err(|error| match error {
            humantime::DurationError::NumberOverflow => Unread::TooLong,
            _ => Unread::NoDuration,
        })
    }

    /// The number of whole days, where the duration is nothing else; `u64` holds those of every
    /// duration.
    pub fn whole_days(self) -> Option<u64> {
        let day = DAY / SECOND;
        let seconds = self.0.as_secs();
        let whole = self.0.subsec_nanos() == 0 && seconds.is_multiple_of(day);
        whole.then_some(seconds / day)
    }
}

/// Whole numbers with a unit each, as the schema has them: what reads them knows months (`M`), years
/// and fractions too, and takes `1 30m` for 130.
fn check_units(text: &str) -> Result<(), Unread> {
    let mut rest = text.trim();
    // Nothing is nothing in every unit.
    if rest == "0" {
        return Ok(());
    }
    while !rest.is_empty() {
        let behind_digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let from_unit = behind_digits.trim_start();
        let behind = from_unit.trim_start_matches(char::is_alphabetic);
        let unit = from_unit.strip_suffix(behind).unwrap_or_default();
        if behind_digits.len() == rest.len() || unit.is_empty() {
            return Err(Unread::NoDuration);
        }
        if !UNITS.contains(&unit) {
            return Err(Unread::OtherUnit);
        }
        rest = behind.trim_start();
    }
    Ok(())
}

impl fmt::Display for Span {
    /// The largest unit that says it exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
        match units.iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", millis / unit),
            None if millis == 0 => f.write_str("0s"),
            None => write!(f, "{millis}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!(r"^\s*(0\s*|(\d+\s*({})\s*)+)$", UNITS.join("|")),
            "examples": ["2s", "5m", "30d"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written_back_in_the_largest_that_fits() {
        let cases = [("2s", "2s"), ("300s", "5m"), ("90m", "90m"), ("24h", "1d"), ("30d", "30d")];
        for (text, shown) in cases {
            assert_eq!(Span::parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(Span::parse("1500ms").unwrap().to_string(), "1500ms");
        assert_eq!(Span::parse("1h 30m"), Ok(Span::minutes(90)));
        assert_eq!(Span::seconds(0).to_string(), "0s");
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["60", "", "five minutes", "-5m", "1 30m", "1.5h", "5m,", "5"] {
            assert_eq!(Span::parse(text), Err(Unread::NoDuration), "{text:?}");
        }
    }

    #[test]
    fn the_units_are_those_of_the_schema_and_no_others() {
        for unit in UNITS {
            assert!(Span::parse(&format!("2{unit}")).is_ok(), "{unit}");
        }
        assert_eq!(Span::parse("2w 1d"), Ok(Span::days(15)));
        assert_eq!(
            (Span::parse("0"), Span::parse("2 days")),
            (Ok(Span::seconds(0)), Ok(Span::days(2)))
        );
        for text in ["1M", "1 month", "2y", "1year", "5 parsecs", "3us", "7ns", "1h 1M"] {
            assert_eq!(Span::parse(text), Err(Unread::OtherUnit), "{text:?}");
        }
    }

    #[test]
    fn more_than_a_number_holds_is_too_long() {
        for text in ["999999999999999999999d", "9999999999999999999d"] {
            assert_eq!(Span::parse(text), Err(Unread::TooLong), "{text:?}");
        }
    }

    #[test]
    fn whole_days_are_whole() {
        assert_eq!(Span::parse("14d").unwrap().whole_days(), Some(14));
        assert_eq!(Span::parse("36h").unwrap().whole_days(), None);
        assert_eq!(Span::seconds(0).whole_days(), Some(0));
        assert_eq!(Span::parse("99999999999d").unwrap().whole_days(), Some(99_999_999_999));
    }
}
