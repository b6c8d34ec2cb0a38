//! Access that one caller finds open again is open for those who wait, too.

use super::{super::*, *};

#[tokio::test]
async fn a_success_after_a_refusal_wakes_whoever_waits_for_a_change() {
    let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&open);
    let fake =
        Fake::with_token(move |_, _| match seen.load(std::sync::atomic::Ordering::Relaxed) {
            false => json(401, r#"{"message":"Unauthenticated."}"#),
            true => json(200, ONE_ROW),
        })
        .await;
    let client = fake.client();
    poll(&client).await.unwrap_err();
    let mut waiting = std::pin::pin!(client.wait_for_change());
    let woken = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(woken.is_err(), "nothing has changed yet");
    open.store(true, std::sync::atomic::Ordering::Relaxed);
    skip(crate::api::auth::REFUSAL_HOLD).await;
    poll(&client).await.unwrap();
    let woken = tokio::time::timeout(Duration::from_secs(5), &mut waiting).await;
    assert!(woken.is_ok(), "access is open again");
}
