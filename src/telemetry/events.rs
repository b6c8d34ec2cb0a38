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
    LeaveTimedOut "VOM-APP-005" WARN "leaving the consumer group took too long; the process ends without it" "nothing; the group notices when the session times out";
    ThreadHangs "VOM-APP-006" ERROR "a thread hangs; the process ends with exit code 134" "nothing is lost, whoever takes over restores; keep the line: it names the thread, its shard and the call. In the same call again: the volume of state.dir, or report it";
    ConfigWarning "VOM-CFG-001" WARN "a setting is accepted and still worth a look" "read the line; change the key it names or live with it";
    SecretChanged "VOM-CFG-002" INFO "a secret file changed and was read again" "nothing";
    PollRecovered "VOM-SRC-002" INFO "polling works again" "nothing";
    TooManyBadRows "VOM-SRC-003" ERROR "more bad rows than max_bad_ratio; nothing of the entity was published" "run preview for the stream: it shows the rows and why they are bad, for none of them went to quarantine; the API's format may have changed";
    DatesIgnored "VOM-SRC-004" ERROR "rows outside the window that was asked for; the window failed" "the API ignored the dates: tell its operator; the cursor has not moved";
    RowQuarantined "VOM-SRC-005" WARN "rows could not be mapped and went to quarantine" "look them up in the topic `<prefix>.quarantine` by connection and entity; the reason stands in the line";
    BackfillProgress "VOM-SRC-006" INFO "the backfill of a stream goes on" "nothing; it resumes by itself after a restart";
    BackfillDone "VOM-SRC-007" INFO "the backfill of a stream is done" "nothing";
    EntityAppeared "VOM-SRC-008" INFO "new or reopened accounts or terminals are polled from now on" "nothing";
    EntityClosed "VOM-SRC-009" INFO "an account or terminal is closed, or no longer listed; it is read to its end, where the source knows it still" "nothing; it is polled again once it is open and listed again";
    DatesRequired "VOM-SRC-010" WARN "the API wants dates beside lastId; both are sent from now on" "nothing";
    RowsLimited "VOM-SRC-012" WARN "the API limits the rows of an answer; it is read in smaller parts" "nothing; no row is lost";
    PollerBroke "VOM-SRC-013" ERROR "a poller broke off: a mistake of this program" "report the line; restart the process, its state is committed";
    EntityNotListed "VOM-SRC-014" WARN "configured accounts or terminals are not listed by the API" "check the ids of the line in accounts or terminals";
    NotEncodable "VOM-SRC-015" ERROR "a row could not be encoded: a mistake of this program" "report the line; the cursor has not moved";
    UnknownFields "VOM-SRC-016" INFO "the API sent fields that the model does not know" "nothing; extras: true carries them in meta.extras";
    RowsContradict "VOM-SRC-017" WARN "an id stood in one answer with several contents; the one that was published stays, else the last one counts" "tell the API's operator; nothing else is lost";
    PerhapsCut "VOM-SRC-018" WARN "a single day's answer has as many rows as a page may have, and neither ids nor hours show whether there are more" "compare the day's rows with the bank's own list; for TOS name the sender_accounts, which are then asked for one by one. Told once an entity; no deletion is drawn from such an answer";
    LiveTooLarge "VOM-SRC-019" WARN "more new rows came than one answer may hold; they are read by days instead" "nothing; the cursor moves when all of them are read";
    FeedOut "VOM-SRC-020" WARN "the call for all accounts fails where single accounts are answered; each account is read by its own call" "ask the API's operator why GET /transactions is refused, or set feed: account; the connector tries it again by itself and goes back to it";
    EntityUnlisted "VOM-SRC-021" WARN "the list lacks an account that is there when asked for by its id; it is polled as before" "ask the API's operator why GET /accounts does not show it";
    AccountsByBank "VOM-SRC-022" WARN "GET /accounts cannot be had; the accounts are asked for bank by bank, and none is taken for gone" "ask the API's operator why GET /accounts fails; the line has its error";
    RowsOfAnother "VOM-SRC-023" ERROR "an answer holds rows of another account or institution that is followed too; nothing of it was published" "the line names both: tell the API's operator; the cursor has not moved. With feed: connection the rows of all accounts come by one call, which shares them out";
    AccountUnlisted "VOM-SRC-024" WARN "an answer for all accounts holds rows of an account that is not followed, as the list of accounts does not have it or has it closed; they are left out" "the account's history is read from `start` on once /accounts lists it: have the provider list it, or, where none of its rows is wanted, name the accounts in `accounts`. Told once an account";
    ApiNotConfigured "VOM-API-001" ERROR "a call needs an API that the connection does not have" "add the section that the line names to the connection";
    ApiSetup "VOM-API-002" ERROR "the HTTP client cannot be made from the configuration" "check the setting that the line names";
    ApiSecretUnreadable "VOM-API-003" ERROR "a secret file cannot be used" "check the path in the line, its owner, mode and content; it is read again at once when it changes";
    ApiUnreachable "VOM-API-010" WARN "no connection to the API could be made" "check network, DNS, proxy, egress rules and base_url";
    ApiTimeout "VOM-API-011" WARN "the API did not answer in time" "nothing while it is rare; else raise timeouts.request";
    ApiBroken "VOM-API-012" WARN "the answer broke off" "nothing while it is rare; it is asked for again";
    ApiServerError "VOM-API-013" WARN "the API answered with an error of its own" "nothing while it is rare; it is asked again with growing pauses";
    ApiRateLimited "VOM-API-014" WARN "the API limits the calls" "lower quota.requests_per_minute, or find out who else uses the key";
    ApiInterrupted "VOM-API-015" WARN "a call was interrupted because the program ends" "nothing; nothing was taken over";
    ApiUnauthorized "VOM-API-020" ERROR "the API refused a fresh token" "check that the application is active and may use this API; it is tried again every 15 minutes and when a secret file changes";
    ApiTokenRefused "VOM-API-021" ERROR "the API refused the credentials" "replace the secret files; they are read again when they change";
    ApiForbidden "VOM-API-022" ERROR "the API forbids the call" "check the rights of the application and the allowed IP addresses";
    ApiIpRefused "VOM-API-023" ERROR "the API refused the address that the calls come from" "register the address in the line with the API";
    ApiRedirected "VOM-API-024" ERROR "the API redirected, usually to its login page" "check base_url and the credentials";
    ApiLockedOut "VOM-API-025" ERROR "TOS refused tokens and is not asked for more, because five lock the key" "correct the client secret file; it is read again when it changes. Where the secret is right after all, check --tos-again asks once, and run goes on when that is granted";
    ApiKeyLocked "VOM-API-026" ERROR "the bank has locked the TOS key, and no token is asked for" "have the bank unlock it; then check --tos-again on the same state.dir asks once, and run goes on when that is granted, as it does when a secret file changes";
    ApiRefusalsNotKept "VOM-API-027" WARN "refused TOS tokens cannot be counted in state.dir, where run, check and preview look before they ask" "mend the file or folder that the line names; run still counts in Kafka, check and preview do not ask without --tos-again";
    ApiDatesRequired "VOM-API-030" WARN "the API refused lastId without dates" "nothing; dates are sent from then on";
    ApiRejected "VOM-API-031" ERROR "the API understood the call and refused it" "compare the call with the API's manual; the cursor has not moved";
    ApiNotFound "VOM-API-032" ERROR "what was asked for does not exist" "check the id in the line and base_url";
    ApiNotJson "VOM-API-033" ERROR "the answer is no JSON" "check base_url and any proxy in between";
    ApiUnexpectedAnswer "VOM-API-034" ERROR "the answer is not what the documents promise" "keep the line, tell the API's operator; the cursor has not moved";
    ApiTooLarge "VOM-API-035" ERROR "the answer is larger than the limit" "shorten lookback or start; where it is virtual_pos_transactions, which is always read whole, ask the provider to archive old payments (docs/payments.md)";
    KafkaUnavailable "VOM-KFK-001" WARN "Kafka does not answer; nothing is lost, polling waits" "check the brokers and kafka.bootstrap_servers";
    TransactionFailed "VOM-KFK-002" WARN "a transaction did not commit; the shard restores and its rows are sent again" "nothing while it is rare; else look whether the topic in the line is there and takes records of that size, and at the broker's log";
    TransactionUnknown "VOM-KFK-003" WARN "the outcome of a transaction is unknown; the shard restores" "nothing while it is rare, the state is read again before anything is written; else look whether the topic in the line is there, and at the broker's log";
    TopicMismatch "VOM-KFK-004" ERROR "topics are not as they must be" "run topics plan; it names both values";
    TopicCreated "VOM-KFK-005" INFO "a topic was created" "nothing";
    KafkaClient "VOM-KFK-006" WARN "the Kafka client reports something critical" "read the line; the call that fails because of it is logged too";
    AssignmentFailed "VOM-KFK-007" WARN "a consumer group that shares the shards, or chooses who executes payments, was lost, or its coordinator not reached for two minutes; it is joined again with a new client" "nothing while it is rare; else read the line, look at the broker's log, and whether the certificates of kafka.properties are those that the brokers take";
    KafkaAnswers "VOM-KFK-008" INFO "Kafka answers again" "nothing";
    KafkaRefused "VOM-KFK-009" ERROR "Kafka refuses access: the login, or a right that is missing; it is tried again" "check kafka.properties, the files it names and the rights of the user; they are read again with every try";
    TopicWeak "VOM-KFK-010" WARN "a topic that holds the truth counts a record as written that one broker alone holds" "set min.insync.replicas of the topic in the line to 2";
    TooFewBrokers "VOM-KFK-011" WARN "a topic is to have more replicas than brokers are registered; its creation waits for them" "start the missing brokers, or set kafka.replication_factor to what the cluster can hold";
    KafkaSetting "VOM-KFK-012" ERROR "librdkafka refuses a setting, and the process ends" "mend the setting that the line names, in kafka.properties or in the file that it names";
    KafkaFile "VOM-KFK-013" ERROR "no Kafka client can be made, as a file that kafka.properties names cannot be read or used; it is tried again" "check the path in the line, its owner and mode, and what the file holds; it is read again with every try";
    RegistryUnavailable "VOM-REG-001" WARN "the schema registry does not answer" "check schema_registry.url";
    SchemaRefused "VOM-REG-002" ERROR "the registry refuses a schema" "run schemas check; somebody registered another one under the subject";
    SchemaMissing "VOM-REG-003" ERROR "a schema is not registered and mode is verify" "run schemas register, or set schema_registry.mode: register";
    RegistryDenied "VOM-REG-004" ERROR "the schema registry refuses access, or its secret file cannot be read; it is tried again" "check schema_registry.basic_auth or bearer_token_file; they are read again with every try";
    ShardAssigned "VOM-SHD-001" INFO "a shard was assigned" "nothing";
    ShardRestored "VOM-SHD-002" INFO "a shard is restored and polls" "nothing";
    ShardRevoked "VOM-SHD-003" INFO "a shard was handed back" "nothing";
    ShardFenced "VOM-SHD-004" WARN "another process has taken the shard" "nothing after a rollout; else look for a second deployment with the same env, topic_prefix and group";
    RestoreFailed "VOM-SHD-005" WARN "the shard could not be locked, or its state not be read to the end; it is tried again" "nothing while it is rare; else check the state topic; empty is never assumed";
    StateRegressed "VOM-SHD-006" ERROR "the state topic was recreated, emptied or cut; the shard has stopped" "restore it from a backup, or accept the loss with checkpoint reset; the shard then goes on by itself";
    RestoreProgress "VOM-SHD-007" INFO "a shard is being restored" "nothing; the line says how far it is";
    ShardCountChanged "VOM-SHD-008" ERROR "the assignment topic no longer has kafka.shards partitions" "recreate this topic alone, with kafka.shards partitions, then restart; change neither kafka.shards nor the state topic: connections that move to another shard are published from the beginning";
    ShardBroke "VOM-SHD-009" ERROR "a shard's task broke off: a mistake of this program, or no thread to be had" "report the line; the shard is tried again";
    PollersSlow "VOM-SHD-010" WARN "pollers of a lost shard did not end in time and were dropped" "nothing; nothing of theirs can be committed any more";
    OwnerBroke "VOM-SHD-011" ERROR "the task that owns a shard broke off: a mistake of this program; the process ends" "report the line and what stands above it; nothing is lost, whoever takes the shard restores it";
    GroupLost "VOM-SHD-012" WARN "the group's coordinator has not answered for a session: the replica has lost its shards and is not ready" "check the brokers, above all the leader of the group's partition of __consumer_offsets; it joins again by itself";
    OtherDeployment "VOM-SHD-013" ERROR "the state topic belongs to a deployment of another env or kafka.group; the shard has stopped" "give this one a kafka.topic_prefix of its own, or stop the other and take its place with checkpoint reset";
    StateUnreadable "VOM-SHD-014" ERROR "a record of the state topic cannot be understood; the shard has stopped" "run the newer program that wrote it, where the line says so; else restore the topic from a backup";
    ConnectionsMoved "VOM-SHD-015" ERROR "positions of a connection lie in another partition than kafka.shards says; the shard has stopped" "set kafka.shards back, with topics as they were, or begin anew with another kafka.topic_prefix: docs/operations/upgrade.md";
    SinkOwned "VOM-SNK-001" INFO "this replica executes payment commands from now on" "nothing; the line says what the journal holds";
    SinkReleased "VOM-SNK-002" INFO "this replica executes no payment commands any more" "nothing";
    SinkStopped "VOM-SNK-003" ERROR "the payment sink has stopped: journal, offsets or topics are not as they must be" "read the line and docs/payments.md; nothing is sent until it is mended and, unless the line says that it goes on by itself, the process restarted";
    SinkLost "VOM-SNK-004" WARN "the journal's producer was lost; the journal is read again before anything is sent" "nothing while it is rare; else look at the broker's log, or for a second deployment with the same env, topic_prefix and group";
    SinkRestoreFailed "VOM-SNK-005" WARN "the journal could not be locked or read to its end; it is tried again" "nothing while it is rare; else check the journal topic; empty is never assumed";
    CommandsUnreadable "VOM-SNK-006" ERROR "the command topic cannot be read on" "check the topic, its retention and the rights of the client; the sink tries again from the group's offsets";
    CommandsWidened "VOM-SNK-007" WARN "the command topic was given more partitions; the sink begins anew with them" "give the journal as many partitions where it has fewer; the sink goes on by itself once both have as many";
    CommandRefused "VOM-SNK-010" WARN "a record of the command topic is no payment command and went to the rejected topic" "look it up there; its headers say why, and the sender must mend it";
    CommandEnded "VOM-SNK-011" INFO "a payment command has its result" "nothing; the result is in the results topic";
    CommandInDoubt "VOM-SNK-012" ERROR "nobody knows whether a payment was executed; it is not sent again" "nothing yet: the payment's state is asked for when nobody can still be sending";
    CommandParked "VOM-SNK-013" ERROR "a payment command needs a person's decision" "look at the payment in the provider's panel, then commands resolve; docs/payments.md says how";
    CommandResolved "VOM-SNK-014" WARN "a person decided about a parked payment command" "nothing; actor and evidence are in the journal";
    CommandNotSent "VOM-SNK-015" WARN "a request provably did not leave; it is tried again" "if it repeats: `commands show` says whether it was the network to the API or the journal";
    PaymentUnreadable "VOM-SNK-016" WARN "a payment cannot be looked at; its command waits" "read the line: the API, the credentials or the network; nothing is sent meanwhile";
    LookOutdated "VOM-SNK-017" WARN "a look at a payment was too old before its request could leave; the payment is looked at anew" "nothing while it is rare; else the quota is too small or the API too slow for what is sent: vomsis_api_rate_limit_wait_seconds_total tells";
    PaymentsHalted "VOM-SNK-020" WARN "the kill switch is on: no payment command is executed" "remove the file payments.stop where there is one, then commands resume, when it is safe again; commands list says who turned it on, and why; waiting commands still expire";
    PaymentsResumed "VOM-SNK-021" INFO "the kill switch is off" "nothing";
    DecisionIgnored "VOM-SNK-022" WARN "a decision about a command that is not parked has no effect" "look at the command with commands show";
    StopNotSpread "VOM-SNK-023" ERROR "the kill switch's file is there, and its record could not be written" "check Kafka; until then the file holds the payments of its own replica alone";
    JournalHeld "VOM-SNK-024" WARN "a transaction of the payment journal has no end, which Kafka has lost; its records are taken as said, and the next one of the sink ends it" "nothing; never end it with kafka-transactions abort: what it says would be forgotten, and a payment sent again. docs/runbooks/VomsisRestoreSlow.md";
    SinkBroke "VOM-SNK-030" ERROR "a task of the payment sink broke off: a mistake of this program" "report the line; the journal is read again before anything is sent. Where the sink's state stays stopped, restart the replica";
    CacheUnusable "VOM-STA-001" WARN "the local cache is unusable; the state is restored from Kafka" "nothing; if it repeats, check the volume and that each process has its own state.dir";
    CacheWriteFailed "VOM-STA-003" WARN "the local cache could not be written" "check free space and permissions of state.dir; the truth is in Kafka";
    CacheHeld "VOM-STA-004" INFO "another process holds the state folder; it is waited for, for half a minute" "nothing where the other one is ending, as in a rollout; else give each process its own state.dir";
    HttpStarted "VOM-HTP-001" INFO "health, metrics and status are served" "nothing; the line names the address";
    HttpEnded "VOM-HTP-002" ERROR "the listener of health, metrics and status has ended" "restart the process; it does not come back by itself";
    AdminStarted "VOM-HTP-003" INFO "operators may change things at this address" "nothing; the line names the address";
    AdminRefused "VOM-HTP-004" WARN "somebody without the right token asked for a change, or the token cannot be read" "find out who it was; check admin.token_file";
    SandboxBroke "VOM-SBX-001" ERROR "a part of the sandbox broke off" "start the sandbox again; nothing real depends on it";
}

/// Logs one event at its level: `log_event!(Event::PollRecovered, connection = %id, "text")`.
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
    let mut page = "# Codes of log lines and errors\n\nThe `code` of a log line, and of \
                    `last_error` in `/api/v1/status`. Made from `src/telemetry/events.rs`; \
                    `UPDATE=1 cargo test --lib` writes it.\n\n\
                    | Code | Level | What happened | What to do |\n|---|---|---|---|\n"
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
