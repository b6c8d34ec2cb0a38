//! The decisions of the quota, without clock and without waiting.
//!
//! | gate        | polling                                      | payments           |
//! |-------------|----------------------------------------------|--------------------|
//! | concurrency | fewer than `concurrency` under way           | the same           |
//! | total       | `requests_per_minute`                        | the same           |
//! | polling     | `requests_per_minute - reserved`, evenly     | –                  |
//! | learned     | under half of `X-RateLimit-Limit`, evenly    | –                  |
//! | half used   | half of the API's minute is gone: next minute| –                  |
//! | blocked     | after a 429, as long as told                 | the same           |
//!
//! Who goes first: payments, always; of those the request of a payment that was looked at before what
//! begins another look, or a backlog would make every look old before its request may leave. The list
//! that completes a look goes first as well, once it has waited for [`LIST_YIELDS`]: until then other
//! looks may begin, which share it. Of polling the higher purpose, but a lower one that others have
//! overtaken often enough ([`overtaken_max`]) has the next turn: more live polls than the budget can
//! serve would else keep late rows, edits, deletions, discovery and history away for good.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::Purpose;
use crate::{api::allow::Api, config::model};

const MINUTE: Duration = Duration::from_secs(60);

/// How long a list that completes a look lets other looks begin first. As many requests follow it as
/// looks share it, and the oldest look must not be old before the last of them.
const LIST_YIELDS: Duration = Duration::from_secs(10);

/// How many polling calls of higher purposes start before a waiting one of this purpose has a turn:
/// of a budget that is not enough, about a fifth is the look-back's and reference data's, and a tenth
/// is history's.
const fn overtaken_max(purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Doubt | Purpose::Send | Purpose::List | Purpose::Payment | Purpose::Live => {
            u32::MAX
        }
        Purpose::Repair => 4,
        Purpose::Backfill => 9,
    }
}

/// What a waiting call may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Go; the call is counted.
    Start,
    /// Ask again after that time, or when something changes.
    After { wait: Duration },
    /// The API wants no calls for that long.
    Blocked { remaining: Duration },
    /// Ask again when something changes.
    OnChange,
}

/// Somebody in a lane.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: u64,
    since: Instant,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) number: u64,
    lane: (Purpose, Api),
}

/// An even pace with a small burst (GCRA): what counts is when the next call is due.
#[derive(Debug, Clone)]
struct Meter {
    interval: Duration,
    /// How far ahead of the pace calls may run.
    slack: Duration,
    due: Option<Instant>,
}

impl Meter {
    fn per_minute(calls: u32, burst: u32) -> Self {
        let interval = MINUTE / calls.max(1);
        Self { interval, slack: interval.saturating_mul(burst.saturating_sub(1)), due: None }
    }

    fn wait(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| {
            due.saturating_duration_since(now).saturating_sub(self.slack)
        })
    }

    fn take(&mut self, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.max(now)) + self.interval);
    }
}

/// What answers told about one API's own limit.
#[derive(Debug, Clone, Default)]
struct Learned {
    limit: u32,
    remaining: u32,
    /// No later than the API's own minute began, as far as seen.
    minute_began: Option<Instant>,
    blocked_until: Option<Instant>,
}

impl Learned {
    fn learn(&mut self, limit: u32, remaining: u32, now: Instant) {
        let minute_over = self.minute_began.is_none_or(|began| now >= began + MINUTE);
        if minute_over || remaining > self.remaining {
            self.minute_began = Some(now);
        }
        self.remaining = remaining;
        self.limit = limit;
    }

    fn blocked(&self, now: Instant) -> Option<Duration> {
        self.blocked_until
            .map(|until| until.saturating_duration_since(now))
            .filter(|d| !d.is_zero())
    }

    fn wait(&self, now: Instant) -> Duration {
        let half_used = self.remaining < self.limit.div_ceil(2);
        match self.minute_began {
            // The tenant's other programs live on the other half.
            Some(began) if half_used => (began + MINUTE).saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }
}

/// Everything the quota knows.
#[derive(Debug)]
pub(super) struct Budget {
    concurrency: usize,
    under_way: usize,
    total: Meter,
    polling: Meter,
    learned: BTreeMap<Api, Learned>,
    lanes: BTreeMap<(Purpose, Api), VecDeque<Waiting>>,
    /// How many calls of higher purposes have started since a call of this one could have.
    overtaken: BTreeMap<Purpose, u32>,
    next_number: u64,
}

impl Budget {
    pub(super) fn new(limits: model::Quota) -> Self {
        let concurrency = limits.concurrency.max(1);
        let burst = u32::try_from(concurrency).unwrap_or(u32::MAX);
        let for_polling = limits.requests_per_minute.saturating_sub(limits.reserved_for_payments);
        let burst_of_all = burst.max(limits.reserved_for_payments);
        Self {
            concurrency,
            under_way: 0,
            total: Meter::per_minute(limits.requests_per_minute, burst_of_all),
            polling: Meter::per_minute(for_polling, burst),
            learned: BTreeMap::new(),
            lanes: BTreeMap::new(),
            overtaken: BTreeMap::new(),
            next_number: 0,
        }
    }

    pub(super) fn enter(&mut self, purpose: Purpose, api: Api, now: Instant) -> Ticket {
        let number = self.next_number;
        self.next_number += 1;
        let waiting = Waiting { number, since: now };
        self.lanes.entry((purpose, api)).or_default().push_back(waiting);
        Ticket { number, lane: (purpose, api) }
    }

    pub(super) fn leave(&mut self, ticket: Ticket) {
        if let Some(lane) = self.lanes.get_mut(&ticket.lane) {
            // Mostly the head leaves; numbers in a lane only grow.
            if let Ok(at) = lane.binary_search_by_key(&ticket.number, |waiting| waiting.number) {
                lane.remove(at);
            }
        }
    }

    /// The first of each lane.
    pub(super) fn heads(&self) -> impl Iterator<Item = u64> {
        self.lanes.values().filter_map(|lane| lane.front()).map(|first| first.number)
    }

    pub(super) fn learn(&mut self, api: Api, limit: u32, remaining: u32, now: Instant) {
        self.learned.entry(api).or_default().learn(limit, remaining, now);
    }

    pub(super) fn block(&mut self, api: Api, until: Instant) {
        let learned = self.learned.entry(api).or_default();
        let until = learned.blocked_until.map_or(until, |old| old.max(until));
        learned.blocked_until = Some(until);
        // By then the API counts anew, so what it told of its minute ends there and no later.
        learned.minute_began = until.checked_sub(MINUTE).or(learned.minute_began);
    }

    pub(super) fn finish(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Whether this call may start now; if so, it is counted and its place is left.
    pub(super) fn decide(&mut self, ticket: Ticket, now: Instant) -> Decision {
        let (purpose, api) = ticket.lane;
        if let Some(remaining) = self.learned.get(&api).and_then(|learned| learned.blocked(now)) {
            return Decision::Blocked { remaining };
        }
        let head = self.lanes.get(&ticket.lane).and_then(|lane| lane.front().copied());
        let Some(own) = head.filter(|head| head.number == ticket.number) else {
            return Decision::OnChange;
        };
        if self.under_way >= self.concurrency {
            return Decision::OnChange;
        }
        let wait = self.wait(purpose, api, now);
        if !wait.is_zero() {
            return Decision::After { wait };
        }
        if self.somebody_goes_first(purpose, own, now) {
            // Time alone changes who goes first where a list yields, and time wakes nobody: the other
            // may decide after that, and they would wait for each other.
            let yields = (own.since + LIST_YIELDS).saturating_duration_since(now);
            return match purpose {
                Purpose::List if !yields.is_zero() => Decision::After { wait: yields },
                _ => Decision::OnChange,
            };
        }
        self.leave(ticket);
        self.under_way += 1;
        if !purpose.is_of_payments() {
            self.note_overtaken(purpose, now);
            self.polling.take(now);
        }
        self.total.take(now);
        Decision::Start
    }

    /// A polling call of this purpose starts: lower ones that could have started were overtaken. To be
    /// asked before the call is counted, for then nobody can.
    fn note_overtaken(&mut self, starts: Purpose, now: Instant) {
        self.overtaken.insert(starts, 0);
        for purpose in [Purpose::Repair, Purpose::Backfill] {
            if purpose > starts
                && self.lanes.keys().any(|lane| lane.0 == purpose && self.can_start(*lane, now))
            {
                *self.overtaken.entry(purpose).or_default() += 1;
            }
        }
    }

    /// Whether somebody waits in this lane, and for nothing but others.
    fn can_start(&self, lane: (Purpose, Api), now: Instant) -> bool {
        let (purpose, api) = lane;
        self.lanes.get(&lane).is_some_and(|waiting| !waiting.is_empty())
            && self.learned.get(&api).is_none_or(|learned| learned.blocked(now).is_none())
            && self.wait(purpose, api, now).is_zero()
    }

    /// What decides who goes first, the smallest.
    fn rank(&self, purpose: Purpose, waiting: Waiting, now: Instant) -> (u8, Purpose, u64) {
        let overtaken = self.overtaken.get(&purpose).copied().unwrap_or_default();
        let class = match purpose {
            Purpose::List if now < waiting.since + LIST_YIELDS => 1,
            _ if purpose.is_of_payments() => 0,
            _ if overtaken >= overtaken_max(purpose) => 2,
            _ => 3,
        };
        (class, purpose, waiting.number)
    }

    fn wait(&self, purpose: Purpose, api: Api, now: Instant) -> Duration {
        let total = self.total.wait(now);
        if purpose.is_of_payments() {
            return total;
        }
        let learned = self.learned.get(&api).map_or(Duration::ZERO, |learned| learned.wait(now));
        total.max(self.polling.wait(now)).max(learned)
    }

    /// A waiting call whose turn is before this one's, and that could start as well.
    fn somebody_goes_first(&self, purpose: Purpose, own: Waiting, now: Instant) -> bool {
        let own = self.rank(purpose, own, now);
        self.lanes.iter().any(|(&lane, waiting)| {
            let Some(&head) = waiting.front() else { return false };
            self.rank(lane.0, head, now) < own && self.can_start(lane, now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(requests_per_minute: u32, reserved_for_payments: u32) -> Budget {
        Budget::new(model::Quota { requests_per_minute, concurrency: 100, reserved_for_payments })
    }

    /// Calls that may start within a minute, if asked every 10 ms.
    fn starts_in_a_minute(budget: &mut Budget, purpose: Purpose, from: Instant) -> u32 {
        let mut started = 0;
        for step in 0..6000 {
            let now = from + Duration::from_millis(step * 10);
            let ticket = budget.enter(purpose, Api::BankPos, now);
            match budget.decide(ticket, now) {
                Decision::Start => started += 1,
                _ => budget.leave(ticket),
            }
            budget.under_way = 0;
        }
        started
    }

    #[test]
    fn a_list_that_yields_decides_again_when_it_does_so_no_longer() {
        let from = Instant::now();
        let mut budget = Budget::new(model::Quota {
            requests_per_minute: 600,
            concurrency: 2,
            reserved_for_payments: 6,
        });
        let list = budget.enter(Purpose::List, Api::VirtualPos, from);
        let look = budget.enter(Purpose::Payment, Api::VirtualPos, from);
        let millisecond = Duration::from_millis(1);
        let before = from + LIST_YIELDS - millisecond;
        // Each decides while the other waits, on both sides of the moment.
        assert_eq!(budget.decide(list, before), Decision::After { wait: millisecond });
        assert_eq!(budget.decide(look, from + LIST_YIELDS), Decision::OnChange);
        assert_eq!(budget.decide(list, from + LIST_YIELDS), Decision::Start);
    }

    #[test]
    fn a_limit_that_nobody_uses_up_slows_nothing() {
        let (mut budget, now) = (budget(600, 0), Instant::now());
        budget.learn(Api::BankPos, 100, 99, now);
        assert!(starts_in_a_minute(&mut budget, Purpose::Live, now) > 600);
    }

    #[test]
    fn polling_waits_for_the_next_minute_when_half_of_it_is_used() {
        let from = Instant::now();
        let mut budget = budget(600, 0);
        budget.learn(Api::BankPos, 100, 80, from);
        budget.learn(Api::BankPos, 100, 49, from + Duration::from_secs(20));
        let now = from + Duration::from_secs(21);
        let live = budget.enter(Purpose::Live, Api::BankPos, now);
        let left = Duration::from_secs(39);
        assert_eq!(budget.decide(live, now), Decision::After { wait: left });
        let payment = budget.enter(Purpose::Payment, Api::BankPos, now);
        assert_eq!(budget.decide(payment, now), Decision::Start);
        assert_eq!(budget.decide(live, from + MINUTE), Decision::Start);
    }

    #[test]
    fn a_wait_that_the_api_tells_ends_its_minute() {
        let from = Instant::now() + MINUTE;
        for (remaining, wait) in [(0, 7), (1, 3), (0, 80)] {
            let mut budget = budget(600, 0);
            budget.learn(Api::BankPos, 100, remaining, from);
            let until = from + Duration::from_secs(wait);
            budget.block(Api::BankPos, until);
            let live = budget.enter(Purpose::Live, Api::BankPos, from);
            let remaining = Duration::from_secs(wait);
            assert_eq!(budget.decide(live, from), Decision::Blocked { remaining });
            assert_eq!(budget.decide(live, until), Decision::Start, "{wait} s");
        }
    }

    #[test]
    fn an_api_that_always_reports_little_is_still_asked_once_a_minute() {
        let from = Instant::now();
        let mut budget = budget(600, 0);
        for minute in 0..3 {
            let now = from + MINUTE * minute;
            let live = budget.enter(Purpose::Live, Api::BankPos, now);
            assert_eq!(budget.decide(live, now), Decision::Start, "minute {minute}");
            budget.finish();
            budget.learn(Api::BankPos, 100, 3, now);
        }
    }

    #[test]
    fn payments_use_the_whole_budget_and_no_more() {
        let from = Instant::now();
        let paid = starts_in_a_minute(&mut budget(60, 6), Purpose::Payment, from);
        assert!((60..=160).contains(&paid), "{paid}");
        let polled = starts_in_a_minute(&mut budget(60, 60), Purpose::Live, from);
        assert!(polled <= 101, "{polled}");
    }

    #[test]
    fn a_tight_concurrency_stops_everybody() {
        let now = Instant::now();
        let mut budget = Budget::new(model::Quota {
            requests_per_minute: 600,
            concurrency: 1,
            reserved_for_payments: 6,
        });
        let first = budget.enter(Purpose::Live, Api::BankPos, now);
        assert_eq!(budget.decide(first, now), Decision::Start);
        let payment = budget.enter(Purpose::Payment, Api::BankPos, now);
        assert_eq!(budget.decide(payment, now), Decision::OnChange);
        budget.finish();
        let live = budget.enter(Purpose::Live, Api::BankPos, now);
        let later = now + Duration::from_secs(1);
        assert_eq!(budget.decide(live, later), Decision::OnChange);
        assert_eq!(budget.decide(payment, later), Decision::Start);
    }

    /// Lets a call of each purpose wait, and another once it has gone; counts who starts in those
    /// minutes, of which each has room for one.
    fn turns(
        budget: &mut Budget,
        purposes: &[(Purpose, Api)],
        from: Instant,
        minutes: std::ops::Range<u32>,
    ) -> BTreeMap<Purpose, u32> {
        let mut waiting: Vec<Ticket> =
            purposes.iter().map(|(purpose, api)| budget.enter(*purpose, *api, from)).collect();
        let mut started = BTreeMap::new();
        for minute in minutes {
            let now = from + MINUTE * minute;
            let went: Vec<usize> = (0..waiting.len())
                .filter(|at| budget.decide(waiting[*at], now) == Decision::Start)
                .collect();
            assert_eq!(went.len(), 1, "one call a turn");
            let (purpose, api) = purposes[went[0]];
            *started.entry(purpose).or_default() += 1;
            budget.finish();
            waiting[went[0]] = budget.enter(purpose, api, now);
        }
        waiting.into_iter().for_each(|ticket| budget.leave(ticket));
        started
    }

    fn one_a_minute() -> Budget {
        let limits =
            model::Quota { requests_per_minute: 1, concurrency: 1, reserved_for_payments: 0 };
        Budget::new(limits)
    }

    #[test]
    fn who_waits_behind_more_live_polls_than_there_is_room_for_has_a_share() {
        let bank = Api::BankPos;
        let all = [(Purpose::Live, bank), (Purpose::Repair, bank), (Purpose::Backfill, bank)];
        let started = turns(&mut one_a_minute(), &all, Instant::now(), 0..100);
        let shares = [Purpose::Live, Purpose::Repair, Purpose::Backfill].map(|p| started[&p]);
        assert_eq!(shares, [73, 18, 9], "in turns of eleven");
        let two = turns(&mut one_a_minute(), &[all[1], all[2]], Instant::now(), 0..100);
        assert_eq!((two[&Purpose::Repair], two[&Purpose::Backfill]), (90, 10));
    }

    #[test]
    fn a_share_is_never_taken_from_payments() {
        let bank = Api::BankPos;
        let all = [(Purpose::Live, bank), (Purpose::Repair, bank), (Purpose::Payment, bank)];
        let (mut budget, from) = (one_a_minute(), Instant::now());
        turns(&mut budget, &all[..2], from, 0..9);
        let waiting = Waiting { number: 0, since: from };
        assert_eq!(budget.rank(Purpose::Repair, waiting, from).0, 2, "its turn is next");
        let started = turns(&mut budget, &all, from, 9..59);
        assert_eq!(started.get(&Purpose::Payment), Some(&50), "{started:?}");
    }

    #[test]
    fn who_could_not_start_anyway_is_not_overtaken_and_holds_nobody_up() {
        let (mut budget, from) = (one_a_minute(), Instant::now());
        budget.block(Api::Tos, from + MINUTE * 1000);
        let all = [(Purpose::Live, Api::BankPos), (Purpose::Repair, Api::Tos)];
        assert_eq!(turns(&mut budget, &all, from, 0..20)[&Purpose::Live], 20);
        assert_eq!(budget.overtaken.get(&Purpose::Repair), None);
    }
}
