//! Three brokers and three replicas, of which two must hold a record: one broker that dies, leaves
//! or loses its disk stops nobody, two of them make a pause.

use super::{
    CONNECTIONS, DEADLINE,
    checker::{Late, Topics},
    churn::{Churn, SMALL},
    settle,
    tail::Tail,
};
use crate::harness::{
    cluster::{BROKERS, Cluster, GROUPS, TRANSACTIONS},
    http,
    process::Process,
    random::Random,
    registry::shared_registry,
    source::{Setup, Source},
    topics::unique_prefix,
    wait::wait_until,
};

const TOO_FEW_BROKERS: &str = "VOM-KFK-011";
const GROUP_LOST: &str = "VOM-SHD-012";
const STATE: &str = "internal.state";
/// Changes of the source at a time.
const STEPS: usize = 20;
/// New rows of each account that a fault meets on their way.
const CAUGHT: usize = 5;

#[test]
fn brokers_that_die_leave_and_come_back_lose_and_repeat_nothing() {
    let mut random = Random::seeded("brokers");
    let mut cluster = Cluster::new();
    let brokers = cluster.bootstrap();
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("brokers");
    let topics = Topics { brokers: &brokers, registry: shared_registry().url(), prefix: &prefix };
    let mut churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup { replicas: 3, shards: 1, ..Setup::at(&brokers, &prefix) };
    let home = source.home_of(&setup);

    cluster.start(&[0, 1]);
    let mut connector = home.run();
    connector.wait_for_line(TOO_FEW_BROKERS, DEADLINE);
    let said = readiness(&mut connector);
    let reason = said.lines().find(|line| line.starts_with("[-]")).unwrap_or_default();
    assert!(reason.contains("topics: creating topic") && reason.contains("fewer"), "{said}");
    cluster.start(&[2]);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    let mut tail = Tail::new(&topics);
    go_on(&mut churn, &mut tail);

    // The leader of the state dies while rows are under way.
    cluster.wait_for_replicas();
    let leader = cluster.leader(&format!("{prefix}.{STATE}"), 0);
    churn.flood(CAUGHT);
    cluster.kill9(&[leader]);
    go_on(&mut churn, &mut tail);
    cluster.start(&[leader]);
    go_on(&mut churn, &mut tail);

    // The coordinator of all transactions hands everything over and ends.
    cluster.wait_for_replicas();
    let coordinator = cluster.leader(TRANSACTIONS, 0);
    churn.flood(CAUGHT);
    cluster.stop(coordinator);
    go_on(&mut churn, &mut tail);
    cluster.start(&[coordinator]);
    go_on(&mut churn, &mut tail);

    // One loses its disk, and fetches everything from the others.
    cluster.wait_for_replicas();
    let victim = random.place(BROKERS);
    churn.flood(CAUGHT);
    cluster.kill9(&[victim]);
    cluster.replace(victim);
    go_on(&mut churn, &mut tail);
    cluster.start(&[victim]);
    go_on(&mut churn, &mut tail);

    // Two are away, the coordinator of the group one of them: a pause, until one of them is back.
    cluster.wait_for_replicas();
    let coordinator = cluster.leader(GROUPS, 0);
    // The one whose disk was lost stays where it can. The coordinator dies last: with two brokers alive
    // another one would be chosen, with one nobody can.
    let left = if victim == coordinator { (victim + 1) % BROKERS } else { victim };
    let other = BROKERS * (BROKERS - 1) / 2 - left - coordinator;
    let dead = [other, coordinator];
    churn.flood(CAUGHT);
    cluster.kill9(&dead);
    wait_until("it says that the group has lost it", DEADLINE, || {
        readiness(&mut connector).contains("[-] group")
    });
    let lost = connector.wait_for_line(GROUP_LOST, DEADLINE);
    assert!(lost.contains(&prefix), "{lost}");
    churn.flood(CAUGHT);
    cluster.start(&dead[..1]);
    go_on(&mut churn, &mut tail);
    connector.wait_for_status("/readyz", 200, DEADLINE);

    cluster.start(&dead[1..]);
    cluster.wait_for_replicas();
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Sometimes);
    assert!(connector.is_running(), "it never gave up: {}", connector.stderr());
}

/// Rows come, come late and are edited, and all of it is published.
#[track_caller]
fn go_on(churn: &mut Churn<'_>, tail: &mut Tail<'_>) {
    for _ in 0..STEPS {
        churn.step(tail);
    }
    let wanted = churn.wanted();
    wait_until("all that the source has is published", DEADLINE, || {
        tail.catch_up();
        tail.total() >= wanted
    });
}

fn readiness(connector: &mut Process) -> String {
    http::get(connector.address(DEADLINE), "/readyz?verbose").unwrap().body
}
