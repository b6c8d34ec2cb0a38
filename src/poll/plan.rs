//! What an entity's poller does next: windows and schedule, without a clock.
//!
//! | state | next work | because |
//! |---|---|---|
//! | backfill not done | the oldest window not read | rows come oldest first, resumable in the middle |
//! | the same, in a gap, and a live poll due | the live poll, then the window; by turns where it fails | new rows need not wait for days that may never be had |
//! | the same, in a gap whose window failed, and a look-back due | the look-back, then the window again | nor need late rows of other days |
//! | live poll due | rows above the cursor | new rows come by `lastId` |
//! | look-back due | every window of the look-back | late ids, edits and deletions are found there |
//! | both due, the last live poll failed | the look-back, then the live poll again | a live poll that keeps failing must not keep late rows waiting |
//! | nothing due | wait | |

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    domain::{ids::Stream, time::Day},
    state::position::Checkpoint,
};

/// Days that the dates of a row may lie apart so that one of them says which reads must show it.
pub const SETTLED_DAYS: i32 = 7;

/// Whole days, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
}

impl Window {
    /// Whether the day lies inside.
    pub fn contains(self, day: Day) -> bool {
        self.from <= day && day <= self.to
    }

    /// Both halves, or nothing where a single day cannot be halved.
    pub fn halves(self) -> Option<(Self, Self)> {
        let middle = self.from.plus((self.to.0 - self.from.0) / 2);
        (self.from < self.to).then(|| {
            (Self { from: self.from, to: middle }, Self { from: middle.plus(1), to: self.to })
        })
    }
}

/// What the API allows and the operator wants, in days and durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Days that one call may ask for.
    pub window_days: i32,
    /// Days that adjacent windows share: whether an end date is inclusive is not documented.
    pub overlap_days: i32,
    /// How far back the look-back reaches.
    pub lookback_days: i32,
    /// How far back the first backfill reaches.
    pub start_days: i32,
    /// Days at the old end of the look-back in which a missing row proves nothing: a POS row may
    /// be served by another of its dates than the one it is kept under.
    pub settled_days: i32,
    /// Between two live polls.
    pub poll_interval: Duration,
    /// Between two look-backs.
    pub lookback_interval: Duration,
}

impl Schedule {
    /// Whether a stream is read in windows of days, and not as one list.
    pub const fn asks_by_days(stream: Stream) -> bool {
        matches!(stream, Stream::BankTransactions | Stream::PosTransactions | Stream::TosPayments)
    }

    /// Whether a stream's API knows a cursor, and shows what is above it of whatever day.
    pub const fn asks_by_cursor(stream: Stream) -> bool {
        matches!(stream, Stream::BankTransactions | Stream::PosTransactions)
    }

    /// The limits of a stream's API: bank ≤ 7 days, POS ≤ 14, TOS one payment day.
    pub const fn window_limits(stream: Stream) -> (i32, i32) {
        match stream {
            Stream::BankTransactions => (7, 1),
            Stream::PosTransactions => (14, 1),
            _ => (1, 0),
        }
    }

    /// The window that starts at `from`, ending today at the latest.
    pub fn window_at(&self, from: Day, today: Day) -> Window {
        let to = from.plus(self.window_days - 1).min(today);
        Window { from: from.min(to), to }
    }

    /// Where the backfill goes on after `window`; `None` when it reached today.
    pub fn after(&self, window: Window, today: Day) -> Option<Day> {
        (window.to < today).then(|| window.to.plus(1 - self.overlap_days))
    }

    /// First day of the look-back.
    pub const fn lookback_from(&self, today: Day) -> Day {
        today.plus(1 - self.lookback_days)
    }

    /// First day of history that is still to be read: where the backfill stands, or, after a
    /// longer silence than the look-back spans, where reading ended.
    pub fn history_from(
        &self,
        checkpoint: &Checkpoint,
        read_through: Day,
        today: Day,
    ) -> Option<Day> {
        let silent = read_through < self.lookback_from(today);
        let gap = || silent.then(|| read_through.max(checkpoint.seen_from));
        checkpoint.backfill_next.or_else(gap)
    }

    /// The windows of a look-back, oldest first; never before `seen_from`, where old rows would
    /// look new.
    pub fn lookback_windows(&self, seen_from: Day, today: Day) -> Vec<Window> {
        let mut next = Some(self.lookback_from(today).max(seen_from).min(today));
        let mut windows = Vec::new();
        while let Some(from) = next {
            let window = self.window_at(from, today);
            next = self.after(window, today);
            windows.push(window);
        }
        windows
    }

    /// The first day whose seen rows must be kept: the look-back, a margin for clocks and zones,
    /// and whatever the backfill has not passed yet.
    pub fn first_kept(&self, backfill_next: Option<Day>, today: Day) -> Day {
        let lookback = self.lookback_from(today).plus(-2);
        backfill_next.map_or(lookback, |next| lookback.min(next.plus(-self.overlap_days)))
    }
}

/// When what is due.
#[derive(Debug, Clone, Copy)]
pub struct Agenda {
    /// Next live poll.
    pub live_at: Instant,
    /// Next look-back.
    pub lookback_at: Instant,
    /// The last turn was a live poll's, and it failed.
    pub live_failed: bool,
    /// The last turn that was no live poll's was a window's of history, and it failed.
    pub history_failed: bool,
}

/// Whose turn it is, of the two that come again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The live poll's.
    Live,
    /// The look-back's.
    LookBack,
    /// Nobody's before this instant.
    WaitUntil(Instant),
}

impl Agenda {
    /// Both at their times; no live poll has failed yet.
    pub const fn new(live_at: Instant, lookback_at: Instant) -> Self {
        Self { live_at, lookback_at, live_failed: false, history_failed: false }
    }

    /// The live poll goes first, unless it has just failed: what keeps failing is due all the time,
    /// and takes turns.
    pub fn turn(&self, now: Instant) -> Turn {
        let (live, look_back) = (self.live_at <= now, self.lookback_at <= now);
        match (live, look_back) {
            (true, true) if self.live_failed => Turn::LookBack,
            (true, _) => Turn::Live,
            (false, true) => Turn::LookBack,
            (false, false) => Turn::WaitUntil(self.live_at.min(self.lookback_at)),
        }
    }

    /// Notes that a turn is over.
    pub const fn end_turn(&mut self, was_live: bool, failed: bool) {
        self.live_failed = was_live && failed;
    }

    /// Notes that a turn of an entity with a history of its own is over.
    pub const fn end_work(&mut self, work: &Work, failed: bool) {
        match work {
            Work::Backfill(_) => self.history_failed = failed,
            Work::LookBack(_) => self.history_failed = false,
            Work::Live | Work::WaitUntil(_) => {}
        }
        self.end_turn(matches!(work, Work::Live), failed);
    }
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Read this window of the backfill.
    Backfill(Window),
    /// Read these windows again.
    LookBack(Vec<Window>),
    /// Ask for new rows.
    Live,
    /// Nothing before this instant.
    WaitUntil(Instant),
}

/// Chooses the next work of an entity, as the table at the top says.
pub fn next_work(
    checkpoint: &Checkpoint,
    schedule: &Schedule,
    agenda: &Agenda,
    now: Instant,
    today: Day,
) -> Work {
    let look_back = || schedule.lookback_windows(checkpoint.seen_from, today);
    if let Some(next) = checkpoint.backfill_next {
        if checkpoint.gap && agenda.live_at <= now && !agenda.live_failed {
            return Work::Live;
        }
        if checkpoint.gap && agenda.history_failed && agenda.lookback_at <= now {
            return Work::LookBack(look_back());
        }
        return Work::Backfill(schedule.window_at(next, today));
    }
    match agenda.turn(now) {
        Turn::Live => Work::Live,
        Turn::LookBack => Work::LookBack(look_back()),
        Turn::WaitUntil(at) => Work::WaitUntil(at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Timestamp;

    fn schedule(window_days: i32, overlap_days: i32) -> Schedule {
        Schedule {
            window_days,
            overlap_days,
            lookback_days: 14,
            start_days: 30,
            settled_days: 0,
            poll_interval: Duration::from_secs(300),
            lookback_interval: Duration::from_secs(3600),
        }
    }

    proptest! {
        /// Whatever the limits, the windows cover every day from the start to today, are never
        /// longer than allowed, and come oldest first.
        #[test]
        fn backfill_windows_cover_every_day(window_days in 2_i32..15, overlap in 0_i32..2, days in 0_i32..400) {
            let schedule = schedule(window_days, overlap);
            let today = Day(20_000);
            let mut next = Some(today.plus(-days));
            let mut covered = today.plus(-days - 1);
            while let Some(from) = next {
                let window = schedule.window_at(from, today);
                prop_assert!(window.from <= covered.plus(1));
                prop_assert!(window.to > covered);
                prop_assert!(window.to.0 - window.from.0 < window_days);
                covered = window.to;
                next = schedule.after(window, today);
            }
            prop_assert_eq!(covered, today);
        }

        #[test]
        fn halves_share_no_day_and_lose_none(from in 0_i32..100, length in 1_i32..30) {
            let window = Window { from: Day(from), to: Day(from + length) };
            let (first, second) = window.halves().expect("more than a day");
            prop_assert_eq!(first.from, window.from);
            prop_assert_eq!(first.to.plus(1), second.from);
            prop_assert_eq!(second.to, window.to);
        }
    }

    #[test]
    fn lookback_never_reaches_days_whose_rows_were_forgotten() {
        let windows = schedule(7, 1).lookback_windows(Day(19_995), Day(20_000));
        assert_eq!(windows, [Window { from: Day(19_995), to: Day(20_000) }]);
        let windows = schedule(7, 1).lookback_windows(Day(0), Day(20_000));
        assert_eq!(windows.first().map(|w| w.from), Some(Day(19_987)));
        assert_eq!(windows.last().map(|w| w.to), Some(Day(20_000)));
        assert_eq!(windows.len(), 3);
    }

    #[test]
    fn seen_rows_are_kept_for_the_lookback_and_the_window_being_backfilled() {
        let schedule = schedule(7, 1);
        assert_eq!(schedule.first_kept(None, Day(20_000)), Day(19_985));
        assert_eq!(schedule.first_kept(Some(Day(19_900)), Day(20_000)), Day(19_899));
    }

    #[tokio::test]
    async fn backfill_comes_before_live_and_live_before_lookback() {
        let now = Instant::now();
        let mut checkpoint = Checkpoint::initial(Day(19_970), Timestamp(0));
        let agenda = Agenda::new(now, now);
        let next = |c: &Checkpoint, a: &Agenda| next_work(c, &schedule(7, 1), a, now, Day(20_000));
        let first = Window { from: Day(19_970), to: Day(19_976) };
        assert_eq!(next(&checkpoint, &agenda), Work::Backfill(first));
        checkpoint.backfill_next = None;
        assert_eq!(next(&checkpoint, &agenda), Work::Live);
        let later = now + Duration::from_secs(5);
        let agenda = Agenda::new(later, now);
        assert!(matches!(next(&checkpoint, &agenda), Work::LookBack(_)));
        let agenda = Agenda::new(later, later);
        assert_eq!(next(&checkpoint, &agenda), Work::WaitUntil(later));
    }

    #[tokio::test]
    async fn a_gap_and_live_polls_take_turns_whichever_of_them_fails() {
        let now = Instant::now();
        let mut checkpoint = Checkpoint::initial(Day(19_970), Timestamp(0));
        checkpoint.gap = true;
        let mut agenda = Agenda::new(now, now);
        let next = |a: &Agenda| next_work(&checkpoint, &schedule(7, 1), a, now, Day(20_000));
        for _ in 0..2 {
            assert_eq!(next(&agenda), Work::Live);
            agenda.end_turn(true, true);
            assert!(matches!(next(&agenda), Work::Backfill(_)));
            agenda.end_turn(false, true);
        }
        agenda.live_at = now + Duration::from_secs(5);
        assert!(matches!(next(&agenda), Work::Backfill(_)), "nothing is due");
    }

    #[tokio::test]
    async fn a_due_look_back_has_its_turn_behind_a_window_of_a_gap_that_failed() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut checkpoint = Checkpoint::initial(Day(19_970), Timestamp(0));
        checkpoint.gap = true;
        let turns = |checkpoint: &Checkpoint, mut agenda: Agenda, failed| {
            let next = |a: &Agenda| next_work(checkpoint, &schedule(7, 1), a, now, Day(20_000));
            let turns = (0..8).map(|_| {
                let work = next(&agenda);
                agenda.end_work(&work, failed);
                match work {
                    Work::Live => 'n',
                    Work::Backfill(_) => 'h',
                    Work::LookBack(_) => 'l',
                    Work::WaitUntil(_) => 'w',
                }
            });
            String::from_iter(turns)
        };
        // All fail all the time, so all that is due stays due.
        assert_eq!(turns(&checkpoint, Agenda::new(later, now), true), "hlhlhlhl");
        assert_eq!(turns(&checkpoint, Agenda::new(now, now), true), "nhnlnhnl");
        assert_eq!(turns(&checkpoint, Agenda::new(later, later), true), "hhhhhhhh");
        assert_eq!(turns(&checkpoint, Agenda::new(later, now), false), "hhhhhhhh");
        checkpoint.gap = false;
        assert_eq!(turns(&checkpoint, Agenda::new(now, now), true), "hhhhhhhh", "the first one");
    }

    #[tokio::test]
    async fn when_a_poll_is_due_is_no_matter_of_the_calendar() {
        let now = Instant::now();
        let (live_at, lookback_at) =
            (now + Duration::from_secs(300), now + Duration::from_secs(3600));
        let agenda = Agenda::new(live_at, lookback_at);
        let mut checkpoint = Checkpoint::initial(Day(19_970), Timestamp(0));
        checkpoint.backfill_next = None;
        // Set back or ahead by an hour around midnight, it is another day; by a step of NTP too.
        for today in [Day(19_999), Day(20_000), Day(20_001)] {
            let next = |at| next_work(&checkpoint, &schedule(7, 1), &agenda, at, today);
            assert_eq!(next(now), Work::WaitUntil(live_at), "{today:?}");
            assert_eq!(next(live_at), Work::Live, "{today:?}");
            let waits = Agenda::new(lookback_at + Duration::from_secs(300), lookback_at);
            let due = next_work(&checkpoint, &schedule(7, 1), &waits, lookback_at, today);
            let Work::LookBack(windows) = due else { panic!("{due:?}") };
            assert_eq!(windows.last().map(|window| window.to), Some(today));
        }
    }

    #[test]
    fn a_day_that_was_there_already_is_read_again_and_none_is_left_out() {
        let schedule = schedule(7, 1);
        // The window that was asked for ends today; then it is yesterday once more.
        let (today, yesterday) = (Day(20_000), Day(19_999));
        let window = schedule.window_at(today, yesterday);
        assert_eq!(window, Window { from: yesterday, to: yesterday });
        assert_eq!(schedule.after(window, yesterday), None, "done, as far as there are days");
        let first = |today| schedule.lookback_windows(Day(0), today)[0].from;
        assert!(first(today) <= yesterday, "the look-back reads what came since");
        assert_eq!(first(yesterday).plus(1), first(today));
    }

    #[tokio::test]
    async fn a_live_poll_that_keeps_failing_takes_turns_with_a_due_look_back() {
        let now = Instant::now();
        let mut agenda = Agenda::new(now, now);
        let mut turns = Vec::new();
        // Both fail all the time, so both stay due.
        for _ in 0..4 {
            let turn = agenda.turn(now);
            turns.push(turn);
            agenda.end_turn(turn == Turn::Live, true);
        }
        assert_eq!(turns, [Turn::Live, Turn::LookBack, Turn::Live, Turn::LookBack]);
        // A look-back that is not due is not made for it.
        let mut agenda = Agenda::new(now, now + Duration::from_secs(5));
        agenda.end_turn(true, true);
        assert_eq!(agenda.turn(now), Turn::Live);
        // A live poll that works goes first again.
        let mut agenda = Agenda::new(now, now);
        agenda.end_turn(true, true);
        agenda.end_turn(true, false);
        assert_eq!(agenda.turn(now), Turn::Live);
    }
}
