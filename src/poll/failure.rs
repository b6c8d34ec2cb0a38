//! Why a step of a poller did not end well.

use crate::{
    api::{self, RetryClass},
    publish::group::Gone,
    telemetry::events::Event,
};

use super::refusal::Refusal;

/// Why a step of a poller did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API refused, or did not answer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The answer is not to be believed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The shard is gone; the poller ends.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl Failure {
    /// What it is logged as, and called on the status page.
    pub const fn event(&self) -> Event {
        match self {
            Self::Api(error) => error.event(),
            Self::Refused(Refusal::OutsideWindow { .. }) => Event::DatesIgnored,
            Self::Refused(Refusal::OfAnother { .. }) => Event::RowsOfAnother,
            Self::Refused(Refusal::TooManyBad { .. }) => Event::TooManyBadRows,
            Self::Refused(Refusal::Encode(_)) => Event::NotEncodable,
            Self::Gone(_) => Event::TransactionUnknown,
        }
    }

    /// What the poller does about it.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Api(error) => error.retry_class(),
            Self::Refused(_) | Self::Gone(_) => RetryClass::Permanent,
        }
    }

    /// Whether it is the same before the next poll is due, or costs too much to find out.
    pub(super) const fn stays(&self) -> bool {
        match self {
            Self::Api(error) => matches!(
                error,
                api::Error::TooLarge { .. }
                    | api::Error::NotConfigured { .. }
                    | api::Error::Setup { .. }
            ),
            Self::Refused(_) | Self::Gone(_) => true,
        }
    }
}
