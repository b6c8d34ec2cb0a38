//! From a command produced to its request at the API, on a broker that does nothing else.

use std::time::{Duration, Instant};

use crate::{
    api::{ANSWER, Api},
    deployment::Deployment,
    measure::{DEADLINE, judged},
    shop::Shop,
};

const COMMANDS: usize = 400;
/// The first ones find cold connections and a schema that is not known yet.
const WARM_UP: usize = 20;
const P99_MS_MAX: f64 = 150.0;

/// Runs it and says what came out.
pub(crate) fn run() -> String {
    let api = Api::start();
    let deployment = Deployment::new(&api);
    let shop = Shop::new(&deployment.brokers, &deployment.topic("payment.commands"));
    let (mut connector, _) = deployment.own();
    let (mut added, mut looks) = (Vec::new(), Vec::new());
    for n in 0..WARM_UP + COMMANDS {
        let produced = Instant::now();
        shop.send(n);
        let post = api.posts.recv_timeout(DEADLINE).expect("a request for the command");
        if n >= WARM_UP {
            let total = post.at - produced;
            added.push(total.saturating_sub(post.looked));
            looks.push(post.looked);
        }
        // Its result is committed by then; the next one comes at any moment of a poll or a fetch.
        std::thread::sleep(ANSWER + Duration::from_millis(50 + (n as u64 * 37) % 150));
    }
    connector.kill9();
    let (p50, p99, most) = (percentile(&mut added, 50), percentile(&mut added, 99), added.last());
    format!(
        "{COMMANDS} single commands, produced to request at the API without the look\n  \
         p50 {p50:.1} ms, p99 {p99:.1} ms ({}), at most {:.1} ms\n  \
         the look itself (find and list, as the API sees it): p50 {:.1} ms",
        judged(p99, P99_MS_MAX),
        millis(*most.unwrap()),
        percentile(&mut looks, 50),
    )
}

/// Sorts them; in milliseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).max(1) - 1;
    millis(*times.get(place).unwrap())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
