//! The lists of a connection: reference data, and the payments of the virtual POS.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    config::model::Deletions,
    domain::ids::{EntityKey, Stream},
    poll::{
        discovery::Discovered,
        snapshot::{Mentioned, Mentions, Snapshot, max_bad_ratio_of_list},
    },
};

use super::{DISCOVERY_INTERVAL, Running, Watched};

impl Running {
    pub(super) fn start_lists(&mut self) -> (Option<Watched>, Option<Watched>) {
        let config = Arc::clone(&self.parts.config);
        let streams = &config.streams;
        let reference = streams.reference.as_ref().map(|r| r.poll_interval);
        let interval = reference.unwrap_or(DISCOVERY_INTERVAL);
        let publish = reference.is_some();
        let awaited = config.virtual_pos.is_some() && streams.virtual_pos_transactions.is_some();
        let mentioned = Mentioned::new(Mentions::new(awaited).into());
        let (mut accounts, mut terminals) = (None, None);
        if config.bank_pos.is_some() {
            for stream in [Stream::Banks, Stream::TransactionTypes] {
                if publish {
                    self.start_list(stream, interval, (true, Deletions::Emit), None, &mentioned);
                }
            }
            let discovering = [
                (Stream::Accounts, streams.bank_transactions.is_some(), &mut accounts),
                (Stream::Terminals, streams.pos_transactions.is_some(), &mut terminals),
            ];
            for (stream, wanted, watched) in discovering {
                if publish || wanted {
                    let (found, receiver) = watch::channel(None);
                    let how = (publish, Deletions::Emit);
                    self.start_list(stream, interval, how, Some(found), &mentioned);
                    *watched = wanted.then_some(receiver);
                }
            }
        }
        if config.virtual_pos.is_some() {
            for stream in [Stream::Installments, Stream::Customers] {
                if publish {
                    self.start_list(stream, interval, (true, Deletions::Emit), None, &mentioned);
                }
            }
            if let Some(list) = &streams.virtual_pos_transactions {
                let how = (true, list.deletions);
                let stream = Stream::VirtualPosTransactions;
                self.start_list(stream, list.poll_interval, how, None, &mentioned);
            }
        }
        (accounts, terminals)
    }

    fn start_list(
        &mut self,
        stream: Stream,
        poll_interval: Duration,
        (publish, deletions): (bool, Deletions),
        discovered: Option<watch::Sender<Option<Arc<Vec<Discovered>>>>>,
        mentioned: &Mentioned,
    ) {
        let entity = self.entity(
            stream,
            EntityKey::WHOLE,
            deletions,
            max_bad_ratio_of_list(&self.parts.config, stream),
        );
        let snapshot = Snapshot {
            entity,
            api: self.parts.api.clone(),
            poll_interval,
            publish,
            discovered,
            mentioned: Arc::clone(mentioned),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(snapshot.run());
    }
}
