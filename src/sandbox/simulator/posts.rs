//! Every cancel and refund that was asked for, and what it did: what "never twice" is counted by.

use std::collections::BTreeMap;

use serde::Serialize;

use super::payment::Asked;
use crate::domain::{
    money::Money,
    payment::{Change, amounts},
};

/// One `POST /transaction` whose request came whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Post {
    /// Counted from 0.
    pub number: usize,
    /// The payment's reference; empty where the request had none.
    pub reference: String,
    /// `cancel`, `refund`, or what was sent instead.
    pub kind: String,
    /// The amount exactly as it was sent.
    pub amount: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub came_ms: i64,
    /// When it changed the payment; nothing where it did not.
    pub applied_ms: Option<i64>,
    /// What it gave back; nothing for a cancel, and where it did not change anything.
    #[serde(with = "amounts")]
    pub gave_back: Option<Money>,
    /// What it met: `applied`, `declined CODE`, `unknown reference`, `late` where it is still to be
    /// applied, `refused` where it never reached the ledger; empty while it is under way.
    pub outcome: String,
    /// The status that was answered, 0 where the connection was closed instead.
    pub answered: Option<u16>,
}

/// All of them, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Posts(Vec<Post>);

/// The posts about one payment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PostCounts {
    /// How often it was asked for a change.
    pub posts: usize,
    /// How often it was changed.
    pub applied: usize,
}

/// The money that these refunds gave back, whatever its currency.
pub(super) fn gave_back<'a>(posts: impl Iterator<Item = &'a Post>) -> Money {
    Money::from_unscaled(posts.filter_map(|post| post.gave_back).map(Money::unscaled).sum())
}

impl Posts {
    /// Each post.
    pub fn iter(&self) -> impl Iterator<Item = &Post> {
        self.0.iter()
    }

    /// The posts about one payment.
    pub fn of<'a>(&'a self, reference: &'a str) -> impl Iterator<Item = &'a Post> {
        self.iter().filter(move |post| post.reference == reference)
    }

    /// How often each payment was asked for a change, and changed.
    pub fn by_reference(&self) -> BTreeMap<&str, PostCounts> {
        let mut counts = BTreeMap::<&str, PostCounts>::new();
        for post in &self.0 {
            let count = counts.entry(&post.reference).or_default();
            count.posts += 1;
            count.applied += usize::from(post.applied_ms.is_some());
        }
        counts
    }

    /// The money that all refunds together gave back.
    pub fn gave_back(&self) -> Money {
        gave_back(self.iter())
    }

    /// Notes a request; the number is its own from now on.
    pub(super) fn begin(&mut self, asked: &Asked, now_ms: i64) -> usize {
        let number = self.0.len();
        self.0.push(Post {
            number,
            reference: asked.reference.clone(),
            kind: asked.kind.clone(),
            amount: asked.amount.clone(),
            came_ms: now_ms,
            applied_ms: None,
            gave_back: None,
            outcome: String::new(),
            answered: None,
        });
        number
    }

    /// Notes what the ledger did.
    pub(super) fn settle(&mut self, number: usize, outcome: String, change: Option<(Change, i64)>) {
        let Some(post) = self.0.get_mut(number) else { return };
        post.outcome = outcome;
        if let Some((change, now_ms)) = change {
            post.applied_ms = Some(now_ms);
            post.gave_back = match change {
                Change::Cancel => None,
                Change::Refund { amount } => Some(amount),
            };
        }
    }

    /// Notes what the client was told.
    pub(super) fn end(&mut self, number: usize, status: u16) {
        let Some(post) = self.0.get_mut(number) else { return };
        post.answered = Some(status);
        if post.outcome.is_empty() {
            post.outcome.push_str("refused");
        }
    }
}
