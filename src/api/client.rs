//! The calls that the rest of the program makes, one method each.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::sync::watch;

use super::{
    allow::{Api, Operation},
    auth::{Access, Asker, Grant, SharedCount},
    call::{Call, Caller, Turn},
    envelope::{self, Found, Shape},
    error::Error,
    http::{Answer, Http, Once, Payload, Secretive, Sieve},
    installments,
    payments::Payments,
    quota::{Purpose, Quota},
    rows::Rows,
    secrets::SecretFiles,
};
use crate::{
    config::model::{Connection, DateType, TosApi, VomsisApi},
    domain::{
        ids::{ConnectionId, Stream},
        refusals::TosRefusals,
        time::Day,
    },
    telemetry::metrics::Metrics,
};

/// Between two looks at the secret files.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

const TRANSACTIONS: Shape = Shape::List(&["transactions", "data"]);
const PAYMENTS: &[&str] = &["data", "transactions"];
const ACCOUNTS: &[&str] = &["accounts", "banks", "account", "data"];

/// The source systems of one connection; cloning shares its tokens and its quota.
#[derive(Clone)]
pub struct Client {
    pub(super) caller: Arc<Caller>,
    pub(super) payments: Arc<Payments>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.caller.connection.id)
            .finish_non_exhaustive()
    }
}

/// Which bank rows are asked for. With neither window nor `last_id` the API would choose a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BankQuery {
    /// First and last day, both inclusive.
    pub window: Option<(Day, Day)>,
    /// From when on the first day, and until when on the last one.
    pub hours: Hours,
    /// Only rows above this id.
    pub last_id: Option<i64>,
    /// Which date the window is about.
    pub date_type: DateType,
}

/// Seconds of a day, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u32,
    to: u32,
}

impl Hours {
    /// From midnight to midnight.
    pub const ALL: Self = Self { from: 0, to: 86_399 };

    /// Both halves, or nothing where there is no more than a minute.
    pub fn halves(self) -> Option<(Self, Self)> {
        let length = self.to - self.from + 1;
        let middle = self.from + length / 2;
        (length > 60).then_some((Self { to: middle - 1, ..self }, Self { from: middle, ..self }))
    }
}

/// The four lists of the virtual POS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListStatus {
    /// Money was taken.
    Successful,
    /// It was not.
    Failed,
    /// Taken back on the same day.
    Cancel,
    /// Given back later.
    Refund,
}

impl ListStatus {
    /// Every list.
    pub const ALL: [Self; 4] = [Self::Successful, Self::Failed, Self::Cancel, Self::Refund];

    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }
}

/// The TOS query; the gateway wants every field, `""` where it is not used.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TosQuery<'a> {
    institution_code: &'a str,
    institution_package_no: &'a str,
    sender_account_no: &'a str,
    institution_transaction_no: &'a str,
    transaction_query_no: &'a str,
    payment_date: String,
    /// 0 is "none in particular".
    transaction_type: u8,
    #[serde(rename = "ReceivertAccountIbanNo")]
    receiver_account: &'a str,
    return_date: &'a str,
}

impl Client {
    /// Sets up the client; no file is read and nothing is sent yet.
    pub fn new(connection: &Arc<Connection>, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let setup =
            |detail, setting| Error::Setup { connection: connection.id.clone(), detail, setting };
        let http = Http::new(connection.timeouts)
            .map_err(|detail| setup(detail, "timeouts and the system's certificates"))?;
        let once = Once::new(connection.timeouts.connect)
            .map_err(|detail| setup(detail, "timeouts and the system's certificates"))?;
        let accesses: Vec<_> = accesses(connection).into_iter().map(Arc::new).collect();
        for access in &accesses {
            for url in [&access.url, &access.token_url] {
                reqwest::Url::parse(url)
                    .map_err(|error| setup(format!("{}: {error}", access.api), "base_url"))?;
            }
        }
        let waited = metrics.api_rate_limit_wait.with_label_values(&[connection.id.as_str()]);
        let quota = Quota::new(connection.quota, waited);
        let connection = Arc::clone(connection);
        let (lifted, _) = watch::channel(0);
        let caller = Caller { connection, metrics, http, quota, accesses, pace: 1.0, lifted };
        Ok(Self { caller: Arc::new(caller), payments: Arc::new(Payments::new(once)) })
    }

    /// The same client with a smaller limit for the body of an answer.
    #[cfg(test)]
    pub(crate) fn with_body_limit(self, bytes: usize) -> Self {
        let mut caller = Arc::into_inner(self.caller).expect("nobody else has it yet");
        caller.http = caller.http.with_body_limit(bytes);
        Self { caller: Arc::new(caller), ..self }
    }

    /// Whose client it is.
    pub fn connection(&self) -> &ConnectionId {
        &self.caller.connection.id
    }

    /// Rows of one bank account.
    pub async fn account_transactions(
        &self,
        purpose: Purpose,
        account: i64,
        query: &BankQuery,
    ) -> Result<Rows, Error> {
        let call = bank_call(Operation::AccountTransactions { account }, query);
        self.rows(purpose, &call, TRANSACTIONS).await
    }

    /// Rows of all bank accounts in one answer.
    pub async fn connection_transactions(
        &self,
        purpose: Purpose,
        query: &BankQuery,
    ) -> Result<Rows, Error> {
        let call = bank_call(Operation::ConnectionTransactions, query);
        self.rows(purpose, &call, TRANSACTIONS).await
    }

    /// Rows of one POS terminal; this API wants dates always, and without times.
    pub async fn station_transactions(
        &self,
        purpose: Purpose,
        station: i64,
        window: (Day, Day),
        last_id: Option<i64>,
    ) -> Result<Rows, Error> {
        let mut pairs = vec![("beginDate", date_of(window.0)), ("endDate", date_of(window.1))];
        pairs.extend(last_id.map(|id| ("lastId", id.to_string())));
        let call = plain_call(Operation::StationTransactions { station }, Payload::Query(pairs));
        self.rows(purpose, &call, TRANSACTIONS).await
    }

    /// One of the whole lists of the virtual POS.
    pub async fn virtual_pos_transactions(
        &self,
        purpose: Purpose,
        status: ListStatus,
    ) -> Result<Rows, Error> {
        self.virtual_pos_list(purpose.into(), status).await
    }

    /// The same list for who looks for a few of its rows; the others come back as `{}`.
    pub(crate) async fn sifted_virtual_pos_list(
        &self,
        turn: Turn<'_>,
        status: ListStatus,
        keeps: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Rows, Error> {
        let sieve = Some(Sieve { keys: PAYMENTS, keeps });
        self.virtual_pos_list(Turn { sieve, ..turn }, status).await
    }

    async fn virtual_pos_list(&self, turn: Turn<'_>, status: ListStatus) -> Result<Rows, Error> {
        let payload = Payload::Query(vec![("status", status.as_str().to_owned())]);
        let call = plain_call(Operation::VirtualPosList, payload);
        self.rows(turn, &call, Shape::List(PAYMENTS)).await
    }

    /// TOS payments of one institution on one payment day.
    pub async fn tos_payments(
        &self,
        purpose: Purpose,
        institution: &str,
        sender_account: Option<&str>,
        day: Day,
    ) -> Result<Rows, Error> {
        let query = TosQuery {
            institution_code: institution,
            institution_package_no: "",
            sender_account_no: sender_account.unwrap_or_default(),
            institution_transaction_no: "",
            transaction_query_no: "",
            payment_date: day.to_date().format("%Y-%m-%dT00:00:00").to_string(),
            transaction_type: 0,
            receiver_account: "",
            return_date: "",
        };
        let json = serde_json::to_string(&query).unwrap_or_default();
        let call = plain_call(Operation::TosQuery, Payload::Json(Secretive(json)));
        self.rows(purpose, &call, Shape::Tos).await
    }

    /// All rows of a reference stream; instalment options come flat, one row each, with `family`
    /// and `bank_slug` beside their own fields. Transaction streams are refused.
    pub async fn reference(&self, purpose: Purpose, stream: Stream) -> Result<Rows, Error> {
        let (operation, keys): (_, &[&str]) = match stream {
            Stream::Banks => (Operation::Banks, &["banks", "data"]),
            Stream::Accounts => (Operation::Accounts, ACCOUNTS),
            Stream::Terminals => (Operation::Terminals, &["data", "stations", "terminals"]),
            Stream::TransactionTypes => {
                (Operation::TransactionTypes, &["transaction_types", "types", "data"])
            }
            Stream::Customers => (Operation::Customers, &["customers", "data"]),
            Stream::Installments => return self.installments(purpose).await,
            Stream::BankTransactions
            | Stream::PosTransactions
            | Stream::VirtualPosTransactions
            | Stream::TosPayments => {
                let at = self.caller.at(Operation::Banks);
                return Err(Error::Protocol { at, detail: format!("{stream} is no reference") });
            }
        };
        self.rows(purpose, &plain_call(operation, Payload::None), Shape::List(keys)).await
    }

    /// The accounts of one bank. Their rows lack `bank_id`.
    pub async fn bank_accounts(&self, purpose: Purpose, bank: i64) -> Result<Rows, Error> {
        let call = plain_call(Operation::BankAccounts { bank }, Payload::None);
        self.rows(purpose, &call, Shape::List(ACCOUNTS)).await
    }

    /// One account, as a list of one. Its row lacks `bank_id`.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub async fn account(&self, purpose: Purpose, account: i64) -> Result<Rows, Error> {
        self.one(purpose, Operation::Account { account }, Shape::One(ACCOUNTS)).await
    }

    /// One customer, as a list of one.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub async fn customer(&self, purpose: Purpose, customer: i64) -> Result<Rows, Error> {
        let shape = Shape::One(&["customer", "customers", "data"]);
        self.one(purpose, Operation::Customer { customer }, shape).await
    }

    async fn one(
        &self,
        purpose: Purpose,
        operation: Operation,
        shape: Shape,
    ) -> Result<Rows, Error> {
        let rows = self.rows(purpose, &plain_call(operation, Payload::None), shape).await?;
        if rows.is_empty() {
            return Err(Error::NotFound {
                at: self.caller.at(operation),
                status: 200,
                is_told: true,
            });
        }
        Ok(rows)
    }

    async fn installments(&self, purpose: Purpose) -> Result<Rows, Error> {
        let call = plain_call(Operation::Installments, Payload::None);
        let (answer, texts) = self.caller.call(purpose, &call, installments::flatten).await?;
        let mut rows = Rows::from_texts(texts, answer.fetched_at);
        rows.replaced_text = answer.replaced_text;
        rows.operation = call.operation.name();
        Ok(rows)
    }

    /// The JSON object that the virtual POS has about one payment, as it was sent.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it has none. How the API says that is not documented: a 404 with its
    /// own envelope, an empty list, `null`, and a refusal in these words or of the reference are
    /// understood. A 404 that is not told by the API itself says nothing about the payment.
    pub async fn find_payment(
        &self,
        purpose: Purpose,
        reference_no: &str,
    ) -> Result<String, Error> {
        self.find(purpose.into(), reference_no).await
    }

    pub(crate) async fn find(&self, turn: Turn<'_>, reference_no: &str) -> Result<String, Error> {
        let payload = Payload::Query(vec![("referanceNo", reference_no.to_owned())]);
        let call = plain_call(Operation::FindPayment, payload);
        let read = |body: &str| {
            if envelope::refuses_for_no_payment(body) {
                return Ok(None);
            }
            envelope::read_single_or_null(body, "data").map(|found| found.map(str::to_owned))
        };
        let asked = self.caller.call(turn, &call, read).await;
        let (answer, found) = match asked {
            Err(Error::Rejected { at, status, message: Some(message) })
                if envelope::says_no_payment(&message) =>
            {
                return Err(Error::NotFound { at, status, is_told: true });
            }
            asked => asked?,
        };
        found.ok_or_else(|| Error::NotFound {
            at: self.caller.at(call.operation),
            status: answer.status,
            is_told: true,
        })
    }

    /// The systems that this connection has.
    pub fn apis(&self) -> impl Iterator<Item = Api> {
        self.caller.accesses.iter().map(|access| access.api)
    }

    /// Whether one of them refuses access, as far as is known: see `vomsis_api_access_refused`.
    pub(super) fn is_refused(&self) -> bool {
        self.caller.accesses.iter().any(|access| access.is_refused())
    }

    /// Gets a token and nothing else.
    pub async fn check_access(&self, api: Api) -> Result<(), Error> {
        let at = self.caller.at(Operation::token_of(api));
        let access = self.caller.access(api, &at)?;
        self.caller.token(Purpose::Repair, access).await.map(drop)
    }

    /// Completes when a secret file of this connection changes its content: compared with what was
    /// refused, or, where nothing is refused, with what stands there now. Also when another caller
    /// finds access open again that was refused, or a person's command was granted a TOS token.
    pub async fn wait_for_change(&self) {
        let mut lifted = self.caller.lifted.subscribe();
        let mut baselines = Vec::new();
        for access in &self.caller.accesses {
            baselines.push((access, access.baseline().await));
        }
        loop {
            for (access, baseline) in &baselines {
                if access.fingerprint().await != *baseline || access.is_resumed().await {
                    // Somebody waits, so something failed: with what was granted for the old secrets.
                    access.forget_of_other_secrets().await;
                    return;
                }
            }
            tokio::select! {
                _ = lifted.changed() => return,
                () = tokio::time::sleep(WATCH_INTERVAL) => {}
            }
        }
    }

    /// Takes over how many TOS tokens an earlier run was refused.
    pub fn recall_tos_refusals(&self, kept: &TosRefusals) {
        for access in self.caller.accesses.iter().filter(|access| access.api == Api::Tos) {
            access.recall(kept.clone());
        }
    }

    /// Counts refused TOS tokens in a file of this folder, together with every process that uses
    /// it; to be called before anything is asked.
    pub fn share_tos_refusals(&self, dir: &Path, asker: Asker) {
        let connection = &self.caller.connection.id;
        for access in self.caller.accesses.iter().filter(|access| access.api == Api::Tos) {
            let secret_file = access.secret_file();
            access.share(SharedCount::new(dir, connection.clone(), secret_file, asker));
        }
    }

    /// Refused TOS tokens as they are to be kept over restarts; `None` where there is no TOS.
    pub fn tos_refusals(&self) -> Option<watch::Receiver<Option<TosRefusals>>> {
        let tos = self.caller.accesses.iter().find(|access| access.api == Api::Tos)?;
        Some(tos.refusals())
    }

    async fn rows(
        &self,
        turn: impl Into<Turn<'_>>,
        call: &Call,
        shape: Shape,
    ) -> Result<Rows, Error> {
        let read = |body: &str| envelope::read_rows(body, shape);
        let (answer, found) = self.caller.call(turn, call, read).await?;
        let Answer { body, fetched_at, replaced_text, .. } = answer;
        let Found { spans, gateway_object_id } = found;
        let mut rows = Rows::new(body, spans, fetched_at);
        rows.replaced_text = replaced_text;
        rows.gateway_object_id = gateway_object_id;
        rows.operation = call.operation.name();
        Ok(rows)
    }
}

fn accesses(connection: &Connection) -> Vec<Access> {
    let vomsis = |api, config: &VomsisApi| {
        let files = SecretFiles::new(&config.app_key_file, &config.app_secret_file);
        let url = config.base_url.clone();
        Access::new(api, url.clone(), url, Grant::Vomsis, files)
    };
    let tos = |config: &TosApi| {
        let files = SecretFiles::new(&config.client_id_file, &config.client_secret_file);
        let grant =
            Grant::B2b { consent_id: config.consent_id.clone(), resource: config.resource.clone() };
        Access::new(Api::Tos, config.base_url.clone(), config.token_url.clone(), grant, files)
    };
    let bank_pos = connection.bank_pos.as_ref().map(|config| vomsis(Api::BankPos, config));
    let virtual_pos = connection.virtual_pos.as_ref().map(|config| vomsis(Api::VirtualPos, config));
    bank_pos.into_iter().chain(virtual_pos).chain(connection.tos.as_ref().map(tos)).collect()
}

fn plain_call(operation: Operation, payload: Payload) -> Call {
    Call { operation, payload, last_id_alone: false }
}

fn bank_call(operation: Operation, query: &BankQuery) -> Call {
    let mut pairs = Vec::with_capacity(4);
    if let Some((first, last)) = query.window {
        let Hours { from, to } = query.hours;
        pairs.push(("beginDate", format!("{} {}", date_of(first), time_of(from))));
        pairs.push(("endDate", format!("{} {}", date_of(last), time_of(to))));
    }
    pairs.extend(query.last_id.map(|id| ("lastId", id.to_string())));
    pairs.push(("dateType", query.date_type.as_str().to_owned()));
    let last_id_alone = query.window.is_none() && query.last_id.is_some();
    Call { operation, payload: Payload::Query(pairs), last_id_alone }
}

fn time_of(second: u32) -> String {
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The only spelling that the API reads; others are answered with a range of its own.
fn date_of(day: Day) -> String {
    day.to_date().format("%d-%m-%Y").to_string()
}

#[cfg(test)]
pub(super) mod tests;
