//! Every line that an operator may be woken by, with a code that never changes its meaning.
//!
//! One table holds code, level, title and what to do; `docs/errors.md` is made from it. A code is
//! never given a second meaning: what is gone stays gone.

use tracing::Level;

macro_rules! events {
    ($($name:ident $code:literal $level:ident $title:literal $action:literal;)*) => {
        /// One kind of log line.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $(#[doc = $title] $name,)*
        }

        impl Event {
            /// Every event, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How loud it is.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)* }
            }

            /// What happened.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to do about it.
            pub const fn action(self) -> &'static str {
                match self { $(Self::$name => $action,)* }
            }
        }
    };
}

events! {
    Started "VOM-APP-001" INFO "the connector starts" "nothing; the line names version and configuration hash";
    Stopping "VOM-APP-002" INFO "the connector drains and stops" "nothing; it ends within its drain budget";
    Stopped "VOM-APP-003" INFO "the connector has stopped" "nothing";
    DrainTimedOut "VOM-APP-004" WARN "draining took longer than its budget" "nothing is lost, the next owner restores; look for a broker that does not answer";
    ConfigWarning "VOM-CFG-001" WARN "a setting is accepted and still worth a look" "read the line; change the key it names or live with it";
    ConfigReloaded "VOM-CFG-002" INFO "a secret file changed and was read again" "nothing";
    PollFailed "VOM-SRC-001" WARN "a poll failed; its cursor has not moved" "nothing while it is rare, the next poll asks again; else read the API code in the line";
    PollRecovered "VOM-SRC-002" INFO "polling works again" "nothing";
    TooManyBadRows "VOM-SRC-003" ERROR "more bad rows than max_bad_ratio; nothing of the entity was published" "look into vomsis.quarantine and the API's documents: its format may have changed";
    DatesIgnored "VOM-SRC-004" ERROR "rows outside the window that was asked for; the window failed" "the API ignored the dates: tell its operator; the cursor has not moved";
    RowQuarantined "VOM-SRC-005" WARN "a row could not be mapped and went to quarantine" "look it up in vomsis.quarantine by the id in the line";
    BackfillProgress "VOM-SRC-006" INFO "the backfill goes on" "nothing; it resumes by itself after a restart";
    BackfillDone "VOM-SRC-007" INFO "the backfill is done" "nothing";
    EntityAppeared "VOM-SRC-008" INFO "a new account or terminal is polled from now on" "nothing";
    EntityClosed "VOM-SRC-009" INFO "a closed account or terminal is polled no more" "nothing";
    DatesRequired "VOM-SRC-010" WARN "the API wants dates beside lastId; both are sent from now on" "nothing";
    StreamRefused "VOM-SRC-011" ERROR "access is refused; the connection's streams are failing" "run check: it names the refused IP or key; it is tried again every 15 minutes and when a secret file changes";
    ApiTimeout "VOM-API-001" WARN "the API did not answer in time" "nothing while it is rare; else raise timeouts.request";
    ApiUnreachable "VOM-API-002" WARN "the API cannot be reached" "check DNS, egress rules and the API's status";
    ApiServerError "VOM-API-003" WARN "the API answered with a server error" "nothing while it is rare; it is asked again with growing pauses";
    ApiRateLimited "VOM-API-004" WARN "the API limits the calls" "lower quota.requests_per_minute, or find out who else uses the key";
    ApiUnauthorized "VOM-API-005" ERROR "the API refused the credentials" "replace the secret files; they are read again when they change";
    ApiIpRefused "VOM-API-006" ERROR "the API refused the address that the calls come from" "register the address that check names with Vomsis";
    ApiUnexpectedAnswer "VOM-API-007" ERROR "the answer is not what the documents promise" "keep the line, tell the API's operator; the cursor has not moved";
    ApiBodyTooLarge "VOM-API-008" ERROR "the answer is larger than the limit" "shorten lookback or start, or ask the API's operator";
    ApiRedirected "VOM-API-009" ERROR "the API redirected to a login page" "check base_url and the account with Vomsis";
    ApiLockedOut "VOM-API-010" ERROR "the TOS token was refused twice; no further try is made" "replace the client secret file; five wrong ones lock the key";
    UnknownFields "VOM-API-011" INFO "the API sent fields that the model does not know" "nothing; extras: true carries them in meta.extras";
    SecretUnreadable "VOM-API-012" ERROR "a secret file cannot be read" "check the path in the line, its owner and its mode";
    KafkaUnavailable "VOM-KFK-001" WARN "Kafka does not answer; nothing is lost, polling waits" "check the brokers and kafka.bootstrap_servers";
    TransactionFailed "VOM-KFK-002" WARN "a transaction did not commit; its rows are sent again" "nothing while it is rare; else look at the broker's log";
    TransactionUnknown "VOM-KFK-003" WARN "the outcome of a transaction is unknown; the shard restores" "nothing; the state is read again before anything is written";
    TopicMismatch "VOM-KFK-004" ERROR "a topic is not as it must be" "run topics plan; it names both values";
    TopicCreated "VOM-KFK-005" INFO "a topic was created" "nothing";
    RegistryUnavailable "VOM-REG-001" WARN "the schema registry does not answer" "check schema_registry.url";
    SchemaIncompatible "VOM-REG-002" ERROR "the registry refuses a schema" "run schemas check; somebody registered another one under the subject";
    SchemaMissing "VOM-REG-003" ERROR "a schema is not registered and mode is verify" "run schemas register, or set schema_registry.mode: register";
    ShardAssigned "VOM-SHD-001" INFO "a shard was assigned" "nothing";
    ShardRestored "VOM-SHD-002" INFO "a shard is restored and polls" "nothing";
    ShardRevoked "VOM-SHD-003" INFO "a shard was handed back" "nothing";
    ShardFenced "VOM-SHD-004" WARN "another process has taken the shard" "nothing after a rollout; else look for a second deployment with the same env, topic_prefix and group";
    RestoreFailed "VOM-SHD-005" ERROR "the state cannot be read to its end; the shard has stopped" "check the state topic; empty is never assumed";
    StateRegressed "VOM-SHD-006" ERROR "the state topic was recreated, emptied or cut; the shard has stopped" "restore it, or decide with checkpoint import or checkpoint reset --yes";
    CacheUnusable "VOM-STA-001" WARN "the local cache is unusable; the state is restored from Kafka" "nothing; if it repeats, check the volume";
    CacheLocked "VOM-STA-002" WARN "another process holds the local cache; going on without it" "give each process its own state.dir";
    CacheWriteFailed "VOM-STA-003" WARN "the local cache could not be written" "check free space and permissions of state.dir; the truth is in Kafka";
    HttpStarted "VOM-HTP-001" INFO "health, metrics and status are served" "nothing; the line names the address";
}

/// Logs one event at its level: `log_event!(Event::PollFailed, connection = %id, "text")`.
#[macro_export]
macro_rules! log_event {
    ($event:expr, $($rest:tt)+) => {{
        let event: $crate::telemetry::events::Event = $event;
        let code = event.code();
        match event.level() {
            ::tracing::Level::ERROR => ::tracing::error!(code, $($rest)+),
            ::tracing::Level::WARN => ::tracing::warn!(code, $($rest)+),
            _ => ::tracing::info!(code, $($rest)+),
        }
    }};
}

/// The page that lists all codes, as it is committed in `docs/errors.md`.
pub fn page() -> String {
    let mut page = "# Log codes\n\nMade from `src/telemetry/events.rs`; `UPDATE=1 cargo test \
                    --lib` writes it.\n\n| Code | Level | What happened | What to do |\n\
                    |---|---|---|---|\n"
        .to_owned();
    for event in Event::ALL {
        let (code, level) = (event.code(), event.level().as_str().to_ascii_lowercase());
        let row = format!("| {code} | {level} | {} | {} |\n", event.title(), event.action());
        page.push_str(&row);
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_committed_page_is_the_generated_one() {
        crate::telemetry::assert_committed("docs/errors.md", &page());
    }

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = HashSet::new();
        for event in Event::ALL {
            let parts: Vec<_> = event.code().split('-').collect();
            let area = parts[1].len() == 3 && parts[1].chars().all(|c| c.is_ascii_uppercase());
            let number = parts[2].len() == 3 && parts[2].chars().all(|c| c.is_ascii_digit());
            assert!(parts[0] == "VOM" && area && number, "{}", event.code());
            assert!(seen.insert(event.code()), "{} stands twice", event.code());
        }
    }

    #[test]
    fn texts_say_something_and_do_not_end_with_a_full_stop() {
        for event in Event::ALL {
            for text in [event.title(), event.action()] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{}", event.code());
            }
        }
    }
}
