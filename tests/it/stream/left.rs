//! A replica that ends in order has left its group by then: its successor need not wait until a
//! session times out.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use super::{DEADLINE, Scene};
use crate::harness::{kafka::shared_broker, process::Process, source::Setup, wait::wait_until};

const CALL: Duration = Duration::from_secs(30);
const RESTORED: &str = "VOM-SHD-002";
/// Leaving was once a race that was lost about every second time.
const RUNS: usize = 10;

/// The members that the broker counts to a group.
fn members(group: &str) -> Vec<String> {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", shared_broker().bootstrap()).create().unwrap();
    let found = client.fetch_group_list(Some(group), CALL).unwrap();
    let all = found.groups().iter().flat_map(|group| group.members());
    all.map(|member| member.id().to_owned()).collect()
}

#[test]
fn a_replica_that_ends_in_order_is_no_member_of_its_group_any_more() {
    let scene = Scene::new("left");
    // Much longer than a run: whoever has not left is still there.
    let setup = Setup { session_ms: 30_000, ..scene.setup() };
    let home = scene.source.home_of(&setup);
    for run in 0..RUNS {
        let mut replica = home.run();
        replica.wait_for_line(RESTORED, DEADLINE);
        assert_eq!(members(&scene.prefix).len(), 1, "run {run}: it is a member while it runs");
        end(&mut replica);
        assert_eq!(members(&scene.prefix), Vec::<String>::new(), "run {run}: it has left");
    }
}

/// Sends SIGTERM and waits for a clean end.
#[track_caller]
fn end(replica: &mut Process) {
    replica.sigterm();
    assert_eq!(replica.wait(DEADLINE), 0, "{}", replica.stderr());
}

#[test]
fn a_replica_without_shards_leaves_too_be_the_group_at_rest_or_not() {
    let scene = Scene::new("left-idle");
    let setup = Setup { session_ms: 8_000, shards: 1, ..scene.setup() };
    let homes = [0; 3].map(|_| scene.source.home_of(&setup));
    let mut owner = homes[0].run();
    owner.wait_for_line(RESTORED, DEADLINE);
    let join = |index: usize, count: usize| {
        let replica = homes[index].run();
        wait_until("it is a member", DEADLINE, || members(&scene.prefix).len() == count);
        replica
    };
    for run in 0..3 {
        let mut idle = join(1, 2);
        idle.wait_for_status("/readyz", 200, DEADLINE);
        end(&mut idle);
        assert_eq!(members(&scene.prefix).len(), 1, "run {run}: the owner alone is left");
        let mut idle = join(1, 2);
        idle.wait_for_status("/readyz", 200, DEADLINE);
        // The group is asked to gather again, which takes until each has sent a heartbeat.
        let mut third = join(2, 3);
        end(&mut idle);
        assert_eq!(members(&scene.prefix).len(), 2, "run {run}: it left in the middle of that");
        end(&mut third);
        assert_eq!(members(&scene.prefix).len(), 1, "run {run}: and so did the newest");
    }
    assert!(owner.is_running());
    end(&mut owner);
    assert_eq!(members(&scene.prefix), Vec::<String>::new());
}
