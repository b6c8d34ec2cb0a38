//! What an access remembers of refusals.

use super::*;
use crate::domain::ids::ConnectionId;

fn access(dir: &tempfile::TempDir) -> Access {
    std::fs::write(dir.path().join("key"), "key").unwrap();
    let files = SecretFiles::new(&dir.path().join("key"), &dir.path().join("secret"));
    Access::new(Api::BankPos, String::new(), String::new(), Grant::Vomsis, files)
}

fn at() -> At {
    At { connection: ConnectionId::try_new("acme").unwrap(), operation: "bank_token" }
}

fn refused() -> Error {
    Error::TokenRefused { at: at(), status: 401, message: None }
}

#[tokio::test]
async fn a_secret_that_is_whole_before_its_refusal_is_noted_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let access = access(&dir);
    std::fs::write(dir.path().join("secret"), "").unwrap();
    let error = access.prepare(&at()).await.unwrap_err();
    std::fs::write(dir.path().join("secret"), "whole").unwrap();
    tokio::time::pause();
    tokio::time::advance(super::super::secrets::LOOK_INTERVAL).await;
    access.refuse(&at(), error, false).await;
    assert_eq!(access.check_refusal().await, Ok(()));
    assert!(access.prepare(&at()).await.unwrap().changed);
}

fn tos_access(dir: &tempfile::TempDir) -> Access {
    std::fs::write(dir.path().join("secret"), "wrong").unwrap();
    Access { api: Api::Tos, ..access(dir) }
}

async fn refused_again(access: &Access) -> Error {
    access.prepare(&at()).await.unwrap();
    access.refuse(&at(), refused(), true).await
}

#[tokio::test]
async fn refused_tos_tokens_are_counted_over_restarts_and_forgotten_with_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let first = tos_access(&dir);
    refused_again(&first).await;
    let kept = first.refusals().borrow().clone().unwrap();
    assert_eq!((kept.refused, kept.digest.len()), (1, 8));
    assert!(!format!("{kept:?}").contains("wrong"));

    let second = tos_access(&dir);
    second.recall(kept.clone());
    let error = refused_again(&second).await;
    assert!(matches!(error, Error::LockedOut { refused: 2, .. }), "{error}");
    let kept = second.refusals().borrow().clone().unwrap();
    assert_eq!(kept.refused, 2);

    let third = tos_access(&dir);
    third.recall(kept.clone());
    let pair = third.prepare(&at()).await.unwrap().pair;
    let error = third.begin(&at(), &pair).await.unwrap_err();
    assert!(matches!(error, Error::LockedOut { refused: 2, .. }), "nothing is sent: {error}");

    let fourth = tos_access(&dir);
    fourth.recall(kept);
    std::fs::write(dir.path().join("secret"), "right").unwrap();
    let pair = fourth.prepare(&at()).await.unwrap().pair;
    fourth.begin(&at(), &pair).await.unwrap();
    fourth.accept(r#"{"access_token":"t"}"#, 0).unwrap();
    assert_eq!(*fourth.refusals().borrow(), None);
}

#[tokio::test]
async fn the_first_success_after_a_refusal_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let access = access(&dir);
    std::fs::write(dir.path().join("secret"), "right").unwrap();
    assert!(!access.note_success());
    access.refuse(&at(), refused(), false).await;
    assert_eq!((access.note_success(), access.note_success()), (true, false));
}

#[tokio::test]
async fn an_old_look_at_the_files_does_not_lift_a_new_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let access = access(&dir);
    std::fs::write(dir.path().join("secret"), "right").unwrap();
    access.fingerprint().await;
    std::fs::write(dir.path().join("secret"), "wrong").unwrap();
    access.prepare(&at()).await.unwrap();
    let error = access.refuse(&at(), refused(), true).await;
    assert_eq!(access.check_refusal().await, Err(error));
}
