//! Progress of long work on stderr: bars and spinners on a terminal, nothing or log lines
//! elsewhere. indicatif hides itself where stderr is no terminal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// A spinner that goes away when it is dropped.
#[derive(Debug)]
pub(super) struct Spinner {
    bar: ProgressBar,
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A spinner with words.
pub(super) fn spinner(words: impl Into<String>) -> Spinner {
    let bar = ProgressBar::new_spinner().with_message(words.into());
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
    let bar = ProgressBar::new_spinner().with_style(style).with_message(words);
    bar.enable_steady_tick(TICK);
    Spinner { bar }
}
