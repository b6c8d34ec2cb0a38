//! Faults that wait for their request, and which deaths they have met.

use std::collections::VecDeque;

use super::stage::Stage;

/// The name of a step, and a fault of the API.
pub(super) type Pair = (&'static str, (&'static str, &'static str));

/// A fault that befell a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meeting {
    pub(super) pair: Pair,
    /// Processes that had died with it in force or waiting before it befell one.
    pub(super) deaths: usize,
}

#[derive(Debug)]
struct Waiting {
    pair: Pair,
    spec: String,
    deaths: usize,
}

/// The faults of a life. One is in force at a time: of several that befall one request only one is felt.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The first is in force.
    waiting: VecDeque<Waiting>,
    pub(super) met: Vec<Meeting>,
    /// Whether the first has befallen a request, and may befall another one.
    has_begun: bool,
}

impl Script {
    /// One more, before or behind those that wait already.
    pub(super) fn add(&mut self, pair: Pair, spec: &str, comes_first: bool) {
        let fault = Waiting { pair, spec: spec.to_owned(), deaths: 0 };
        if comes_first {
            self.waiting.push_front(fault);
        } else {
            self.waiting.push_back(fault);
        }
    }

    /// Puts the first one in force.
    pub(super) fn begin(&mut self, stage: &Stage) {
        self.has_begun = false;
        match self.waiting.front() {
            Some(fault) => stage.faults(&[&fault.spec]),
            None => stage.faults(&[]),
        }
    }

    /// Asks the simulator whether the first one has befallen a request; where it has run out, the next
    /// one is in force.
    pub(super) fn look(&mut self, stage: &Stage) {
        let Some(fault) = self.waiting.front() else { return };
        let left = stage.simulator().faults();
        if left.first() == Some(&fault.spec) {
            return;
        }
        if !self.has_begun {
            self.met.push(Meeting { pair: fault.pair, deaths: fault.deaths });
            self.has_begun = true;
        }
        if left.is_empty() {
            self.waiting.pop_front();
            self.begin(stage);
        }
    }

    /// The process has died: what befell none of its requests waits on, and nothing else.
    pub(super) fn end(&mut self, stage: &Stage) {
        self.look(stage);
        if std::mem::take(&mut self.has_begun) {
            self.waiting.pop_front();
        }
        self.waiting.iter_mut().for_each(|fault| fault.deaths += 1);
        stage.faults(&[]);
    }

    /// Whether every fault has befallen a request.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() || self.waiting.len() == 1 && self.has_begun
    }
}
