//! Schedules and windows of the streams.

use std::time::Duration;

use super::Review;
use crate::config::{
    duration::Span,
    model,
    shape::{
        self, Section,
        rules::{LOOKBACK_DAYS_MAX, START_DAYS_MAX},
    },
    tree::Step,
};

/// Vomsis documents five minutes between calls.
const POLL_INTERVAL_ADVISED: Duration = Duration::from_mins(5);

/// The keys that every stream of dated rows has.
struct Dated {
    poll_interval: Span,
    start: Span,
    lookback: Span,
    lookback_interval: Span,
    deletions: shape::Deletions,
    max_bad_ratio: f64,
    freshness_slo: Option<Span>,
    quiet_slo: Span,
}

macro_rules! dated {
    ($section:expr) => {
        Dated {
            poll_interval: $section.poll_interval,
            start: $section.start,
            lookback: $section.lookback,
            lookback_interval: $section.lookback_interval,
            deletions: $section.deletions,
            max_bad_ratio: $section.max_bad_ratio,
            freshness_slo: $section.freshness_slo,
            quiet_slo: $section.quiet_slo,
        }
    };
}

macro_rules! slo {
    ($review:expr, $path:expr, $section:expr) => {
        slo($review, $path, $section.poll_interval, ($section.freshness_slo, $section.quiet_slo))
    };
}

/// Validates all streams of one connection; `path` is the connection's `streams`.
pub(crate) fn streams(
    review: &mut Review<'_>,
    path: &[Step<'_>],
    shape: &shape::Streams,
) -> model::Streams {
    let below = |key: &'static str| [path, &[Step::Key(key)]].concat();
    model::Streams {
        bank_transactions: on(&shape.bank_transactions).map(|section| {
            let path = below("bank_transactions");
            model::BankStream {
                following: following(review, &path, &dated!(section)),
                date_type: match section.date_type {
                    shape::DateType::SystemDate => model::DateType::SystemDate,
                    shape::DateType::AccountingDate => model::DateType::AccountingDate,
                },
                accounts: selection(review, &path, "accounts", &section.accounts),
                feed: match section.feed {
                    shape::Feed::Auto => model::Feed::Auto,
                    shape::Feed::Account => model::Feed::Account,
                    shape::Feed::Connection => model::Feed::Connection,
                },
                check_interval: review.above_zero(
                    &[&*path, &[Step::Key("check_interval")]].concat(),
                    section.check_interval,
                ),
            }
        }),
        pos_transactions: on(&shape.pos_transactions).map(|section| {
            let path = below("pos_transactions");
            model::PosStream {
                following: following(review, &path, &dated!(section)),
                terminals: selection(review, &path, "terminals", &section.terminals),
            }
        }),
        virtual_pos_transactions: on(&shape.virtual_pos_transactions).map(|section| {
            let path = below("virtual_pos_transactions");
            model::ListStream {
                poll_interval: poll_interval(review, &path, section.poll_interval),
                deletions: deletions(section.deletions),
                max_bad_ratio: ratio(review, &path, section.max_bad_ratio),
                slo: slo!(review, &path, section),
            }
        }),
        tos_payments: on(&shape.tos_payments).map(|section| {
            let path = below("tos_payments");
            model::TosStream { following: following(review, &path, &dated!(section)) }
        }),
        reference: on(&shape.reference).map(|section| {
            let path = below("reference");
            if section.quiet_slo > Span::seconds(0) {
                let path = [&*path, &[Step::Key("quiet_slo")]].concat();
                review.refuse(&path, "rows of these lists have no time of their own, so no age says that they are quiet: leave it out, or write 0s");
            }
            model::ReferenceStream {
                poll_interval: poll_interval(review, &path, section.poll_interval),
                slo: slo!(review, &path, section),
            }
        }),
    }
}

const fn on<T>(section: &Section<T>) -> Option<&T> {
    match section {
        Section::On(section) => Some(section),
        Section::Absent | Section::Off => None,
    }
}

fn following(review: &mut Review<'_>, path: &[Step<'_>], dated: &Dated) -> model::Following {
    let below = |key: &'static str| [path, &[Step::Key(key)]].concat();
    model::Following {
        poll_interval: poll_interval(review, path, dated.poll_interval),
        start_days: review.days(&below("start"), dated.start, 0, START_DAYS_MAX),
        lookback_days: review.days(&below("lookback"), dated.lookback, 1, LOOKBACK_DAYS_MAX),
        lookback_interval: review.above_zero(&below("lookback_interval"), dated.lookback_interval),
        deletions: deletions(dated.deletions),
        max_bad_ratio: ratio(review, path, dated.max_bad_ratio),
        slo: slo!(review, path, dated),
    }
}

fn poll_interval(review: &mut Review<'_>, path: &[Step<'_>], span: Span) -> Duration {
    let path = [path, &[Step::Key("poll_interval")]].concat();
    let interval = review.above_zero(&path, span);
    if !interval.is_zero() && interval < POLL_INTERVAL_ADVISED {
        review.warn(&path, format!("{span} is below the 5m between calls that Vomsis documents"));
    }
    interval
}

fn slo(
    review: &mut Review<'_>,
    path: &[Step<'_>],
    poll_interval: Span,
    (freshness, quiet): (Option<Span>, Span),
) -> model::Slo {
    let default = model::Slo::of_interval(poll_interval.0);
    let freshness = match freshness {
        None => default.freshness,
        Some(span) => {
            let path = [path, &[Step::Key("freshness_slo")]].concat();
            let freshness = span.0;
            if !freshness.is_zero() && freshness <= poll_interval.0 {
                review.warn(&path, format!("{span} is no longer than poll_interval: the stream will be stale between two polls"));
            }
            freshness
        }
    };
    model::Slo { freshness, quiet: quiet.0 }
}

fn ratio(review: &mut Review<'_>, path: &[Step<'_>], ratio: f64) -> f64 {
    if !(0.0..=1.0).contains(&ratio) {
        let path = [path, &[Step::Key("max_bad_ratio")]].concat();
        review.refuse(&path, "write a share from 0 to 1, such as 0.2");
    }
    ratio
}

const fn deletions(shape: shape::Deletions) -> model::Deletions {
    match shape {
        shape::Deletions::Ignore => model::Deletions::Ignore,
        shape::Deletions::Emit => model::Deletions::Emit,
    }
}

fn selection(
    review: &mut Review<'_>,
    path: &[Step<'_>],
    key: &'static str,
    shape: &shape::Selection,
) -> model::Selection {
    match shape {
        shape::Selection::All => model::Selection::All,
        shape::Selection::Ids(ids) => {
            if ids.is_empty() {
                let path = [path, &[Step::Key(key)]].concat();
                review.refuse(&path, "the list is empty; write all, ids, or switch the stream off");
            }
            model::Selection::Ids(ids.clone())
        }
    }
}
