//! How a line of the table of metrics becomes a metric.

use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

/// Buckets of a histogram, in seconds.
pub(super) type Buckets = &'static [f64];

/// Of everything that a person waits for.
pub(super) const LATENCY: Buckets =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Of what may wait for others, or for a person.
pub(super) const HOURS: Buckets = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3_600.0, 21_600.0,
];

/// Name, labels, and what it says.
#[cfg(test)]
pub(super) type Described = (&'static str, &'static [&'static str], &'static str);

/// A type of metric.
pub(super) trait Define: Sized {
    /// As Prometheus calls it.
    #[cfg(test)]
    const TYPE: &'static str;

    /// One with this name, text and labels; types without labels have none. The buckets are for
    /// histograms.
    fn define(
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: Buckets,
    ) -> prometheus::Result<Self>;
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

fn timed(name: &str, help: &str, buckets: Buckets) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
}

/// A label that the type cannot have must not be dropped in silence.
fn unlabelled(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Opts> {
    match labels {
        [] => Ok(Opts::new(name, help)),
        _ => Err(prometheus::Error::Msg(format!("{name} is of a type without labels"))),
    }
}

macro_rules! define {
    ($(
        $kind:ty, $type:literal,
        |$name:ident, $help:ident, $labels:ident, $buckets:pat_param| $made:expr;
    )*) => {$(
        impl Define for $kind {
            #[cfg(test)]
            const TYPE: &'static str = $type;

            fn define(
                $name: &str,
                $help: &str,
                $labels: &[&str],
                $buckets: Buckets,
            ) -> prometheus::Result<Self> {
                $made
            }
        }
    )*};
}

define! {
    IntCounterVec, "counter", |name, help, labels, _| Self::new(Opts::new(name, help), labels);
    CounterVec, "counter", |name, help, labels, _| Self::new(Opts::new(name, help), labels);
    IntCounter, "counter", |name, help, labels, _| Self::with_opts(unlabelled(name, help, labels)?);
    IntGaugeVec, "gauge", |name, help, labels, _| Self::new(Opts::new(name, help), labels);
    GaugeVec, "gauge", |name, help, labels, _| Self::new(Opts::new(name, help), labels);
    IntGauge, "gauge", |name, help, labels, _| Self::with_opts(unlabelled(name, help, labels)?);
    Gauge, "gauge", |name, help, labels, _| Self::with_opts(unlabelled(name, help, labels)?);
    HistogramVec, "histogram", |name, help, labels, buckets| {
        Self::new(timed(name, help, buckets), labels)
    };
    Histogram, "histogram", |name, help, labels, buckets| {
        unlabelled(name, help, labels)?;
        Self::with_opts(timed(name, help, buckets))
    };
}
