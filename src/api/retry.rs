//! How long to wait before a call is made again. Pure, but for the one source of jitter.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::error::Error;

/// Times one call is tried.
const TRIES_MAX: u32 = 4;
/// From the first failure of a call until its last repetition starts.
const RETRY_WITHIN: Duration = Duration::from_secs(60);
/// A call that would have to wait longer than this for the API fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Where the API does not say how long.
const WAIT_DEFAULT: Duration = Duration::from_secs(60);
/// Whatever `Retry-After` says, the API is asked again after that long: limits count by the day at
/// most, and a date that is a year ahead is a slip of somebody's clock.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// The same for `X-RateLimit-Reset`, which nobody has documented: milliseconds, or a local time, must
/// not cost a day.
const RESET_MAX: Duration = Duration::from_secs(3600);
/// Up to here `X-RateLimit-Reset` is what is left, above it an instant.
const RESET_LEFT_MAX: u64 = 3600;
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The headers that tell about waiting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct WaitHeaders {
    /// `Retry-After`: seconds or an HTTP date.
    pub(crate) retry_after: Option<String>,
    /// `X-RateLimit-Reset`: seconds since 1970.
    pub(crate) reset: Option<String>,
}

impl WaitHeaders {
    /// What the API asked for by `Retry-After`, if it is readable.
    pub(crate) fn asked(&self, now: DateTime<Utc>) -> Option<Duration> {
        let told = self.retry_after.as_deref().and_then(|text| parse_retry_after(text, now));
        told.map(|wait| wait.min(WAIT_MAX))
    }

    /// The wait after a 429: as asked, else until its window ends, else a minute. `X-RateLimit-*`
    /// windows are minutes; at any other status they say nothing about when to come again.
    pub(crate) fn after_429(&self, now: DateTime<Utc>) -> Duration {
        let reset = || self.reset.as_deref().and_then(|text| parse_reset(text, now));
        let wait = self.asked(now).or_else(|| reset().map(|wait| wait.min(RESET_MAX)));
        wait.unwrap_or(WAIT_DEFAULT).max(Duration::from_secs(1))
    }
}

fn parse_retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = http_date(text)?;
    Some((date - now).to_std().unwrap_or(Duration::ZERO))
}

/// A date of HTTP in each of its three forms (RFC 9110, 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let old = || {
        ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|date| date.and_utc())
    };
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc)).or_else(old)
}

/// Some limiters put the seconds that are left where others put the instant.
fn parse_reset(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    if seconds <= RESET_LEFT_MAX {
        return Some(Duration::from_secs(seconds));
    }
    let now = u64::try_from(now.timestamp()).ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(now)))
}

/// The back-off before try number `tries + 1`, half of it fixed and half random.
fn backoff(tries: u32, random: f64) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(10));
    doubled.min(BACKOFF_MAX).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// How long to sleep before the call is made again within itself; none means give up. A 429 waits
/// in the quota, not here.
pub(crate) fn wait_before_retry(
    error: &Error,
    tries: u32,
    since_first_failure: Duration,
    random: f64,
) -> Option<Duration> {
    retry_reason(error)?;
    if tries >= TRIES_MAX {
        return None;
    }
    if matches!(error, Error::RateLimited { .. }) {
        return Some(Duration::ZERO);
    }
    let wait = backoff(tries, random);
    (since_first_failure + wait < RETRY_WITHIN).then_some(wait)
}

/// Up to a tenth on top, and at least some: callers that were stopped together part ways.
pub(crate) fn with_jitter(wait: Duration, random: f64) -> Duration {
    wait + wait.max(Duration::from_secs(10)).mul_f64(random.clamp(0.0, 1.0) / 10.0)
}

/// A number in 0..1 from the system's randomness.
pub(crate) fn random() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(bits) / f64::from(u32::MAX)
}

/// Every reason for which a call is made again.
pub(crate) const REASONS: [&str; 7] =
    ["unauthorized", "connect", "timeout", "broken", "server_error", "bad_body", "rate_limited"];

/// Why a call is made again within itself, or that it is not.
pub(crate) fn retry_reason(error: &Error) -> Option<&'static str> {
    match error {
        Error::Connect { .. } => Some("connect"),
        Error::Timeout { .. } => Some("timeout"),
        Error::Broken { .. } => Some("broken"),
        Error::Server { .. } => Some("server_error"),
        Error::NotJson { .. } => Some("bad_body"),
        Error::RateLimited { .. } => Some("rate_limited"),
        Error::NotConfigured { .. }
        | Error::Setup { .. }
        | Error::Secret { .. }
        | Error::Unauthorized { .. }
        | Error::TokenRefused { .. }
        | Error::Forbidden { .. }
        | Error::IpRefused { .. }
        | Error::Redirected { .. }
        | Error::LockedOut { .. }
        | Error::KeyLocked { .. }
        | Error::RefusalsNotKept { .. }
        | Error::DatesRequired { .. }
        | Error::Rejected { .. }
        | Error::NotFound { .. }
        | Error::Protocol { .. }
        | Error::TooLarge { .. }
        | Error::Interrupted { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2015, 10, 21, 7, 28, 0).unwrap()
    }

    fn headers(retry_after: Option<&str>, reset: Option<&str>) -> WaitHeaders {
        WaitHeaders { retry_after: retry_after.map(str::to_owned), reset: reset.map(str::to_owned) }
    }

    #[test]
    fn the_api_is_believed_in_every_form() {
        let wait = |retry_after, reset| headers(retry_after, reset).after_429(now()).as_secs();
        assert_eq!(wait(Some("7"), None), 7);
        assert_eq!(wait(Some("Wed, 21 Oct 2015 07:28:30 GMT"), None), 30);
        assert_eq!(wait(Some("Wed, 21 Oct 2015 07:27:00 GMT"), None), 1);
        assert_eq!(wait(Some("Wednesday, 21-Oct-15 07:28:30 GMT"), None), 30);
        assert_eq!(wait(Some("Wed Oct 21 07:28:30 2015"), None), 30);
        assert_eq!(wait(None, Some("1445412522")), 42);
        assert_eq!(wait(None, Some("12")), 12);
        assert_eq!(wait(Some("soon"), Some("never")), 60);
        assert_eq!(wait(None, None), 60);
        assert_eq!(wait(Some("14400"), None), 14_400, "hours are heeded");
        assert_eq!(wait(Some("99999999"), None), 24 * 3600);
        assert_eq!(wait(Some("Thu, 22 Oct 2015 06:28:00 GMT"), None), 23 * 3600);
        assert_eq!(wait(None, Some("1445400000000")), 3600, "milliseconds");
        assert_eq!(headers(None, Some("30")).asked(now()), None);
    }

    #[test]
    fn backoff_grows_and_is_capped() {
        assert_eq!(backoff(1, 1.0), Duration::from_millis(500));
        assert_eq!(backoff(1, 0.0), Duration::from_millis(250));
        assert_eq!(backoff(3, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(99, 1.0), Duration::from_secs(60));
    }

    #[test]
    fn jitter_only_adds() {
        let minute = Duration::from_secs(60);
        assert_eq!(with_jitter(minute, 0.0), minute);
        assert_eq!(with_jitter(minute, 1.0), Duration::from_secs(66));
        assert_eq!(with_jitter(Duration::from_secs(1), 1.0), Duration::from_secs(2));
        assert!((0.0..=1.0).contains(&random()));
    }
}
