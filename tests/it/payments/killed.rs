//! Killed at every step of a command's way, whatever the API does meanwhile: the test about money.
//!
//! Each death has a fault of the API with it. Where the process dies before it asks for anything, the fault
//! waits for a successor that does; a death and a fault have met when the simulator has played the fault.

use std::{collections::BTreeSet, thread};

use vomsis_connect::{
    domain::money::Money,
    failpoints::Point,
    sink::{
        command::CommandKey,
        journal::{
            JournalEvent,
            records::{Finding, Resolve},
        },
        words,
    },
    telemetry::clock::now,
};

use super::{
    DEADLINE,
    checker::Checked,
    feed::Feed,
    meeting::{Meeting, Pair, Script},
    orders::Order,
    stage::Stage,
};
use crate::harness::{
    components::environment, process::Home, random::Random, topics::block_on, wait::wait_until,
};

/// Lives of a connector that each die at every step once; `VOMSIS_PAYMENT_LIVES` asks for more.
const LIVES: usize = 20;
const LIVES_VARIABLE: &str = "VOMSIS_PAYMENT_LIVES";
/// Lives side by side.
const AT_ONCE: usize = 10;
const SIGABRT: i32 = 128 + 6;
/// Times that a life asks anew for what its last faults wait for.
const ENCORES: usize = 20;
/// Hundredths of each payment: more than all refunds of a life.
const PAID: &str = "1000.00";

/// What the API does to some of the requests of a round, and where.
const FAULTS: [(&str, &str); 18] = [
    ("slow_answer=1ms", ""),
    ("applied_closed", ""),
    ("applied_504", ""),
    ("applied_late=600ms", ""),
    ("closed", ":change_payment"),
    ("deaf=700ms", ":transaction_find"),
    ("applied_html", ""),
    ("html", ":change_payment"),
    ("slow_answer=300ms", ""),
    ("slow_answer=3s", ""),
    ("declined=51", ""),
    ("declined=05", ""),
    ("contradictory", ""),
    ("applied_error", ""),
    ("declined=91", ""),
    ("500", ":change_payment"),
    ("401", ":change_payment"),
    ("429=1", ":change_payment"),
];
/// Of those, what leaves a request in doubt for certain.
const DOUBTFUL: [(&str, &str); 3] =
    [("applied_closed", ""), ("closed", ":change_payment"), ("applied_504", "")];

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn killed_at_every_step_it_asks_once_and_tells_the_truth() {
    let lives = environment(LIVES_VARIABLE).map_or(LIVES, |text| text.parse().unwrap());
    let mut random = Random::seeded("payments killed at every step");
    let mut seeds: Vec<(usize, Random)> = (0..lives).map(|life| (life, random.fork())).collect();
    let (mut met, mut meetings) = (Met::default(), Vec::new());
    while !seeds.is_empty() {
        let some = seeds.split_off(seeds.len().saturating_sub(AT_ONCE));
        thread::scope(|scope| {
            let running: Vec<_> = some
                .into_iter()
                .map(|(life, random)| scope.spawn(move || Life::new(life, random).live()))
                .collect();
            for life in running {
                let (other, more) = life.join().expect("a life failed, see above");
                met.add(&other);
                meetings.extend(more);
            }
        });
    }
    let deaths = lives * Point::OF_COMMANDS.len();
    let pairs: BTreeSet<Pair> = meetings.iter().map(|meeting| meeting.pair).collect();
    let after = |deaths| meetings.iter().filter(|meeting| meeting.deaths == deaths).count();
    println!("{lives} lives, {deaths} deaths, {} pairs of step and fault: {met:?}", pairs.len());
    println!(
        "{} faults befell the process that died with them, {} its successor, {} a later one",
        after(0),
        after(1),
        meetings.len() - after(0) - after(1),
    );
    met.assert_everything_happened();
    assert_eq!(meetings.len(), deaths, "each death met its fault");
    if lives >= FAULTS.len() {
        assert_every_pair(&pairs);
    }
}

/// What happened in all lives together.
#[derive(Debug, Default)]
struct Met {
    commands: usize,
    posts: usize,
    succeeded: usize,
    inferred: usize,
    declined: usize,
    rejected: usize,
    parked: usize,
    parked_although_moved: usize,
    not_sent: usize,
    taken_over: usize,
    unanswered: usize,
}

/// Each step meets each fault within as many lives as there are faults, whenever its round is.
fn fault_of(life: usize, point: Point) -> (&'static str, &'static str) {
    let place = Point::OF_COMMANDS.iter().position(|other| *other == point).unwrap();
    FAULTS[(life + place) % FAULTS.len()]
}

#[track_caller]
fn assert_every_pair(met: &BTreeSet<Pair>) {
    for point in Point::OF_COMMANDS.into_iter().filter(|point| *point != Point::DoubtLooked) {
        for fault in FAULTS {
            assert!(met.contains(&(point.name(), fault)), "{} never met {fault:?}", point.name());
        }
    }
}

/// Without running a life: the claim that the sweep rests on.
#[test]
fn eighteen_lives_bring_each_step_each_fault() {
    let lives = (0..FAULTS.len())
        .flat_map(|life| Point::OF_COMMANDS.map(|point| (point.name(), fault_of(life, point))));
    assert_every_pair(&lives.collect());
}

impl Met {
    fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.posts += other.posts;
        self.succeeded += other.succeeded;
        self.inferred += other.inferred;
        self.declined += other.declined;
        self.rejected += other.rejected;
        self.parked += other.parked;
        self.parked_although_moved += other.parked_although_moved;
        self.not_sent += other.not_sent;
        self.taken_over += other.taken_over;
        self.unanswered += other.unanswered;
    }

    fn of(checked: &Checked) -> Self {
        let doubted = |words: &'static str| move |event: &JournalEvent| matches!(event, JournalEvent::Doubted { detail, .. } if detail.contains(words));
        Self {
            commands: checked.newest.len(),
            posts: checked.posts.iter().count(),
            succeeded: checked.count("SUCCEEDED"),
            inferred: checked.inferred(),
            declined: checked.count("DECLINED"),
            rejected: checked.count("REJECTED"),
            parked: checked.count("PARKED"),
            parked_although_moved: usize::from(checked.parked_moved > Money::ZERO),
            not_sent: checked.journal.count(|e| matches!(e, JournalEvent::NotSent { .. })),
            taken_over: checked.journal.count(doubted("ended after its intent")),
            unanswered: checked.posts.iter().filter(|post| post.answered == Some(0)).count(),
        }
    }

    /// A sweep in which nothing went wrong would prove nothing.
    #[track_caller]
    fn assert_everything_happened(&self) {
        let all = [
            self.succeeded,
            self.inferred,
            self.declined,
            self.parked,
            self.not_sent,
            self.taken_over,
            self.unanswered,
        ];
        assert!(all.iter().all(|count| *count > 0), "{self:?}");
    }
}

/// One connector from its first command to its last, with all its deaths.
struct Life {
    number: usize,
    random: Random,
    stage: Stage,
    home: Home,
    feed: Feed,
    orders: Vec<Order>,
    references: Vec<String>,
    script: Script,
}

impl Life {
    fn new(number: usize, random: Random) -> Self {
        let stage = Stage::new("pay-killed");
        let (home, feed) = (stage.home(), stage.feed());
        let (orders, references, script) = (Vec::new(), Vec::new(), Script::default());
        Self { number, random, stage, home, feed, orders, references, script }
    }

    fn live(mut self) -> (Met, Vec<Meeting>) {
        let points = self.random.shuffled(Point::OF_COMMANDS.to_vec());
        for point in points {
            let fault = match point {
                Point::DoubtLooked => *self.random.pick(&DOUBTFUL),
                _ => fault_of(self.number, point),
            };
            self.die_at(point, fault);
        }
        let mut connector = self.home.run();
        self.meet_the_rest();
        let checked = self.stage.check(&self.orders);
        let met = Met::of(&checked);
        self.decide_what_is_parked(&checked);
        let decided = self.stage.check(&self.orders);
        assert_eq!(decided.count("PARKED"), 0, "each parked command was decided");
        assert_eq!(decided.parked_moved, Money::ZERO);
        assert!(connector.is_running(), "it never gave up: {}", connector.stderr());
        (met, self.script.met)
    }

    fn die_at(&mut self, point: Point, (fault, place): (&'static str, &'static str)) {
        let spec = format!("{fault}:x{}{place}", 1 + self.random.below(2));
        self.script.add((point.name(), (fault, place)), &spec, has_asked(point));
        self.script.begin(&self.stage);
        let orders = self.next_orders(point);
        self.stage.shop.send(&orders);
        self.orders.extend(orders);
        if self.random.below(3) == 0 {
            self.stage.shop.send([self.random.pick(&self.orders)]);
        }
        let name = format!("{}:{}", point.name(), 1 + self.random.below(hits_max(point)));
        let mut connector = self.home.run_with(&[("VOMSIS_FAILPOINT", &name)]);
        let what = format!("life {}: the process ends at {name} with {spec}", self.number);
        wait_until(&what, DEADLINE, || {
            self.script.look(&self.stage);
            !connector.is_running()
        });
        self.script.end(&self.stage);
        assert_eq!(connector.wait(DEADLINE), SIGABRT, "{what}: {}", connector.stderr());
        let said = format!("failpoint {} reached", point.name());
        assert!(connector.stderr().contains(&said), "{what}: {}", connector.stderr());
    }

    /// Every command comes to its end, and every fault that still waits to its request.
    fn meet_the_rest(&mut self) {
        self.script.begin(&self.stage);
        for _ in 0..ENCORES {
            let what = format!("life {}: one more command has its final result", self.number);
            let mut left = usize::MAX;
            while left > 0 {
                wait_until(&what, DEADLINE, || {
                    self.script.look(&self.stage);
                    self.feed.catch_up();
                    self.feed.unfinished(&self.orders) < left
                });
                left = self.feed.unfinished(&self.orders);
            }
            self.script.look(&self.stage);
            if self.script.is_over() {
                self.stage.faults(&[]);
                return;
            }
            let reference = self.new_payment();
            let connection = connection_of(&reference);
            let order = Order::refund(&reference, 1).of(connection);
            self.stage.shop.send([&order]);
            self.orders.push(order);
        }
        panic!("life {}: no request met {:?}", self.number, self.script);
    }

    /// Three commands, two of them about payments that nobody has asked about yet.
    fn next_orders(&mut self, point: Point) -> Vec<Order> {
        let mut orders = Vec::new();
        for number in 0..3_usize {
            let known = (number == 2).then(|| self.random.pick(&self.references).clone());
            let is_new = known.is_none();
            let reference = known.unwrap_or_else(|| self.new_payment());
            let connection = connection_of(&reference);
            // The doubt that a step needs must be one of a refund or cancel that can be done.
            let cancel = is_new && point != Point::DoubtLooked && self.random.below(5) == 0;
            let cents = i64::try_from(self.orders.len() + orders.len() + 1).unwrap();
            let order = match cancel {
                true => Order::cancel(&reference),
                false => Order::refund(&reference, cents),
            };
            orders.push(order.of(connection));
        }
        orders
    }

    fn new_payment(&mut self) -> String {
        let letter = if self.random.below(4) == 0 { 'B' } else { 'A' };
        let reference = format!("{letter}{}", self.references.len());
        self.stage.pay(&[&reference], PAID);
        self.references.push(reference.clone());
        reference
    }

    /// A person looks at the bank's books, and says for each parked command what they tell.
    fn decide_what_is_parked(&mut self, checked: &Checked) {
        for order in &self.orders {
            if checked.newest[&order.id]["outcome"] != "PARKED" {
                continue;
            }
            let moved = checked.posts_of(order).iter().any(|post| post.applied_ms.is_some());
            let outcome = if moved { Finding::Executed } else { Finding::NotExecuted };
            let (evidence, actor) = ("the bank's books".to_owned(), "ayse".to_owned());
            let decision = Resolve { outcome, evidence, actor, at: now() };
            let key = CommandKey::parse(&format!("{}/{}", order.key(), order.id)).unwrap();
            let partition = checked.journal.last(&order.id).unwrap().arrival().unwrap().partition;
            let kafka = self.stage.kafka();
            block_on(words::say_resolved(&kafka, partition, &key, &decision)).unwrap();
            let outcome = if moved { "SUCCEEDED" } else { "DECLINED" };
            self.feed.wait_for(order, outcome);
        }
    }
}

/// Whose the payments are that [`Life::new_payment`] makes.
fn connection_of(reference: &str) -> &'static str {
    if reference.starts_with('B') { "beta" } else { "acme" }
}

/// Whether a process that dies there has sent a request before.
const fn has_asked(point: Point) -> bool {
    matches!(
        point,
        Point::AnswerRead | Point::BeforeResult | Point::ResultCommitted | Point::DoubtLooked
    )
}

/// What one run reaches for certain, with three new commands.
const fn hits_max(point: Point) -> u64 {
    match point {
        Point::Sent => 10,
        Point::Begun | Point::BeforeCommit | Point::Committed => 4,
        _ => 1,
    }
}
