//! Dates and times by fixed positions, without format strings.

use chrono::DateTime;

use crate::domain::{
    time::{Day, LocalTime, Timestamp, resolve_local},
    warnings::{Warning, Warnings},
};

/// Since this day the source's zone has one offset; a test holds that against tzdata.
const FIXED_OFFSET_SINCE: Day = Day(17_106); // 2016-11-01
const FIXED_OFFSET_MS: i64 = 3 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// A local day and, where the text has one, its time in milliseconds and its own offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parsed {
    day: Day,
    time_ms: i64,
    offset_minutes: Option<i64>,
}

/// A `YYYY-MM-DD HH:MM:SS` (or `T`, a fraction, an offset) of the source's zone, in UTC.
///
/// What cannot be read is nothing with INVALID_TIME: no text is guessed at.
pub(super) fn timestamp(text: &str, warnings: &mut Warnings) -> Option<Timestamp> {
    let Some(parsed) = iso(text.trim()) else {
        warnings.insert(Warning::InvalidTime);
        return None;
    };
    Some(parsed.to_utc(warnings))
}

/// A day and a clock time `HH.MM.SS` of the source's zone, in UTC.
pub(super) fn combine(day: &str, time: &str, warnings: &mut Warnings) -> Option<Timestamp> {
    let parsed = date(day.trim()).zip(clock(time.trim().as_bytes()));
    let Some((day, time_ms)) = parsed else {
        warnings.insert(Warning::InvalidTime);
        return None;
    };
    Some(Parsed { day, time_ms, offset_minutes: None }.to_utc(warnings))
}

/// `YYYY-MM-DD` or day-first `DD.MM.YYYY`, with or without a time behind it.
pub(super) fn day(text: &str, warnings: &mut Warnings) -> Option<Day> {
    let day = date(text.trim());
    if day.is_none() {
        warnings.insert(Warning::InvalidTime);
    }
    day
}

/// The local day of a text that [`timestamp`] reads.
pub(super) fn local_day(text: &str) -> Option<Day> {
    iso(text.trim()).map(|parsed| match parsed.offset_minutes {
        None => parsed.day,
        Some(_) => parsed.to_utc(&mut Warnings::NONE.clone()).local_day(),
    })
}

impl Parsed {
    fn to_utc(self, warnings: &mut Warnings) -> Timestamp {
        let local_ms = i64::from(self.day.0) * DAY_MS + self.time_ms;
        if let Some(minutes) = self.offset_minutes {
            return Timestamp(local_ms - minutes * 60_000);
        }
        if self.day >= FIXED_OFFSET_SINCE {
            return Timestamp(local_ms - FIXED_OFFSET_MS);
        }
        let Some(local) = DateTime::from_timestamp_millis(local_ms) else {
            return Timestamp(local_ms - FIXED_OFFSET_MS);
        };
        match resolve_local(local.naive_utc()) {
            LocalTime::Exact(at) => at,
            LocalTime::Ambiguous(at) => {
                warnings.insert(Warning::AmbiguousTime);
                at
            }
            LocalTime::Shifted(at) => {
                warnings.insert(Warning::NonexistentTime);
                at
            }
        }
    }
}

fn date(text: &str) -> Option<Day> {
    let bytes = text.as_bytes();
    let (head, rest) = bytes.split_at_checked(10)?;
    if head[4] == b'-' {
        return match rest {
            [] => ymd(head),
            _ => local_day(text),
        };
    }
    if head[2] != head[5] || !matches!(head[2], b'.' | b'-') {
        return None;
    }
    if let [b' ', time @ ..] = rest {
        clock(time)?;
    } else if !rest.is_empty() {
        return None;
    }
    calendar(number(&head[6..10])?, number(&head[3..5])?, number(&head[..2])?)
}

fn iso(text: &str) -> Option<Parsed> {
    let bytes = text.as_bytes();
    let (head, rest) = bytes.split_at_checked(19)?;
    if !matches!(head[10], b' ' | b'T') || head[13] != b':' {
        return None;
    }
    let day = ymd(&head[..10])?;
    let time_ms = clock(&head[11..])?;
    let (fraction_ms, zone) = fraction(rest)?;
    Some(Parsed { day, time_ms: time_ms + fraction_ms, offset_minutes: offset(zone)? })
}

fn ymd(bytes: &[u8]) -> Option<Day> {
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    calendar(number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..10])?)
}

/// `HH:MM:SS` or `HH.MM.SS`, in milliseconds.
fn clock(bytes: &[u8]) -> Option<i64> {
    let [h1, h2, first, m1, m2, second, s1, s2] = *bytes else { return None };
    if first != second || !matches!(first, b':' | b'.') {
        return None;
    }
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(i64::from((hour * 60 + minute) * 60 + second) * 1000)
}

/// Milliseconds of `.ffffff` (cut, not rounded), and what stands behind.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 || count > 9 {
        return None;
    }
    let (digits, rest) = digits.split_at(count);
    let millis = (0..3)
        .fold(0, |sum, i| sum * 10 + digits.get(i).map_or(0, |digit| i64::from(digit - b'0')));
    Some((millis, rest))
}

/// Minutes of `Z`, `+HH:MM`, `+HHMM` or `+HH`; an inner nothing where the text has no offset.
fn offset(bytes: &[u8]) -> Option<Option<i64>> {
    match bytes {
        [] => Some(None),
        [b'Z'] => Some(Some(0)),
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let minutes = match rest {
                [] => 0,
                [b':', m1, m2] | [m1, m2] => number(&[*m1, *m2])?,
                _ => return None,
            };
            let hours = number(&[*h1, *h2])?;
            if hours > 14 || minutes > 59 {
                return None;
            }
            let total = i64::from(hours * 60 + minutes);
            Some(Some(if *sign == b'-' { -total } else { total }))
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
    })
}

/// The day number of a real calendar date; years before 1900 are somebody's empty value.
fn calendar(year: u32, month: u32, day: u32) -> Option<Day> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if year < 1900 || day == 0 || day > days_in_month {
        return None;
    }
    // Years that begin in March put the leap day last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let days = 365 * y + y / 4 - y / 100 + y / 400 + day_of_year;
    Some(Day(i32::try_from(days).ok()? - 719_468))
}
