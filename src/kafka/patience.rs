//! How long a group's thread bears what may pass by itself. Pure: whoever asks brings the time.

use std::time::{Duration, Instant};

/// A login that is refused for so long is not a broker's restart: its password has changed.
const REFUSED_MAX: Duration = Duration::from_secs(20);
/// Refusals further apart than this are two stories. librdkafka tells the same one every 30 s.
const REFUSED_APART: Duration = Duration::from_secs(70);

/// Refused logins of one client: one may be a broker's mistake, and another broker goes on.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The first and the newest of those that belong together.
    span: Option<(Instant, Instant)>,
}

impl Refusals {
    /// Notes one more; whether they have gone on for too long.
    pub(super) fn are_lasting(&mut self, now: Instant) -> bool {
        let first = match self.span {
            Some((first, newest)) if now.duration_since(newest) < REFUSED_APART => first,
            _ => now,
        };
        self.span = Some((first, now));
        now.duration_since(first) >= REFUSED_MAX
    }
}

/// Something that fails, and may stop doing so.
#[derive(Debug)]
pub struct Trouble {
    /// How long it is borne.
    max: Duration,
    /// Since when it has failed without a break.
    since: Option<Instant>,
}

impl Trouble {
    /// None so far.
    pub const fn bearable_for(max: Duration) -> Self {
        Self { max, since: None }
    }

    /// How long it is borne.
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// It is over.
    pub const fn end(&mut self) {
        self.since = None;
    }

    /// It fails, at this moment too; whether it has done so for too long.
    pub fn is_lasting(&mut self, now: Instant) -> bool {
        now.duration_since(*self.since.get_or_insert(now)) >= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_last_when_they_follow_each_other_for_long_enough() {
        let born = Instant::now();
        let at = |seconds| born + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        assert!(!refusals.are_lasting(at(0)) && !refusals.are_lasting(at(5)));
        assert!(refusals.are_lasting(at(35)), "told every 30 s");
        let mut rare = Refusals::default();
        assert!(
            !rare.are_lasting(at(0)) && !rare.are_lasting(at(100)) && !rare.are_lasting(at(200))
        );
        assert!(rare.are_lasting(at(230)));
    }

    #[test]
    fn trouble_lasts_from_its_first_moment_and_begins_anew_after_a_break() {
        let born = Instant::now();
        let at = |seconds| born + Duration::from_secs(seconds);
        let mut trouble = Trouble::bearable_for(Duration::from_secs(120));
        assert!(!trouble.is_lasting(at(0)) && !trouble.is_lasting(at(119)));
        assert!(trouble.is_lasting(at(120)));
        trouble.end();
        assert!(!trouble.is_lasting(at(121)) && !trouble.is_lasting(at(240)));
        assert!(trouble.is_lasting(at(241)));
    }
}
