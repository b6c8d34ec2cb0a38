//! Instants, days and the local time of the source systems (Europe/Istanbul).

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{Europe::Istanbul, Tz};
use serde::{Deserialize, Serialize};

/// The zone in which the source systems write times without an offset.
pub const SOURCE_ZONE: Tz = Istanbul;

/// Milliseconds since 1970-01-01T00:00:00Z (Avro `timestamp-millis`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From chrono's instant.
    pub fn from_utc(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_millis())
    }

    /// RFC 3339 in UTC with milliseconds.
    pub fn to_rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_millis(self.0)
            .map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
            .unwrap_or_else(|| format!("{}ms", self.0))
    }

    /// Seconds since 1970, as metrics count.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of our age fit exactly")]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The instant after a wait.
    pub fn after(self, wait: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The day in the source's zone.
    pub fn local_day(self) -> Day {
        DateTime::<Utc>::from_timestamp_millis(self.0)
            .map(|t| Day::from_date(t.with_timezone(&SOURCE_ZONE).date_naive()))
            .unwrap_or(Day(0))
    }
}

/// Days since 1970-01-01 (Avro `date`), in the source's zone where it comes from a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    const CHRONO_EPOCH: i32 = 719_163;

    /// From a calendar date.
    pub fn from_date(date: NaiveDate) -> Self {
        Self(date.num_days_from_ce() - Self::CHRONO_EPOCH)
    }

    /// The calendar date.
    pub fn to_date(self) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(self.0.saturating_add(Self::CHRONO_EPOCH))
            .unwrap_or_default()
    }

    /// The day that many days later (earlier when negative).
    pub const fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Its first instant in the source's zone.
    pub fn start(self) -> Timestamp {
        match resolve_local(self.to_date().and_time(NaiveTime::MIN)) {
            LocalTime::Exact(t) | LocalTime::Ambiguous(t) | LocalTime::Shifted(t) => t,
        }
    }
}

/// A local time put on the UTC line, and whether the zone made that a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalTime {
    /// The usual case.
    Exact(Timestamp),
    /// The autumn overlap: the earlier of the two instants.
    Ambiguous(Timestamp),
    /// The spring gap: shifted forward by the gap.
    Shifted(Timestamp),
}

/// Puts a local time of the source's zone on the UTC line with tzdata (DST existed until 2016).
pub fn resolve_local(local: NaiveDateTime) -> LocalTime {
    match SOURCE_ZONE.from_local_datetime(&local) {
        chrono::LocalResult::Single(t) => LocalTime::Exact(Timestamp(t.timestamp_millis())),
        chrono::LocalResult::Ambiguous(early, _) => {
            LocalTime::Ambiguous(Timestamp(early.timestamp_millis()))
        }
        chrono::LocalResult::None => {
            // Shifting by the gap means reading the time with the offset from before it.
            let before = local - TimeDelta::hours(3);
            let offset = SOURCE_ZONE
                .from_local_datetime(&before)
                .earliest()
                .map_or(0, |t| i64::from(chrono::Offset::fix(t.offset()).local_minus_utc()));
            LocalTime::Shifted(Timestamp((local.and_utc().timestamp() - offset) * 1000))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Summer time began and ended in the night, some years at midnight.
    #[test]
    fn every_day_begins_where_the_one_before_ends() {
        let from = Day::from_date(NaiveDate::from_ymd_opt(1950, 1, 1).unwrap_or_default());
        let to = Day::from_date(NaiveDate::from_ymd_opt(2035, 1, 1).unwrap_or_default());
        for day in (from.0..to.0).map(Day) {
            let start = day.start();
            assert_eq!(start.local_day(), day, "{}", day.to_date());
            assert_eq!(Timestamp(start.0 - 1).local_day(), day.plus(-1), "{}", day.to_date());
            let hours = (day.plus(1).start().0 - start.0) / 3_600_000;
            assert!((23..=25).contains(&hours), "{} has {hours} hours", day.to_date());
        }
    }

    #[test]
    fn the_last_edges_of_summer_time_are_as_the_law_had_them() {
        let local = |day: u32, month: u32, year: i32, hour: u32| {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default();
            resolve_local(date.and_hms_opt(hour, 30, 0).unwrap_or_default())
        };
        let utc = |at: &str| Timestamp::from_utc(at.parse().unwrap_or_default());
        for (found, expected) in [
            (local(8, 11, 2015, 2), LocalTime::Exact(utc("2015-11-07T23:30:00Z"))),
            (local(8, 11, 2015, 3), LocalTime::Ambiguous(utc("2015-11-08T00:30:00Z"))),
            (local(8, 11, 2015, 4), LocalTime::Exact(utc("2015-11-08T02:30:00Z"))),
            (local(27, 3, 2016, 2), LocalTime::Exact(utc("2016-03-27T00:30:00Z"))),
            (local(27, 3, 2016, 3), LocalTime::Shifted(utc("2016-03-27T01:30:00Z"))),
            (local(27, 3, 2016, 4), LocalTime::Exact(utc("2016-03-27T01:30:00Z"))),
            // There has been none since.
            (local(30, 10, 2016, 3), LocalTime::Exact(utc("2016-10-30T00:30:00Z"))),
        ] {
            assert_eq!(found, expected);
        }
    }
}
