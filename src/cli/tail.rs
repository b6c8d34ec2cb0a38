//! `tail`: decoded events of a topic as JSON lines.

use std::str::FromStr;

use chrono::{DateTime, Utc};

/// Arguments of `tail`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic, with or without its prefix.
    pub topic: String,
    /// Where to begin: `beginning`, `end`, or a time such as `2026-01-31T08:00:00Z`.
    #[arg(long, default_value = "end")]
    pub from: From,
    /// Only events of this connection.
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// Only events of this account, terminal or institution.
    #[arg(long, value_name = "ID")]
    pub entity: Option<String>,
    /// End after this many events.
    #[arg(long, visible_alias = "max", value_name = "N")]
    pub limit: Option<u64>,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest event there is.
    Beginning,
    /// With the next one.
    End,
    /// With the first one at or after an instant.
    Time(DateTime<Utc>),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self::Beginning),
            "end" => Ok(Self::End),
            time => DateTime::parse_from_rfc3339(time)
                .map(|time| Self::Time(time.to_utc()))
                .map_err(|_| "write beginning, end or a time such as 2026-01-31T08:00:00Z".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_begins_at_an_end_or_a_time() {
        assert_eq!("end".parse(), Ok(From::End));
        let time = "2026-01-31T08:00:00+03:00".parse::<From>().unwrap();
        assert_eq!(time, From::Time(DateTime::from_timestamp(1_769_835_600, 0).unwrap()));
        assert!("yesterday".parse::<From>().is_err());
    }
}
