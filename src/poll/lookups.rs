//! Things asked for by their id, because their list does not show them: each rarely, few at a time.

use std::collections::{BTreeSet, HashMap};

use tokio::time::{Duration, Instant};

use crate::api::{Error, Rows};

use super::digest::id_of;

/// Calls of one reading of a list: a list that is suddenly empty must not ask for ten thousand things
/// one by one. Those that have waited longest go first, so that all of them get their turn.
const LOOKUPS_MAX: usize = 50;

/// What the API said of ids, the last time that it said anything.
#[derive(Debug, Default)]
pub(super) struct Lookups(HashMap<i64, Looked>);

#[derive(Debug)]
struct Looked {
    /// When it was asked for last, whether or not an answer came.
    asked: Instant,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    at: Instant,
    row: Option<Rows>,
    /// How many times in a row it had none.
    gone: u32,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known<'a> {
    /// Its row.
    Found(&'a Rows),
    /// The API has no such thing.
    Gone,
    /// It was not asked for yet, or no answer came.
    Unknown,
}

impl Lookups {
    /// Asks for those of `ids` that were never asked for, or not for so long; what is known of others
    /// is forgotten. Returns those that were found for the first time. An error proves nothing about
    /// its id, and ends the asking until the next reading, which begins with others: an id whose own
    /// call fails every time must not keep them from their turn.
    pub(super) async fn look<F: Future<Output = Result<Rows, Error>>>(
        &mut self,
        ids: &BTreeSet<i64>,
        again_after: Duration,
        ask: impl Fn(i64) -> F,
    ) -> Vec<i64> {
        self.0.retain(|id, _| ids.contains(id));
        // A first no is asked for again at once: one call may have met something between.
        let is_due = |id: &i64| {
            self.answer(*id)
                .is_none_or(|answer| answer.at.elapsed() >= again_after || answer.gone == 1)
        };
        let mut due: Vec<i64> = ids.iter().copied().filter(is_due).collect();
        due.sort_by_key(|id| self.0.get(id).map(|known| known.asked));
        let mut news = Vec::new();
        for id in due.into_iter().take(LOOKUPS_MAX) {
            let answered = ask(id).await;
            let now = Instant::now();
            let known = self.0.entry(id).or_insert(Looked { asked: now, answer: None });
            known.asked = now;
            let row = match answered {
                // Another's row says nothing about this one.
                Ok(rows) if rows.iter().next().and_then(id_of) != Some(id) => continue,
                Ok(rows) => Some(rows),
                Err(Error::NotFound { .. }) => None,
                Err(_) => break,
            };
            let was_found = known.answer.as_ref().is_some_and(|answer| answer.row.is_some());
            if row.is_some() && !was_found {
                news.push(id);
            }
            let before = known.answer.as_ref().map_or(0, |answer| answer.gone);
            let gone = if row.is_some() { 0 } else { before.saturating_add(1) };
            known.answer = Some(Answer { at: now, row, gone });
        }
        news
    }

    fn answer(&self, id: i64) -> Option<&Answer> {
        self.0.get(&id)?.answer.as_ref()
    }

    /// Whether the API has said in two readings that it has no such thing.
    pub(super) fn is_gone_for_sure(&self, id: i64) -> bool {
        self.answer(id).is_some_and(|answer| answer.gone > 1)
    }

    /// What the API said last.
    pub(super) fn known(&self, id: i64) -> Known<'_> {
        match self.answer(id) {
            Some(Answer { row: Some(row), .. }) => Known::Found(row),
            Some(Answer { row: None, .. }) => Known::Gone,
            None => Known::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{api::At, domain::ids::ConnectionId, domain::time::Timestamp};

    fn at() -> At {
        At { connection: ConnectionId::try_new("acme").unwrap(), operation: "customer" }
    }

    fn row(id: i64) -> Rows {
        Rows::from_texts([format!(r#"{{"id":{id}}}"#)], Timestamp(0))
    }

    fn shown(lookups: &Lookups, ids: &BTreeSet<i64>) -> String {
        let letter = |id: &i64| match lookups.known(*id) {
            Known::Found(_) => 'f',
            Known::Gone => 'g',
            Known::Unknown => '?',
        };
        ids.iter().map(letter).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_proves_nothing_and_not_found_does() {
        let (mut lookups, ids) = (Lookups::default(), BTreeSet::from([1, 2, 3, 4]));
        let ask = |id: i64| {
            std::future::ready(match id {
                1 => Ok(row(1)),
                2 => Err(Error::NotFound { at: at(), status: 404, is_told: true }),
                // the row of another thing
                3 => Ok(row(9)),
                _ => Err(Error::Timeout { at: at() }),
            })
        };
        assert_eq!(lookups.look(&ids, Duration::ZERO, ask).await, [1]);
        assert_eq!(shown(&lookups, &ids), "fg??");
        let fails = |_| std::future::ready(Err(Error::Timeout { at: at() }));
        assert!(lookups.look(&ids, Duration::ZERO, fails).await.is_empty());
        assert_eq!(shown(&lookups, &ids), "fg??", "what was known stays known");
        let listed_again = BTreeSet::from([2]);
        lookups.look(&listed_again, Duration::ZERO, fails).await;
        assert_eq!(shown(&lookups, &ids), "?g??");
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_whose_call_always_fails_does_not_keep_others_from_their_turn() {
        let (mut lookups, ids) = (Lookups::default(), BTreeSet::from([1, 2, 3, 4]));
        let ask = |id: i64| {
            std::future::ready(match id {
                1 | 3 => Err(Error::Timeout { at: at() }),
                _ => Ok(row(id)),
            })
        };
        let day = Duration::from_secs(86_400);
        for expected in ["????", "?f??", "?f?f"] {
            lookups.look(&ids, day, ask).await;
            assert_eq!(shown(&lookups, &ids), expected);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_no_is_for_sure_when_it_was_said_twice() {
        let (mut lookups, ids) = (Lookups::default(), BTreeSet::from([1]));
        let day = Duration::from_secs(86_400);
        let not_found =
            |_| std::future::ready(Err(Error::NotFound { at: at(), status: 404, is_told: false }));
        for is_sure in [false, true] {
            lookups.look(&ids, day, not_found).await;
            assert_eq!((lookups.is_gone_for_sure(1), &*shown(&lookups, &ids)), (is_sure, "g"));
        }
        let never = |_| -> std::future::Ready<Result<Rows, Error>> { panic!("asked for again") };
        lookups.look(&ids, day, never).await;
        tokio::time::advance(day).await;
        lookups.look(&ids, day, |id| std::future::ready(Ok(row(id)))).await;
        assert!(!lookups.is_gone_for_sure(1));
    }

    #[tokio::test(start_paused = true)]
    async fn each_id_is_asked_for_rarely_and_few_at_a_time() {
        let (mut lookups, asked) = (Lookups::default(), Mutex::new(Vec::new()));
        let ids: BTreeSet<i64> = (1..=120).collect();
        let ask = |id: i64| {
            asked.lock().unwrap().push(id);
            std::future::ready(Ok(row(id)))
        };
        let day = Duration::from_secs(86_400);
        for expected in [50, 100, 120, 120] {
            lookups.look(&ids, day, ask).await;
            assert_eq!(asked.lock().unwrap().len(), expected);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        tokio::time::advance(day).await;
        lookups.look(&ids, day, ask).await;
        let asked = asked.into_inner().unwrap();
        assert_eq!((asked.len(), asked[120]), (170, 1), "the one that waited longest goes first");
    }
}
