//! More commands than a small quota or a slow API can send at once: how they share it.

use std::sync::Mutex;

use super::*;
use crate::{
    api::{
        payments::lists::{Lane, Listing, Shared},
        quota::{Blocked, Quota},
        rows::Rows,
    },
    config::model,
    sink::look::LOOK_AGE_MAX_MS,
};

const MINUTE: Duration = Duration::from_secs(60);

/// How a turn asks for its places.
#[derive(Clone, Copy)]
struct Manner {
    look: Purpose,
    list: Purpose,
    send: Purpose,
    /// The look's age counts from when it was thought of, and a place that comes too late is taken.
    is_careless: bool,
}

/// As it does.
const REAL: Manner = Manner {
    look: Purpose::Payment,
    list: Purpose::Payment.once_begun(),
    send: Purpose::Send,
    is_careless: false,
};
/// Who comes first goes first.
const BY_ARRIVAL: Manner = Manner {
    look: Purpose::Payment,
    list: Purpose::Payment,
    send: Purpose::Payment,
    is_careless: true,
};

/// What happened in a time of nothing but backlog.
#[derive(Debug, Default)]
struct Seen {
    sent: Vec<Duration>,
    too_late: usize,
    /// How long the looks at doubted payments took.
    doubts: Vec<Duration>,
    calls: usize,
}

/// The quota and the lists as they are, and calls that each take the same time.
struct Model {
    quota: Quota,
    lists: Lane,
    doubted: Lane,
    call: Duration,
    started: Instant,
    seen: Mutex<Seen>,
}

impl Model {
    fn new(requests_per_minute: u32, concurrency: usize, call: Duration) -> Arc<Self> {
        let limits = model::Quota { requests_per_minute, concurrency, reserved_for_payments: 0 };
        let waited = prometheus::Counter::new("waited", "waited").unwrap();
        Arc::new(Self {
            quota: Quota::new(limits, waited),
            lists: Lane::default(),
            doubted: Lane::default(),
            call,
            started: Instant::now(),
            seen: Mutex::default(),
        })
    }

    async fn permit(&self, purpose: Purpose) -> Result<Permit, Blocked> {
        let permit = self.quota.acquire(purpose, Api::VirtualPos).await?;
        self.seen.lock().unwrap().calls += 1;
        Ok(permit)
    }

    /// Answers with when its question left.
    async fn look(&self, (find, list): (Purpose, Purpose), lists: &Lane) -> Instant {
        let permit = self.permit(find).await.unwrap();
        let asked_at = Instant::now();
        tokio::time::sleep(self.call).await;
        drop(permit);
        if let Shared::Own(flight) = lists.after_asking("R").await {
            let permit = self.permit(list).await.unwrap();
            flight.begin();
            tokio::time::sleep(self.call).await;
            drop(permit);
            let rows = Rows::from_texts(Vec::<String>::new(), Timestamp(0));
            flight.land(Ok(Arc::new(Listing::new(rows)))).unwrap();
        }
        asked_at
    }

    /// One command after the other, for ever.
    async fn pay(&self, manner: Manner) {
        let age_max = Duration::from_millis(LOOK_AGE_MAX_MS.unsigned_abs());
        loop {
            let begun_at = Instant::now();
            let asked_at = self.look((manner.look, manner.list), &self.lists).await;
            let permit = if manner.is_careless {
                let permit = self.permit(manner.send).await.unwrap();
                (begun_at.elapsed() <= age_max).then_some(permit)
            } else {
                let patience = age_max.saturating_sub(asked_at.elapsed());
                let permit = tokio::time::timeout(patience, self.permit(manner.send)).await;
                permit.ok().map(Result::unwrap)
            };
            let Some(permit) = permit else {
                self.seen.lock().unwrap().too_late += 1;
                continue;
            };
            tokio::time::sleep(self.call).await;
            drop(permit);
            self.seen.lock().unwrap().sent.push(self.started.elapsed());
        }
    }

    /// A doubt to look up every few minutes.
    async fn ask(&self) {
        loop {
            tokio::time::sleep(MINUTE * 7).await;
            let from = Instant::now();
            self.look((Purpose::Doubt, Purpose::Doubt.once_begun()), &self.doubted).await;
            self.seen.lock().unwrap().doubts.push(from.elapsed());
        }
    }

    /// Three hours with a backlog in 64 lanes.
    async fn run(self: Arc<Self>, manner: Manner) -> Seen {
        self.run_for(MINUTE * 180, manner).await
    }

    async fn run_for(self: Arc<Self>, time: Duration, manner: Manner) -> Seen {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let model = Arc::clone(&self);
            tasks.spawn(async move { model.pay(manner).await });
        }
        let model = Arc::clone(&self);
        tasks.spawn(async move { model.ask().await });
        tokio::time::sleep(time).await;
        tasks.shutdown().await;
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Seen {
    /// Sent in each hour.
    fn hours(&self) -> [usize; 3] {
        [0, 1, 2].map(|hour| {
            let within = |at: &&Duration| at.as_secs() / 3600 == hour;
            self.sent.iter().filter(within).count()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_sent_steadily_however_small_the_quota_or_slow_the_api() {
    for (requests_per_minute, concurrency, seconds, calls_per_minute) in [
        (10, 2, 0.2, 10.0),
        (20, 2, 0.2, 20.0),
        (60, 2, 0.2, 60.0),
        (60, 2, 8.0, 15.0),
        (60, 1, 20.0, 3.0),
        (3, 1, 0.2, 3.0),
        (1, 1, 0.2, 1.0),
        (600, 8, 30.0, 16.0),
    ] {
        let call = Duration::from_secs_f64(seconds);
        let seen = Model::new(requests_per_minute, concurrency, call).run(REAL).await;
        let about = format!("{requests_per_minute}/min, {concurrency} of {call:?}: {seen:?}");
        assert_eq!(seen.too_late, 0, "{about}");
        // A look, its list and its request; the doubts' calls beside them.
        let least = (calls_per_minute * 60.0 - 2.0 * 60.0 / 7.0) / 3.0 * 0.9;
        for sent in seen.hours() {
            assert!(sent as f64 >= least, "{sent} of {least} an hour: {about}");
        }
        // What is under way, and its own two calls; nothing else goes before them.
        let turn = call + MINUTE.div_f64(calls_per_minute);
        assert!(seen.doubts.len() >= 20 && seen.doubts.iter().all(|t| *t <= turn * 3), "{about}");
    }
}

#[tokio::test(start_paused = true)]
async fn looks_that_begin_together_share_their_list() {
    let seen = Model::new(60, 2, Duration::from_millis(200)).run(REAL).await;
    let calls = seen.calls as f64 / seen.sent.len() as f64;
    assert!(calls < 2.2, "{calls} calls a command");
}

#[tokio::test(start_paused = true)]
async fn with_an_ample_quota_nobody_waits_for_more_than_the_list_that_is_on_its_way() {
    let call = Duration::from_millis(20);
    let seen = Model::new(6_000_000, 100, call).run_for(MINUTE, REAL).await;
    // The find, a list that has left already, the next one, the request.
    let least = 64.0 * 60.0 / (call * 4).as_secs_f64() * 0.95;
    assert!(seen.sent.len() as f64 >= least, "{} of {least}", seen.sent.len());
    let alone = Model::new(60, 2, call);
    let (purposes, begun) = ((REAL.look, REAL.list), Instant::now());
    alone.look(purposes, &alone.lists).await;
    assert!(begun.elapsed() <= call * 2 + call / 4, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn by_arrival_alone_a_backlog_would_never_be_sent() {
    let seen = Model::new(10, 2, Duration::from_millis(200)).run(BY_ARRIVAL).await;
    assert_eq!(seen.hours(), [0; 3], "the model can fail: {seen:?}");
    assert!(seen.too_late > 100, "{seen:?}");
}

/// A client with one call at a time, and its server.
async fn one_at_a_time() -> (Fake, Arc<Client>) {
    let fake = Fake::with_token(|path, _| match path {
        "/transaction/find" => json(200, &found("Başarılı", "100.00")),
        _ => json(200, &listed("R1", "successful", "null")),
    })
    .await;
    let mut connection = connection(&fake.url, fake.dir.path());
    connection.quota.concurrency = 1;
    let client = Client::new(&Arc::new(connection), Arc::clone(&fake.metrics)).unwrap();
    client.payment_state(Purpose::Doubt, "R1").await.unwrap();
    (fake, Arc::new(client))
}

#[tokio::test]
async fn who_may_send_goes_before_those_that_look_and_those_share_one_list() {
    let (fake, client) = one_at_a_time().await;
    let first = client.ready_to_pay().await.unwrap();
    let mut looks = tokio::task::JoinSet::new();
    let look = |purpose| {
        let client = Arc::clone(&client);
        async move { client.look(purpose, Wanted::Sum, "R1").await.unwrap().asked_at }
    };
    for _ in 0..30 {
        looks.spawn(look(Purpose::Payment));
    }
    let wait = || tokio::time::sleep(Duration::from_millis(50));
    wait().await;
    let ready = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.ready_to_pay().await.unwrap() }
    });
    wait().await;
    let asked = now();
    drop(first);
    let second = ready.await.unwrap();
    wait().await;
    assert_eq!(fake.count("/transaction/find"), 1, "nobody looks before it has sent");
    let mut doubts = tokio::task::JoinSet::new();
    doubts.spawn(look(Purpose::Doubt));
    wait().await;
    drop(second);
    let doubted = doubts.join_next().await.unwrap().unwrap();
    let looked = looks.join_all().await;
    assert!(looked.iter().all(|at| *at >= doubted && *at >= Timestamp(asked.0 + 50)), "{looked:?}");
    // The first one's, the doubt's, and one that all share.
    assert_eq!(fake.count("/transactions-list"), 3);
}

#[tokio::test]
async fn the_token_that_all_wait_for_goes_before_those_that_begin() {
    let (fake, client) = one_at_a_time().await;
    let held = client.ready_to_pay().await.unwrap();
    let mut looks = tokio::task::JoinSet::new();
    let look = || {
        let client = Arc::clone(&client);
        async move { client.look(Purpose::Payment, Wanted::Sum, "R1").await.map(drop) }
    };
    let wait = || tokio::time::sleep(Duration::from_millis(50));
    for _ in 0..5 {
        looks.spawn(look());
    }
    wait().await;
    // These five wait for their turn; the sixth finds no token and asks for a new one.
    held.access.forget(held.token.generation);
    looks.spawn(look());
    wait().await;
    let before = fake.seen.lock().unwrap().len();
    drop(held);
    assert!(looks.join_all().await.iter().all(Result::is_ok));
    let next = fake.seen.lock().unwrap().get(before).map(|seen| seen.line.clone());
    assert_eq!(next.as_deref(), Some("POST /auth/token"));
}
