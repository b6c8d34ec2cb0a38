//! How a line of the table of metrics becomes a metric.

use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

/// Buckets of everything that a person waits for, in seconds.
const LATENCY_BUCKETS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Name, labels, and what it says.
#[cfg(test)]
pub(super) type Described = (&'static str, &'static [&'static str], &'static str);

/// A type of metric.
pub(super) trait Define: Sized {
    /// As Prometheus calls it.
    #[cfg(test)]
    const TYPE: &'static str;

    /// One with this name, text and labels; types without labels have none.
    fn define(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

/// Adds it to the registry.
pub(super) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    // A duplicate or malformed name is a mistake in the table that the first test run shows.
    #[expect(clippy::expect_used, reason = "the names are literals of the table")]
    let metric = metric.expect("metric definition");
    #[expect(clippy::expect_used, reason = "the names are literals of the table")]
    registry.register(Box::new(metric.clone())).expect("unique metric name");
    metric
}

fn timed(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec())
}

/// A label that the type cannot have must not be dropped in silence.
fn unlabelled(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Opts> {
    match labels {
        [] => Ok(Opts::new(name, help)),
        _ => Err(prometheus::Error::Msg(format!("{name} is of a type without labels"))),
    }
}

macro_rules! define {
    ($($kind:ty, $type:literal, |$name:ident, $help:ident, $labels:ident| $made:expr;)*) => {$(
        impl Define for $kind {
            #[cfg(test)]
            const TYPE: &'static str = $type;

            fn define($name: &str, $help: &str, $labels: &[&str]) -> prometheus::Result<Self> {
                $made
            }
        }
    )*};
}

define! {
    IntCounterVec, "counter", |name, help, labels| Self::new(Opts::new(name, help), labels);
    CounterVec, "counter", |name, help, labels| Self::new(Opts::new(name, help), labels);
    IntCounter, "counter", |name, help, labels| Self::with_opts(unlabelled(name, help, labels)?);
    IntGaugeVec, "gauge", |name, help, labels| Self::new(Opts::new(name, help), labels);
    GaugeVec, "gauge", |name, help, labels| Self::new(Opts::new(name, help), labels);
    IntGauge, "gauge", |name, help, labels| Self::with_opts(unlabelled(name, help, labels)?);
    Gauge, "gauge", |name, help, labels| Self::with_opts(unlabelled(name, help, labels)?);
    HistogramVec, "histogram", |name, help, labels| Self::new(timed(name, help), labels);
    Histogram, "histogram", |name, help, labels| {
        unlabelled(name, help, labels)?;
        Self::with_opts(timed(name, help))
    };
}
