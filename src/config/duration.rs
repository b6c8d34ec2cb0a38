//! Durations as people write them: `2s`, `5m`, `1h 30m`, `30d`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

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
    pub fn parse(text: &str) -> Option<Self> {
        humantime::parse_duration(text.trim()).ok().map(Self)
    }

    /// The number of whole days, where the duration is nothing else.
    pub fn whole_days(self) -> Option<u32> {
        let day = DAY / SECOND;
        let seconds = self.0.as_secs();
        let whole = self.0.subsec_nanos() == 0 && seconds.is_multiple_of(day);
        if whole { u32::try_from(seconds / day).ok() } else { None }
    }
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
        let refused = || de::Error::custom("not a duration; write 2s, 5m, 1h or 30d");
        Self::parse(&text).ok_or_else(refused)
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
            "pattern": r"^\s*(\d+\s*(ms|s|sec|m|min|h|d|w)\s*)+$",
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
        assert_eq!(Span::parse("1h 30m"), Some(Span::minutes(90)));
        assert_eq!(Span::seconds(0).to_string(), "0s");
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["60", "", "five minutes", "-5m", "5 parsecs"] {
            assert_eq!(Span::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn whole_days_are_whole() {
        assert_eq!(Span::parse("14d").unwrap().whole_days(), Some(14));
        assert_eq!(Span::parse("36h").unwrap().whole_days(), None);
        assert_eq!(Span::seconds(0).whole_days(), Some(0));
    }
}
