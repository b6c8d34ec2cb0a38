//! A replica that ends in order has left its group by then: its successor need not wait until a
//! session times out.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use super::{DEADLINE, Scene};
use crate::harness::{kafka::shared_broker, source::Setup};

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
        replica.sigterm();
        assert_eq!(replica.wait(DEADLINE), 0, "{}", replica.stderr());
        assert_eq!(members(&scene.prefix), Vec::<String>::new(), "run {run}: it has left");
    }
}
