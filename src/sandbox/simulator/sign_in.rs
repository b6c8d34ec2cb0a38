//! Credentials and tokens.

use std::collections::HashSet;

use serde_json::json;

use super::{
    answer::Answer,
    call::Call,
    operation::{Operation, Surface},
};
use crate::sandbox::random::Random;

/// The key of the sandbox, on every surface.
pub const APP_KEY: &str = "sandbox-key";
/// The secret that belongs to it.
pub const APP_SECRET: &str = "sandbox-secret";

/// VakıfBank locks a key after so many wrong secrets.
const TOS_TRIES_MAX: u32 = 5;

/// The tokens that were handed out and are still good.
#[derive(Debug)]
pub(super) struct Tokens {
    good: HashSet<(Surface, String)>,
    random: Random,
    tos_refusals: u32,
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        Self { good: HashSet::new(), random: Random::new(seed), tos_refusals: 0 }
    }

    /// Whether the call may read.
    pub(super) fn admits(&self, call: &Call) -> bool {
        let key = call.bearer.clone().map(|token| (call.operation.surface(), token));
        key.is_some_and(|key| self.good.contains(&key))
    }

    pub(super) fn expire(&mut self, call: &Call) {
        if let Some(token) = &call.bearer {
            self.good.remove(&(call.operation.surface(), token.clone()));
        }
    }

    pub(super) fn expire_all(&mut self) {
        self.good.clear();
    }

    /// Opens the TOS key again after too many wrong secrets.
    pub(super) const fn unlock(&mut self) {
        self.tos_refusals = 0;
    }

    /// Opaque on purpose: no client may depend on a token that it can decode.
    fn issue(&mut self, surface: Surface) -> String {
        let token = format!("sandbox.{}", self.random.hex32());
        self.good.insert((surface, token.clone()));
        token
    }

    pub(super) fn sign_in(&mut self, call: &Call) -> Answer {
        if call.operation == Operation::TosToken {
            return self.sign_in_tos(call);
        }
        let known = call.field("app_key").as_deref() == Some(APP_KEY)
            && call.field("app_secret").as_deref() == Some(APP_SECRET);
        match (call.operation, known) {
            (Operation::Authenticate, true) => {
                let token = self.issue(Surface::Bank);
                Answer::json(200, json!({"status": "success", "token": token}))
            }
            (Operation::Authenticate, false) => Answer::json(
                200,
                json!({"status": "error", "message": "Api key veya secret bilgisi hatalı"}),
            ),
            (_, true) => {
                let token = self.issue(Surface::VirtualPos);
                Answer::json(200, json!({"success": true, "access_token": token}))
            }
            (_, false) => Answer::json(
                200,
                json!({"success": false, "message": "Api key veya secret bilgisi hatalı"}),
            ),
        }
    }

    fn sign_in_tos(&mut self, call: &Call) -> Answer {
        let field = |name: &str| call.field(name).unwrap_or_default();
        if self.tos_refusals >= TOS_TRIES_MAX {
            return gateway(401, "ACBG000006", "Uygulama kilitli", "Application is locked");
        }
        let complete = field("grant_type") == "b2b_credentials"
            && field("scope") == "payment"
            && !field("consentId").is_empty()
            && !field("resource").is_empty();
        if !complete {
            return gateway(400, "ACBG000007", "Hatalı istek", "Bad request");
        }
        if field("client_id") != APP_KEY || field("client_secret") != APP_SECRET {
            self.tos_refusals += 1;
            return gateway(401, "ACBG000005", "Hatalı client secret", "Wrong client secret");
        }
        self.tos_refusals = 0;
        let token = self.issue(Surface::Tos);
        Answer::json(
            200,
            json!({
                "access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "payment",
            }),
        )
    }
}

/// An answer of the bank's gateway that carries only its header.
pub(super) fn gateway(status: u16, code: &str, turkish: &str, english: &str) -> Answer {
    let header = json!({
        "StatusCode": code,
        "StatusDescription": turkish,
        "StatusDescriptionEn": english,
        "ObjectID": "b6d2a25b-ddf9-4260-9aa5-a99307184567",
    });
    Answer::json(status, json!({"Header": header}))
}
