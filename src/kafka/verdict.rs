//! What an error of a transaction call means for its producer.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

/// Why a transaction did not end in a confirmed commit.
///
/// Whatever it is, the producer is thrown away and the state read again (design §3.5): the
/// verdict only decides what is counted, logged and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A newer producer of this id, or the broker's own time-out of the transaction: the code is
    /// the same, and it does not say whether the commit happened.
    Fenced,
    /// The call ran out of time: the outcome is unknown.
    Unknown,
    /// The broker or the client refused something; nothing of the transaction is visible.
    Failed,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 3] = [Self::Fenced, Self::Unknown, Self::Failed];

    /// The label of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }

    /// Judges an error of a transaction call.
    pub fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::Transaction(e) => Self::of_code(e.code()),
            // commit_transaction flushes first, and its time-out comes as another variant.
            KafkaError::Flush(code)
            | KafkaError::MessageProduction(code)
            | KafkaError::Global(code)
            | KafkaError::MetadataFetch(code) => Self::of_code(*code),
            _ => Self::Failed,
        }
    }

    /// Judges an error of a producer that may have met a fatal one before: a fenced producer answers
    /// whatever comes after with consequences (purged records, `Fatal`), which say nothing.
    pub fn with_fatal(fatal: Option<RDKafkaErrorCode>, error: &KafkaError) -> Self {
        fatal.map_or_else(|| Self::of(error), Self::of_code)
    }

    /// Judges a delivery report's or call's code.
    pub const fn of_code(code: RDKafkaErrorCode) -> Self {
        match code {
            RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch => Self::Fenced,
            RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::MessageTimedOut => Self::Unknown,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_unknown_whichever_variant_carries_it() {
        let flush = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
        assert_eq!(Verdict::of(&flush), Verdict::Unknown);
        let global = KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
        assert_eq!(Verdict::of(&global), Verdict::Unknown);
    }

    #[test]
    fn what_follows_a_fence_is_fenced_too() {
        let purged = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
        let fenced = Some(RDKafkaErrorCode::Fenced);
        assert_eq!(Verdict::with_fatal(fenced, &purged), Verdict::Fenced);
        assert_eq!(Verdict::with_fatal(None, &purged), Verdict::Failed);
    }

    #[test]
    fn every_spelling_of_fencing_is_fenced() {
        for code in [
            RDKafkaErrorCode::Fenced,
            RDKafkaErrorCode::ProducerFenced,
            RDKafkaErrorCode::InvalidProducerEpoch,
        ] {
            assert_eq!(Verdict::of_code(code), Verdict::Fenced);
        }
        let too_large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert_eq!(Verdict::of(&too_large), Verdict::Failed);
    }
}
