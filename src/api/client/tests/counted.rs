//! TOS tokens that are refused to several processes with one `state.dir`, and a key that is locked.

use std::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::api::Asker;

const REFUSES: usize = 0;
const GRANTS: usize = 1;
const LOCKED: usize = 2;
const COMMAND: Asker = Asker::Person { again: false };
const AGAIN: Asker = Asker::Person { again: true };

/// A bank whose answer to a token request can be switched.
struct Bank {
    fake: Fake,
    answer: Arc<AtomicUsize>,
}

impl Bank {
    async fn new() -> Self {
        let answer = Arc::new(AtomicUsize::new(REFUSES));
        let switch = Arc::clone(&answer);
        let header = |code: &str| format!(r#"{{"Header":{{"StatusCode":"{code}"}}}}"#);
        let fake = Fake::start(move |path, _| match (path, switch.load(SeqCst)) {
            ("/oauth", REFUSES) => json(401, &header("ACBG000005")),
            ("/oauth", LOCKED) => json(401, &header("ACBG000006")),
            ("/oauth", _) => json(200, r#"{"access_token":"t","expires_in":3600}"#),
            _ => json(200, r#"{"Header":{"StatusCode":"APIGW000000"},"Data":{"Result":[]}}"#),
        })
        .await;
        std::fs::create_dir(fake.dir.path().join("state")).unwrap();
        Self { fake, answer }
    }

    /// As a process of its own would make it.
    fn client(&self, asker: Asker) -> Client {
        let client = self.fake.client();
        client.share_tos_refusals(&self.fake.dir.path().join("state"), asker);
        client
    }

    async fn ask(&self, asker: Asker) -> Result<(), Error> {
        self.client(asker).check_access(Api::Tos).await
    }

    fn asked(&self) -> usize {
        self.fake.count("/oauth")
    }
}

#[tokio::test]
async fn five_commands_and_a_connector_ask_for_two_tokens_in_all() {
    let bank = Bank::new().await;
    assert!(matches!(bank.ask(COMMAND).await, Err(Error::TokenRefused { .. })));
    for _ in 2..=5 {
        let error = bank.ask(COMMAND).await.unwrap_err();
        assert!(matches!(error, Error::LockedOut { refused: 2, .. }), "{error}");
    }
    let run = bank.client(Asker::Connector);
    let error = run.check_access(Api::Tos).await.unwrap_err();
    assert!(matches!(error, Error::LockedOut { refused: 2, .. }), "{error}");
    let told = run.tos_refusals().unwrap();
    assert_eq!(told.borrow().as_ref().unwrap().refused, 2, "other replicas learn of it");
    assert_eq!(bank.asked(), 2);
    bank.fake.write_secret("another");
    assert!(matches!(bank.ask(COMMAND).await, Err(Error::TokenRefused { .. })));
    assert_eq!(bank.asked(), 3, "another secret starts anew");
}

#[tokio::test]
async fn commands_at_the_same_time_ask_for_two_tokens_in_all() {
    let bank = Bank::new().await;
    let all = (0..5).map(|_| bank.ask(COMMAND));
    assert!(join_all(all).await.iter().all(Result::is_err));
    assert_eq!(bank.asked(), 2);
}

#[tokio::test]
async fn a_persons_word_makes_one_more_try_each_and_never_the_fifth() {
    let bank = Bank::new().await;
    for refused in 1..=6 {
        let error = bank.ask(AGAIN).await.unwrap_err();
        match error {
            Error::TokenRefused { .. } => assert_eq!(refused, 1),
            Error::LockedOut { refused: told, .. } => assert_eq!(told, refused.min(4)),
            other => panic!("{other}"),
        }
    }
    assert_eq!(bank.asked(), 4);
    let kept = bank.client(COMMAND);
    assert!(kept.check_access(Api::Tos).await.is_err());
    assert_eq!(bank.asked(), 4);
}

#[tokio::test]
async fn what_kafka_remembers_counts_for_a_command_too() {
    let bank = Bank::new().await;
    let run = bank.client(Asker::Connector);
    for tries in 1..=2 {
        run.check_access(Api::Tos).await.unwrap_err();
        assert_eq!(bank.asked(), tries);
        skip(Duration::from_secs(11 * 60)).await;
    }
    let kept = run.tos_refusals().unwrap().borrow().clone().unwrap();
    std::fs::remove_dir_all(bank.fake.dir.path().join("state")).unwrap();
    std::fs::create_dir(bank.fake.dir.path().join("state")).unwrap();
    let command = bank.client(COMMAND);
    command.recall_tos_refusals(&kept);
    let error = command.check_access(Api::Tos).await.unwrap_err();
    assert!(matches!(error, Error::LockedOut { refused: 2, .. }), "{error}");
    assert_eq!(bank.asked(), 2);
}

#[tokio::test]
async fn where_nothing_can_be_counted_a_command_does_not_ask_and_the_connector_does() {
    let bank = Bank::new().await;
    std::fs::remove_dir_all(bank.fake.dir.path().join("state")).unwrap();
    let error = bank.ask(COMMAND).await.unwrap_err();
    assert!(matches!(error, Error::RefusalsNotKept { .. }), "{error}");
    assert!(error.to_string().contains("state does not exist"), "{error}");
    assert_eq!(bank.asked(), 0);
    assert!(matches!(bank.ask(AGAIN).await, Err(Error::TokenRefused { .. })));
    assert!(matches!(bank.ask(Asker::Connector).await, Err(Error::TokenRefused { .. })));
    assert_eq!(bank.asked(), 2);
}

#[tokio::test]
async fn a_locked_key_is_told_as_such_and_left_alone_until_a_command_is_granted_a_token() {
    let bank = Bank::new().await;
    bank.answer.store(LOCKED, SeqCst);
    let run = bank.client(Asker::Connector);
    let error = run.check_access(Api::Tos).await.unwrap_err();
    assert!(matches!(error, Error::KeyLocked { .. }), "{error}");
    assert_eq!(error.retry_class(), RetryClass::LockedOut);
    let kept = run.tos_refusals().unwrap().borrow().clone().unwrap();
    // A restart knows it from Kafka, a command from the file.
    let restarted = bank.fake.client();
    restarted.recall_tos_refusals(&kept);
    for again in [restarted.check_access(Api::Tos).await, bank.ask(COMMAND).await] {
        assert!(matches!(again, Err(Error::KeyLocked { .. })), "{again:?}");
    }
    assert_eq!(bank.asked(), 1);
    assert!(matches!(bank.ask(AGAIN).await, Err(Error::KeyLocked { .. })));
    assert!(run.check_access(Api::Tos).await.is_err());
    assert_eq!(bank.asked(), 2, "the command alone has asked");

    bank.answer.store(GRANTS, SeqCst);
    bank.ask(AGAIN).await.unwrap();
    run.wait_for_change().await;
    run.check_access(Api::Tos).await.unwrap();
    assert_eq!(*run.tos_refusals().unwrap().borrow(), None);
    assert_eq!(bank.asked(), 4);
}

#[tokio::test]
async fn a_folder_that_goes_away_is_no_word_to_go_on() {
    let bank = Bank::new().await;
    let run = bank.client(Asker::Connector);
    bank.ask(COMMAND).await.unwrap_err();
    bank.ask(COMMAND).await.unwrap_err();
    run.check_access(Api::Tos).await.unwrap_err();
    std::fs::remove_dir_all(bank.fake.dir.path().join("state")).unwrap();
    run.check_access(Api::Tos).await.unwrap_err();
    assert_eq!(bank.asked(), 2);
}

#[tokio::test]
async fn who_waits_for_the_turn_holds_no_place_in_the_quota() {
    let bank = Bank::new().await;
    bank.answer.store(GRANTS, SeqCst);
    let mut connection = connection(&bank.fake.url, bank.fake.dir.path());
    connection.quota.concurrency = 1;
    let client = Client::new(&Arc::new(connection), Arc::clone(&bank.fake.metrics)).unwrap();
    client.share_tos_refusals(&bank.fake.dir.path().join("state"), Asker::Connector);
    // As another process that asks with this secret.
    let turn = std::fs::File::open(bank.fake.dir.path().join("secret")).unwrap();
    turn.lock().unwrap();
    let (caller, at) = (&client.caller, client.caller.at(Operation::token_of(Api::Tos)));
    let mut asking = Box::pin(client.check_access(Api::Tos));
    let waits = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
    assert!(waits.is_err(), "the turn is another's");
    let payment = caller.permit(Purpose::Payment, Api::VirtualPos, &at);
    let permit = tokio::time::timeout(Duration::from_secs(10), payment).await;
    drop(permit.expect("a payment need not wait for it").unwrap());
    turn.unlock().unwrap();
    asking.await.unwrap();
    assert_eq!(bank.asked(), 1);
}
