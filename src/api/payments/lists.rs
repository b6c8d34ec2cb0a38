//! Lists, shared by everybody who asked before their fetch began.
//!
//! A list read before a send says nothing about what the send did, so a caller may only share a
//! fetch whose request left after it asked; the wait for the quota is no part of the fetch. At most
//! one fetch of a status is under way; those who ask meanwhile share the next one, so a hundred
//! commands cost two fetches, not a hundred. Of a list that comes, only the rows are kept that one of
//! those who wait asks for: all who may share it wait since before its request left.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncGuard};

use crate::{
    api::{client::ListStatus, error::Error, rows::Rows},
    domain::payment::PaymentState,
    mapping::payment::{self, Unreadable},
};

/// One list's rows by the reference of their payment.
#[derive(Debug)]
pub(super) struct Listing {
    rows: Rows,
    /// The place of the row, or nothing where several rows have the reference.
    places: HashMap<String, Option<usize>>,
}

impl Listing {
    pub(super) fn new(rows: Rows) -> Self {
        let mut places = HashMap::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            if let Some(reference) = payment::reference_of(row) {
                let several = |known: &mut Option<usize>| *known = None;
                places.entry(reference).and_modify(several).or_insert(Some(place));
            }
        }
        Self { rows, places }
    }

    /// The state of the payment, nothing where the list does not hold it, or why it does not tell it.
    pub(super) fn state_of(&self, reference_no: &str) -> Result<Option<PaymentState>, String> {
        match self.places.get(reference_no) {
            None => Ok(None),
            Some(None) => Err("several payments of the list have the reference".to_owned()),
            Some(Some(place)) => {
                let row = self.rows.get(*place).unwrap_or_default();
                payment::listed_state(row).map(Some).map_err(|Unreadable(detail)| detail)
            }
        }
    }
}

/// The lists of a connection.
#[derive(Debug, Default)]
pub(super) struct Lists([Lane; ListStatus::ALL.len()]);

/// The fetches of one list, one after the other.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Held by the one that fetches.
    flight: AsyncMutex<()>,
    state: Mutex<State>,
}

type Outcome = Result<Arc<Listing>, Error>;

/// What somebody who asks for a list gets.
pub(super) enum Shared<'a> {
    /// A fetch that another one made.
    Landed(Outcome),
    /// The right to fetch; dropped, it is the next one's.
    Own(Flight<'a>),
}

/// The one fetch of a list that is under way.
pub(super) struct Flight<'a> {
    /// Its number once its request has left, the last one's where it was repeated.
    number: AtomicU64,
    interest: Interest<'a>,
    _turn: AsyncGuard<'a, ()>,
}

#[derive(Debug, Default)]
struct State {
    /// Fetches that have begun.
    begun: u64,
    /// What callers ask for that have not yet been answered, and how many of them each; the last one
    /// takes the list with it.
    wanted: HashMap<String, usize>,
    /// The last fetch that came to an end: its number, and what came of it.
    last: Option<(u64, Outcome)>,
}

impl Lists {
    pub(super) const fn of(&self, status: ListStatus) -> &Lane {
        let [successful, failed, cancel, refund] = &self.0;
        match status {
            ListStatus::Successful => successful,
            ListStatus::Failed => failed,
            ListStatus::Cancel => cancel,
            ListStatus::Refund => refund,
        }
    }
}

impl Lane {
    /// The outcome of a fetch whose request left after this call, or the right to make one.
    pub(super) async fn after_asking(&self, reference_no: &str) -> Shared<'_> {
        let interest = Interest::begin(self, reference_no);
        let turn = self.flight.lock().await;
        if let Some((number, outcome)) = &self.lock().last
            && *number > interest.begun_before
        {
            return Shared::Landed(outcome.clone());
        }
        Shared::Own(Flight { number: AtomicU64::new(0), interest, _turn: turn })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in between can fail, so the state is whole whatever panics elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// The request leaves now: who asks from here on needs the next one.
    pub(super) fn begin(&self) {
        let mut state = self.interest.lane.lock();
        state.begun += 1;
        self.number.store(state.begun, Ordering::Relaxed);
    }

    /// Whether a row is of a payment that somebody asks for.
    pub(super) fn looks_for(&self, row: &str) -> bool {
        payment::reference_of(row)
            .is_some_and(|reference| self.interest.lane.lock().wanted.contains_key(&reference))
    }

    /// Hands the outcome to everybody who asked before the request left.
    pub(super) fn land(self, outcome: Outcome) -> Outcome {
        if self.number.load(Ordering::Relaxed) == 0 {
            // Nothing was fetched: why not is as true for all who have asked by now.
            self.begin();
        }
        let number = self.number.load(Ordering::Relaxed);
        self.interest.lane.lock().last = Some((number, outcome.clone()));
        outcome
    }
}

/// Somebody who waits for a list.
struct Interest<'a> {
    lane: &'a Lane,
    reference_no: String,
    /// Fetches that had begun when it asked: too old for it.
    begun_before: u64,
}

impl<'a> Interest<'a> {
    fn begin(lane: &'a Lane, reference_no: &str) -> Self {
        let mut state = lane.lock();
        *state.wanted.entry(reference_no.to_owned()).or_default() += 1;
        Self { lane, reference_no: reference_no.to_owned(), begun_before: state.begun }
    }
}

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        if let Some(count) = state.wanted.get_mut(&self.reference_no) {
            *count -= 1;
            if *count == 0 {
                state.wanted.remove(&self.reference_no);
            }
        }
        if state.wanted.is_empty() {
            // Nobody may use it any more: whoever asks from now on needs a newer one.
            state.last = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::sync::{Notify, Semaphore};

    use super::*;
    use crate::domain::{time::Timestamp, vocabulary::VirtualPosStatus};

    fn row(reference: &str, kind: &str) -> String {
        format!(
            r#"{{"referans_kodu":"{reference}","tutar":"5.00","tur":"{kind}","status_detail":{{"status":"refund"}}}}"#
        )
    }

    #[test]
    fn a_payment_is_found_once_or_not_at_all() {
        let rows = [row("A", "islem"), row("A", "iade"), row("B", "islem"), row("B", "islem")];
        let listing = Listing::new(Rows::from_texts(rows, Timestamp(0)));
        assert_eq!(listing.state_of("A").unwrap().unwrap().status, VirtualPosStatus::Refunded);
        assert!(listing.state_of("B").unwrap_err().contains("several"));
        assert_eq!(listing.state_of("C"), Ok(None));
    }

    /// Fetches that end when they are let, each with as many rows as its number.
    struct Source {
        begun: AtomicU64,
        changed: Notify,
        let_go: Semaphore,
    }

    impl Source {
        fn new() -> Self {
            let let_go = Semaphore::new(0);
            Self { begun: AtomicU64::new(0), changed: Notify::new(), let_go }
        }

        /// Asks, and fetches where nobody else did.
        async fn ask(&self, lane: &Lane) -> Outcome {
            match lane.after_asking("1").await {
                Shared::Landed(outcome) => outcome,
                Shared::Own(flight) => {
                    flight.begin();
                    flight.land(self.fetch().await)
                }
            }
        }

        async fn fetch(&self) -> Outcome {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            self.changed.notify_one();
            self.let_go.acquire().await.unwrap().forget();
            let rows = (0..number).map(|n| row(&n.to_string(), "islem"));
            Ok(Arc::new(Listing::new(Rows::from_texts(rows, Timestamp(0)))))
        }

        async fn until_begun(&self, number: u64) {
            while self.begun.load(Ordering::SeqCst) < number {
                self.changed.notified().await;
            }
        }
    }

    #[tokio::test]
    async fn whoever_asks_during_a_fetch_shares_the_next_one() {
        let (lane, source) = (Lane::default(), Source::new());
        let ask = || async { source.ask(&lane).await.unwrap().rows.len() };
        let first = ask();
        let later = async {
            source.until_begun(1).await;
            let all = join_all((0..50).map(|_| ask()));
            let release = async {
                tokio::task::yield_now().await;
                source.let_go.add_permits(10);
            };
            tokio::join!(all, release).0
        };
        let (first, later) = tokio::join!(first, later);
        assert_eq!(first, 1);
        assert_eq!(later, vec![2; 50]);
        assert_eq!(source.begun.load(Ordering::SeqCst), 2);
        assert!(lane.lock().last.is_none(), "no list is kept for nobody");
    }

    #[tokio::test]
    async fn a_fetch_that_is_given_up_leaves_the_next_one_free() {
        let (lane, source) = (Lane::default(), Source::new());
        {
            let mut given_up = std::pin::pin!(source.ask(&lane));
            tokio::select! {
                biased;
                _ = &mut given_up => panic!("nobody let it go"),
                () = source.until_begun(1) => {}
            }
        }
        source.let_go.add_permits(1);
        let listing = source.ask(&lane).await.unwrap();
        assert_eq!(listing.rows.len(), 2);
        assert!(lane.lock().wanted.is_empty());
    }

    #[tokio::test]
    async fn an_answer_from_before_the_question_is_not_shared() {
        let (lane, source) = (Lane::default(), Source::new());
        source.let_go.add_permits(10);
        for number in 1..=3 {
            let listing = source.ask(&lane).await.unwrap();
            assert_eq!(listing.rows.len(), number);
        }
    }

    #[tokio::test]
    async fn whoever_asks_before_the_request_leaves_shares_it() {
        let (lane, source) = (Lane::default(), Source::new());
        source.let_go.add_permits(10);
        let Shared::Own(flight) = lane.after_asking("1").await else { panic!("nobody else asked") };
        let late = async {
            let lists = join_all((0..50).map(|_| source.ask(&lane)));
            let fly = async {
                // They wait for the flight by now, and it for its place in the quota.
                tokio::task::yield_now().await;
                flight.begin();
                flight.land(source.fetch().await)
            };
            tokio::join!(lists, fly).0
        };
        let rows: Vec<usize> =
            late.await.into_iter().map(|list| list.unwrap().rows.len()).collect();
        assert_eq!(rows, vec![1; 50]);
    }

    #[tokio::test]
    async fn a_fetch_that_never_left_fails_for_all_who_asked() {
        let (lane, source) = (Lane::default(), Source::new());
        let Shared::Own(flight) = lane.after_asking("1").await else { panic!("nobody else asked") };
        let detail = "no token".to_owned();
        let at = crate::api::error::At {
            connection: crate::domain::ids::ConnectionId::try_new("acme").unwrap(),
            operation: "list",
        };
        let fail = async {
            tokio::task::yield_now().await;
            flight.land(Err(Error::Protocol { at, detail }))
        };
        let (all, _) = tokio::join!(join_all((0..50).map(|_| source.ask(&lane))), fail);
        assert!(all.iter().all(Result::is_err));
        assert_eq!(source.begun.load(Ordering::SeqCst), 0);
    }
}
