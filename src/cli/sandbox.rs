//! `sandbox`: everything in one process, without an account or a broker.

mod orders;

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Context, Exit, Failure,
    glance::Glance,
    output,
    run::{serve, stop_on_signals},
    tail::{follow, line},
};
use crate::{
    app::Broker,
    config::duration::Span,
    domain::words::counted,
    kafka::{topics, viewing},
    sandbox::{
        Simulator, SimulatorOptions,
        embedded::{self, Embedded},
        simulator::StartError,
    },
};

/// Rows a second that arrive while somebody watches.
const ARRIVALS: f64 = 2.0;

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End by itself after this long.
    #[arg(long = "for", value_name = "DURATION", value_parser = super::duration)]
    pub for_: Option<Span>,
    /// Only the simulator, for tests and Compose.
    #[arg(long)]
    pub api_only: bool,
    /// Where the simulator listens; port 0 takes any free port and prints it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Of the generator: another seed gives other rows.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs until Ctrl-C or `--for`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    output::only_lines(context, "sandbox")?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    if let Some(span) = args.for_ {
        stop_after(span.0, stop.clone());
    }
    let options = SimulatorOptions {
        listen: args.listen,
        seed: args.seed,
        arrivals_per_second: ARRIVALS,
        ..SimulatorOptions::default()
    };
    let to_people = context.output.is_none() && io::stdout().is_terminal();
    if args.api_only {
        api_only(options, stop).await
    } else {
        whole(options, to_people, stop).await
    }
}

fn stop_after(time: Duration, stop: CancellationToken) {
    tokio::spawn(async move {
        sleep(time).await;
        stop.cancel();
    });
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// With what the system says of an address that is taken.
fn not_started(error: StartError) -> Failure {
    let said = Failure::new(Exit::Failed, format!("{:#}", anyhow::Error::from(error)));
    said.hint("name another address with --listen; port 0, the default, takes any free one")
}

async fn api_only(options: SimulatorOptions, stop: CancellationToken) -> Result<(), Failure> {
    let simulator = Simulator::start(options).await.map_err(not_started)?;
    output::write(&format!("{}\n", simulator.base_url()))?;
    eprintln!("simulator listening; app_key sandbox-key, app_secret sandbox-secret; Ctrl-C ends");
    stop.cancelled().await;
    simulator.stop().await;
    Ok(())
}

async fn whole(
    options: SimulatorOptions,
    to_people: bool,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("vomsis-sandbox-{}", std::process::id()));
    let embedded = Embedded::start(options, &folder).await.map_err(|error| match error {
        embedded::Error::Simulator(error) => not_started(error),
        other => failed(other),
    })?;
    let config = Arc::new(embedded.config.clone());
    let shown: Vec<String> = topics::desired(&config.kafka, true)
        .into_iter()
        .map(|topic| topic.name)
        .filter(|name| !name.contains(".internal."))
        .collect();
    legend(&embedded, &shown, to_people);
    orders::add_payments(&embedded)?;
    let ordering = orders::submit(embedded.config.clone(), stop.clone());
    let orders = tokio::spawn(or_stop(ordering, Result::is_err, stop.clone()));
    let connector =
        serve(Arc::clone(&config), embedded.config_hash.clone(), Broker::Mock, false, stop.clone());
    let (kafka, registry) = (config.kafka.clone(), config.schema_registry.clone());
    let reader_stop = stop.clone();
    let from = viewing::From::Beginning;
    let reading = async move {
        let mut events = 0_u64;
        let prefix = kafka.topic("");
        let outcome = follow(&kafka, &registry, &shown, from, reader_stop, |viewed, value| {
            events += 1;
            let line = if to_people {
                let topic = viewed.topic.strip_prefix(&prefix).unwrap_or(&viewed.topic);
                output::fit(&Glance::of(&value).line(&viewed.key, topic))
            } else {
                line(viewed, value, false)
            };
            output::write(&format!("{line}\n"))?;
            Ok(true)
        })
        .await;
        (events, outcome)
    };
    // Nobody reads any more, so nothing need be shown.
    let reader = tokio::spawn(or_stop(reading, |_| true, stop.clone()));
    let outcome = connector.await;
    stop.cancel();
    let ordered = orders.await.map_err(failed)?;
    let (events, read) = reader.await.map_err(failed)?;
    // Secrets of the sandbox are no secrets, and its cache is of no use to anybody.
    drop(std::fs::remove_dir_all(&folder));
    let events = counted(events, "event");
    eprintln!("{events}; the sandbox ended cleanly");
    outcome.and(read).and(ordered)
}

/// Goes on with a part of the sandbox until it ends, and lets all others end where its end `is_last`.
async fn or_stop<T>(
    part: impl Future<Output = T>,
    is_last: impl FnOnce(&T) -> bool,
    stop: CancellationToken,
) -> T {
    let ended = part.await;
    if is_last(&ended) {
        stop.cancel();
    }
    ended
}

fn legend(embedded: &Embedded, topics: &[String], to_people: bool) {
    eprintln!("sandbox: an invented company with bank accounts, POS terminals and a virtual POS");
    eprintln!("  source systems   {}", embedded.simulator.base_url());
    eprintln!("  schema registry  {}", embedded.registry.url());
    eprintln!("  kafka (mock)     {}", embedded.broker.bootstrap_servers());
    eprintln!("  topics           {}", topics.join(" "));
    if to_people {
        eprintln!(
            "each line on stdout is one event: when (in Istanbul), amount, direction or state, key \
             (connection/account),"
        );
        eprintln!("what happened, topic, text; in a pipe, a file or with -o json the whole event.");
    } else {
        eprintln!("each line on stdout is one event: topic, key, value.");
    }
    eprintln!(
        "CREATED is a new row, UPDATED an edited one, DELETED one that disappeared. after three"
    );
    eprintln!("seconds a few payment commands are submitted; payment.results tells what became of");
    eprintln!("each. Ctrl-C ends.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_fails_ends_the_others_and_one_that_is_done_does_not() {
        let ends = async |part: Result<(), Failure>| {
            let stop = CancellationToken::new();
            let ended = or_stop(async { part }, Result::is_err, stop.clone()).await;
            (ended.is_ok(), stop.is_cancelled())
        };
        assert_eq!(ends(Ok(())).await, (true, false));
        assert_eq!(ends(Err(Failure::new(Exit::Failed, "no registry"))).await, (false, true));
    }
}
