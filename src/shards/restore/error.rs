//! Why a shard cannot be run, and whether only an operator can help.

use crate::{
    kafka::reading, publish::writer::Lost, state::note::Regression, telemetry::events::Event,
};

use super::super::moved::Moved;

/// Why a shard cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lock or the first commit failed.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The state could not be read to its end.
    #[error(transparent)]
    Read(#[from] reading::Error),
    /// The state topic lost something.
    #[error(
        "STATE_REGRESSION: state topic {topic}[{shard}]: {regression}; stopped, because going on would publish rows again. restore the topic from a backup, or, once the consumers are ready for repeated rows, accept the loss: `checkpoint reset --why TEXT` shows what it would do, and does it with --yes; the shard then goes on by itself within a minute"
    )]
    Regression {
        /// The state topic.
        topic: String,
        /// The partition.
        shard: i32,
        /// What it lost.
        regression: Regression,
    },
    /// Somebody else's, whom this one's transactional id does not fence.
    #[error(
        "state topic {topic}[{shard}] belongs to the deployment {found:?}, this one is {ours:?}: two of different env or kafka.group cannot fence each other, and would publish every row twice. give this one a kafka.topic_prefix of its own; or, where it takes the other's place, stop every replica of that one, and then `checkpoint reset --why TEXT` shows what it would do, and does it with --yes"
    )]
    OtherDeployment {
        /// The state topic.
        topic: String,
        /// The partition.
        shard: i32,
        /// Whose it is.
        found: String,
        /// Who asks.
        ours: String,
    },
    /// A connection would begin anew in another shard.
    #[error(transparent)]
    Moved(#[from] Moved),
    /// The shard was given back meanwhile.
    #[error("the shard was given back while it was restored")]
    GivenBack,
    /// The restore broke off: a mistake of this program, which may not happen again.
    #[error("the restore broke off: {0}")]
    Broke(String),
}

impl Error {
    /// Whether trying again by itself cannot help.
    pub const fn needs_operator(&self) -> bool {
        match self {
            Self::Regression { .. } | Self::OtherDeployment { .. } | Self::Moved(_) => true,
            // Guessing would repeat or lose rows, and it will read the same tomorrow.
            Self::Read(error) => matches!(error, reading::Error::Record { .. }),
            Self::Lost(_) | Self::GivenBack | Self::Broke(_) => false,
        }
    }

    /// The code under which it is told.
    pub const fn event(&self) -> Event {
        match self {
            Self::Regression { .. } => Event::StateRegressed,
            Self::OtherDeployment { .. } => Event::OtherDeployment,
            Self::Moved(_) => Event::ConnectionsMoved,
            Self::Read(reading::Error::Record { .. }) => Event::StateUnreadable,
            Self::Lost(_) | Self::Read(_) | Self::GivenBack | Self::Broke(_) => {
                Event::RestoreFailed
            }
        }
    }
}
