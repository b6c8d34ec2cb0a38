//! When a call may start: one budget a connection, shared by purpose.
//!
//! `budget` decides, purely and with the time passed in; [`Quota`] is the shell that waits. Every
//! HTTP exchange takes a [`Permit`], token calls and repetitions included.

mod budget;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::Counter;
use tokio::{sync::Notify, time::Instant};

use self::budget::{Budget, Decision, Ticket};
use super::allow::Api;
use crate::config::model;

/// Why a call is made; in the order in which waiting calls go, but for the share that those behind
/// live polls have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// The payment sink asks what became of a request: nothing may hold that up, least of all the
    /// commands that wait to be sent.
    Doubt,
    /// The payment sink sends: the payment was looked at, and a look is good for some minutes only.
    Send,
    /// The payment sink completes a look that has begun.
    List,
    /// The payment sink begins to look at a payment.
    Payment,
    /// New rows.
    Live,
    /// Look-back, gap repair and reference data.
    Repair,
    /// History.
    Backfill,
}

impl Purpose {
    /// Whether it is the sink's, which has its own reserve.
    pub(crate) const fn is_of_payments(self) -> bool {
        match self {
            Self::Doubt | Self::Send | Self::List | Self::Payment => true,
            Self::Live | Self::Repair | Self::Backfill => false,
        }
    }

    /// For the calls that go on with what one of this purpose has begun.
    pub(crate) const fn once_begun(self) -> Self {
        match self {
            Self::Payment | Self::List => Self::List,
            Self::Doubt | Self::Send | Self::Live | Self::Repair | Self::Backfill => self,
        }
    }

    /// For the token without which no call of this purpose can be made. All of the sink's calls wait
    /// for it, so it must not wait behind those that begin.
    pub(crate) const fn of_token(self) -> Self {
        if self.is_of_payments() { Self::Doubt } else { self }
    }
}

/// The budget of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    waited: Counter,
}

#[derive(Debug)]
struct State {
    budget: Budget,
    /// Whom to wake; only those at the head of a lane ever wait for a time.
    wakers: HashMap<u64, Arc<Notify>>,
}

/// The right to one exchange; dropping it ends the exchange.
#[derive(Debug)]
pub(crate) struct Permit {
    shared: Arc<Shared>,
}

/// The API told everybody to wait for longer than a call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) remaining: Duration,
}

impl Quota {
    /// `waited` counts the seconds that calls wait here.
    pub(crate) fn new(limits: model::Quota, waited: Counter) -> Self {
        let state = State { budget: Budget::new(limits), wakers: HashMap::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), waited }) }
    }

    /// Waits for its turn. Dropping the future gives the place in the queue back.
    pub(crate) async fn acquire(&self, purpose: Purpose, api: Api) -> Result<Permit, Blocked> {
        let place = Place::take(&self.shared, purpose, api);
        let granted = loop {
            let decision = place.decide();
            match decision {
                Decision::Start => break Ok(Permit { shared: Arc::clone(&self.shared) }),
                Decision::Blocked { remaining } if remaining > super::retry::PATIENCE => {
                    break Err(Blocked { remaining });
                }
                Decision::Blocked { remaining: wait } | Decision::After { wait } => {
                    // Woken early, it only decides again.
                    let _woken = tokio::time::timeout(wait, place.waker.notified()).await;
                }
                Decision::OnChange => place.waker.notified().await,
            }
        };
        drop(place);
        granted
    }

    /// Takes over what an answer told about the API's own limit.
    pub(crate) fn learn(&self, api: Api, limit: u32, remaining: u32) {
        let mut state = self.shared.lock();
        state.budget.learn(api, limit, remaining, Instant::now().into_std());
        state.wake_heads();
    }

    /// Lets no call of this API start for that long.
    pub(crate) fn block(&self, api: Api, wait: Duration) {
        let mut state = self.shared.lock();
        state.budget.block(api, Instant::now().into_std() + wait);
        state.wake_heads();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state stays whole whatever panics elsewhere: no code in between can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_heads(&self) {
        for ticket in self.budget.heads() {
            if let Some(waker) = self.wakers.get(&ticket) {
                waker.notify_one();
            }
        }
    }
}

/// A place in the queue, left when dropped.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    ticket: Ticket,
    waker: Arc<Notify>,
    since: Instant,
}

impl Place {
    fn take(shared: &Arc<Shared>, purpose: Purpose, api: Api) -> Self {
        let waker = Arc::new(Notify::new());
        let mut state = shared.lock();
        let since = Instant::now();
        let ticket = state.budget.enter(purpose, api, since.into_std());
        state.wakers.insert(ticket.number, Arc::clone(&waker));
        drop(state);
        Self { shared: Arc::clone(shared), ticket, waker, since }
    }

    fn decide(&self) -> Decision {
        self.shared.lock().budget.decide(self.ticket, Instant::now().into_std())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Also the wait of one who gave up.
        self.shared.waited.inc_by(self.since.elapsed().as_secs_f64());
        let mut state = self.shared.lock();
        state.budget.leave(self.ticket);
        state.wakers.remove(&self.ticket.number);
        state.wake_heads();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.budget.finish();
        state.wake_heads();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(requests_per_minute: u32, concurrency: usize, reserved_for_payments: u32) -> Quota {
        let waited = Counter::new("waited", "waited").unwrap();
        Quota::new(model::Quota { requests_per_minute, concurrency, reserved_for_payments }, waited)
    }

    #[tokio::test(start_paused = true)]
    async fn polling_is_paced_and_leaves_the_reserve() {
        let quota = quota(60, 2, 6);
        let started = Instant::now();
        for _ in 0..56 {
            drop(quota.acquire(Purpose::Live, Api::BankPos).await.unwrap());
        }
        let paced = started.elapsed();
        assert!(paced >= Duration::from_secs(59), "{paced:?}");
        assert!(paced <= Duration::from_secs(61), "{paced:?}");
        let before = Instant::now();
        for _ in 0..6 {
            drop(quota.acquire(Purpose::Payment, Api::VirtualPos).await.unwrap());
        }
        assert!(before.elapsed() < Duration::from_secs(2));
        assert!(quota.shared.waited.get() > 50.0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_calls_go_by_purpose_then_by_arrival() {
        let quota = quota(6000, 1, 0);
        let held = quota.acquire(Purpose::Live, Api::BankPos).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, purpose) in [
            ("backfill", Purpose::Backfill),
            ("live 1", Purpose::Live),
            ("repair", Purpose::Repair),
            ("live 2", Purpose::Live),
            ("look", Purpose::Payment),
            ("send", Purpose::Send),
            ("doubt", Purpose::Doubt),
        ] {
            let (quota, order) = (quota.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let permit = quota.acquire(purpose, Api::BankPos).await.unwrap();
                order.lock().unwrap().push(name);
                tokio::time::sleep(Duration::from_millis(1)).await;
                drop(permit);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(
            *order.lock().unwrap(),
            ["doubt", "send", "look", "live 1", "live 2", "repair", "backfill"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_lets_the_next_go() {
        let quota = quota(6000, 1, 0);
        let held = quota.acquire(Purpose::Live, Api::BankPos).await.unwrap();
        let first = quota.acquire(Purpose::Live, Api::BankPos);
        let gave_up = tokio::time::timeout(Duration::from_secs(1), first).await;
        assert!(gave_up.is_err());
        drop(held);
        let second = quota.acquire(Purpose::Live, Api::BankPos);
        assert!(tokio::time::timeout(Duration::from_secs(1), second).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_holds_its_api_only_and_long_ones_are_reported() {
        let quota = quota(6000, 2, 0);
        quota.block(Api::VirtualPos, Duration::from_secs(60));
        let started = Instant::now();
        drop(quota.acquire(Purpose::Live, Api::BankPos).await.unwrap());
        assert!(started.elapsed() < Duration::from_secs(1));
        drop(quota.acquire(Purpose::Payment, Api::VirtualPos).await.unwrap());
        assert!(started.elapsed() >= Duration::from_secs(60));
        quota.block(Api::Tos, Duration::from_secs(1000));
        let blocked = quota.acquire(Purpose::Live, Api::Tos).await.unwrap_err();
        assert!(blocked.remaining > Duration::from_secs(900));
    }

    #[tokio::test(start_paused = true)]
    async fn the_look_back_and_history_go_on_however_many_live_polls_wait() {
        let quota = quota(60, 2, 6);
        let done = Arc::new(Mutex::new(HashMap::<Purpose, u32>::new()));
        for at in 0..300 {
            let purpose = match at {
                0 => Purpose::Repair,
                1 => Purpose::Backfill,
                _ => Purpose::Live,
            };
            let (quota, done) = (quota.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                loop {
                    let permit = quota.acquire(purpose, Api::BankPos).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    drop(permit);
                    *done.lock().unwrap().entry(purpose).or_default() += 1;
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        let done = done.lock().unwrap().clone();
        let of = |purpose| done.get(&purpose).copied().unwrap_or_default();
        let all = of(Purpose::Live) + of(Purpose::Repair) + of(Purpose::Backfill);
        assert!((530..=550).contains(&all), "{done:?}");
        assert!(of(Purpose::Repair) >= all / 6 && of(Purpose::Backfill) >= all / 12, "{done:?}");
    }
}
