//! Progress of long work on stderr: bars and spinners on a terminal, nothing or log lines
//! elsewhere. indicatif hides itself where stderr is no terminal.

use std::{
    io::IsTerminal,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::{
    app::Shown,
    domain::words::counted,
    poll::history::{Begun, History},
    telemetry::{clock::now, logs::Around},
};

/// All bars of the process, so that log lines can make room for themselves.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
const TICK: Duration = Duration::from_millis(120);
/// Between two looks at what a running connector does.
const LOOK: Duration = Duration::from_secs(1);
/// Bars count in thousandths.
const WHOLE: u64 = 1000;

/// How log lines are written beside bars; `None` where stderr is no terminal and shows none.
pub(super) fn beside_bars() -> Option<Around> {
    std::io::stderr().is_terminal().then_some(|write| BARS.suspend(write))
}

/// Shows restores and backfills as bars until `stop`; where none are drawn, the log says it.
pub(super) async fn follow(shown: Shown, stop: CancellationToken) {
    let (mut restore, mut backfill) = (Line::new("restoring"), Line::new("reading history"));
    let mut begun = None;
    while !stop.is_cancelled() {
        let at = now();
        restore.show(shown.restores.offsets().map(|(read, end)| {
            let done = read.saturating_mul(WHOLE).checked_div(end).unwrap_or(0);
            (done, format!("record {read} of {end}"))
        }));
        let history = History::of(&shown.board.snapshot(), at);
        let since =
            *begun.get_or_insert_with(|| Begun { at, ratio: history.map_or(0.0, |h| h.ratio) });
        if history.is_none() {
            begun = None;
        }
        backfill.show(history.map(|history| {
            let eta = since.eta(at, history.ratio).map(humantime::format_duration);
            let eta = eta.map_or_else(String::new, |eta| format!(", about {eta} left"));
            let History { entities, done, rows, .. } = history;
            let words = format!("{done} of {entities} done, {}{eta}", counted(rows, "row"));
            (history.percent() * WHOLE / 100, words)
        }));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// A bar that is only there while there is something to show.
struct Line {
    title: &'static str,
    bar: Option<ProgressBar>,
}

impl Line {
    const fn new(title: &'static str) -> Self {
        Self { title, bar: None }
    }

    fn show(&mut self, progress: Option<(u64, String)>) {
        let Some((done, words)) = progress else {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
                BARS.remove(&bar);
            }
            return;
        };
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent} % {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(WHOLE).with_style(style).with_prefix(self.title);
            BARS.add(bar)
        });
        bar.set_message(words);
        bar.set_position(done);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.show(None);
    }
}

/// A spinner that goes away when it is dropped.
#[derive(Debug)]
pub(super) struct Spinner {
    bar: ProgressBar,
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        BARS.remove(&self.bar);
    }
}

/// A spinner with words.
pub(super) fn spinner(words: impl Into<String>) -> Spinner {
    let bar = BARS.add(ProgressBar::new_spinner().with_message(words.into()));
    bar.enable_steady_tick(TICK);
    Spinner { bar }
}

/// A spinner that counts up with `number`.
pub(super) fn count(words: &'static str, number: Arc<AtomicU64>) -> Spinner {
    let style = ProgressStyle::with_template("{spinner} {count} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let style = style.with_key("count", move |_: &_, out: &mut dyn std::fmt::Write| {
        // A spinner that cannot be drawn is no reason to stop.
        write!(out, "{}", number.load(Ordering::Relaxed)).unwrap_or_default();
    });
    let bar = BARS.add(ProgressBar::new_spinner().with_style(style).with_message(words));
    bar.enable_steady_tick(TICK);
    Spinner { bar }
}
