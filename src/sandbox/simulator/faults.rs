//! Scripted faults: what goes wrong, where, how often.

use std::{fmt, str::FromStr, time::Duration};

use super::operation::Operation;
use crate::sandbox::random::Random;

/// One way in which a source system misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429 as plain text, with `Retry-After` where seconds are given.
    TooMany(Option<u32>),
    /// A 5xx answer.
    Status(u16),
    /// 200 with a page instead of data.
    Html,
    /// 200 whose body ends in the middle.
    Truncated,
    /// The connection breaks in the middle of the body.
    Cut,
    /// 200 with `success: false`.
    SuccessFalse,
    /// 200 with `"success": "false"` beside the data.
    SuccessFalseText,
    /// 200 with `status: error`.
    StatusError,
    /// 200 without the collection.
    MissingKey,
    /// 401; the token stays good.
    Unauthenticated,
    /// 401, and the token that was sent is good no more.
    ExpiredToken,
    /// 403: the application may not make this call.
    Forbidden,
    /// 403 with `ip_not_found`, naming 203.0.113.7.
    IpNotFound,
    /// 302 to `/login`.
    Login,
    /// The answer comes after so long.
    Slow(Duration),
    /// The dates are ignored: the last seven days come, as success.
    DefaultRange,
    /// `lastId` alone is refused: 422.
    DatesRequired,
    /// No more rows than this come, silently.
    RowCap(usize),
    /// A TOS answer without payments is an error code instead of an empty result.
    TosEmptyCode,
    /// The request does nothing, and the connection is closed without an answer.
    Closed,
    /// Before the request is answered, the port begins to refuse connections for so long.
    Deaf(Duration),
    /// The next connection is reset before a byte is read. It has no operation yet.
    Reset,
    /// Of `change_payment` alone.
    Payment(PaymentFault),
}

/// What may go wrong with a cancel or a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentFault {
    /// The payment is changed, and the connection is closed without an answer.
    AppliedClosed,
    /// The payment is changed, and the answer is a 504.
    Applied504,
    /// The payment is changed, and the answer is a page.
    AppliedHtml,
    /// The connection is closed without an answer; the payment is changed after so long.
    AppliedLate(Duration),
    /// The payment is changed at once, and the answer comes after so long.
    SlowAnswer(Duration),
    /// The payment is changed; `response` is `Declined` and `status` is `approved`.
    Contradictory,
    /// The payment is changed, and the answer tells of a bank that did not say so: `response` is `Error`
    /// and the code 91.
    AppliedError,
    /// The payment is not changed, and the bank says so with this code.
    Declined(String),
}

/// A fault with the operations and the share of requests that it befalls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultSpec {
    /// What happens.
    pub fault: Fault,
    /// Where; every operation but the sign-ins where nothing is named.
    pub operation: Option<Operation>,
    /// In how many of a hundred requests.
    pub percent: u8,
    /// How often at most.
    pub times: Option<u32>,
}

/// A fault spec that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "fault {spec:?} is not understood at {part:?}, write KIND[=ARGUMENT][:PERCENT%][:xTIMES][:OPERATION]"
)]
pub struct InvalidFault {
    spec: String,
    part: String,
}

impl FromStr for FaultSpec {
    type Err = InvalidFault;

    /// Reads `429:10%`, `429=30:x1:account_transactions`, `slow=2s`, `cap=500:transactions`.
    fn from_str(spec: &str) -> Result<Self, InvalidFault> {
        let invalid = |part: &str| InvalidFault { spec: spec.to_owned(), part: part.to_owned() };
        let mut parts = spec.split(':');
        let kind = parts.next().unwrap_or_default();
        let fault = Fault::parse(kind).ok_or_else(|| invalid(kind))?;
        let mut read = Self { fault, operation: None, percent: 100, times: None };
        for part in parts {
            let percent = part.strip_suffix('%').and_then(|number| number.parse().ok());
            let times = part.strip_prefix('x').and_then(|number| number.parse().ok());
            if let Some(percent) = percent.filter(|percent| *percent <= 100) {
                read.percent = percent;
            } else if let Some(times) = times {
                read.times = Some(times);
            } else {
                let operation = Operation::parse(part).ok_or_else(|| invalid(part))?;
                if !read.fault.befalls(operation) {
                    return Err(invalid(part));
                }
                read.operation = Some(operation);
            }
        }
        Ok(read)
    }
}

impl Fault {
    /// Whether an operation can meet it at all.
    const fn befalls(&self, operation: Operation) -> bool {
        match self {
            Self::Reset => false,
            Self::Payment(_) => matches!(operation, Operation::ChangePayment),
            Self::TosEmptyCode => matches!(operation, Operation::TosQuery),
            Self::DatesRequired => {
                matches!(operation, Operation::AccountTransactions | Operation::Transactions)
            }
            Self::DefaultRange => matches!(
                operation,
                Operation::AccountTransactions
                    | Operation::Transactions
                    | Operation::StationTransactions
            ),
            Self::RowCap(_) => matches!(
                operation,
                Operation::AccountTransactions
                    | Operation::Transactions
                    | Operation::StationTransactions
                    | Operation::TransactionsList
                    | Operation::TosQuery
            ),
            // That answer is a list without an envelope.
            Self::SuccessFalseText => !matches!(operation, Operation::Customers),
            _ => true,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, argument) = text.split_once('=').unwrap_or((text, ""));
        if let Some(fault) = PaymentFault::parse(kind, argument) {
            return Some(Self::Payment(fault));
        }
        let number = || argument.parse::<u32>().ok();
        let fault = match kind {
            "429" if argument.is_empty() => Self::TooMany(None),
            "429" => Self::TooMany(Some(number()?)),
            "slow" => return humantime::parse_duration(argument).ok().map(Self::Slow),
            "deaf" => return humantime::parse_duration(argument).ok().map(Self::Deaf),
            "cap" => return argument.parse().ok().map(Self::RowCap),
            _ if !argument.is_empty() => return None,
            "500" | "502" | "503" | "504" => Self::Status(kind.parse().ok()?),
            "html" => Self::Html,
            "truncated" => Self::Truncated,
            "cut" => Self::Cut,
            "success_false" => Self::SuccessFalse,
            "success_false_text" => Self::SuccessFalseText,
            "status_error" => Self::StatusError,
            "missing_key" => Self::MissingKey,
            "401" => Self::Unauthenticated,
            "403" => Self::Forbidden,
            "expired_token" => Self::ExpiredToken,
            "ip_not_found" => Self::IpNotFound,
            "login" => Self::Login,
            "default_range" => Self::DefaultRange,
            "dates_required" => Self::DatesRequired,
            "tos_empty_code" => Self::TosEmptyCode,
            "closed" => Self::Closed,
            "reset" => Self::Reset,
            _ => return None,
        };
        Some(fault)
    }
}

impl PaymentFault {
    fn parse(kind: &str, argument: &str) -> Option<Self> {
        let time = || humantime::parse_duration(argument).ok();
        match kind {
            "applied_late" => time().map(Self::AppliedLate),
            "slow_answer" => time().map(Self::SlowAnswer),
            "declined" if !argument.is_empty() => Some(Self::Declined(argument.to_owned())),
            _ if !argument.is_empty() => None,
            "applied_closed" => Some(Self::AppliedClosed),
            "applied_504" => Some(Self::Applied504),
            "applied_html" => Some(Self::AppliedHtml),
            "contradictory" => Some(Self::Contradictory),
            "applied_error" => Some(Self::AppliedError),
            _ => None,
        }
    }
}

impl fmt::Display for PaymentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: &Duration| humantime::format_duration(*time);
        match self {
            Self::AppliedClosed => f.write_str("applied_closed"),
            Self::Applied504 => f.write_str("applied_504"),
            Self::AppliedHtml => f.write_str("applied_html"),
            Self::AppliedLate(after) => write!(f, "applied_late={}", time(after)),
            Self::SlowAnswer(wait) => write!(f, "slow_answer={}", time(wait)),
            Self::Contradictory => f.write_str("contradictory"),
            Self::AppliedError => f.write_str("applied_error"),
            Self::Declined(code) => write!(f, "declined={code}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(None) => f.write_str("429"),
            Self::TooMany(Some(seconds)) => write!(f, "429={seconds}"),
            Self::Status(status) => write!(f, "{status}"),
            Self::Html => f.write_str("html"),
            Self::Truncated => f.write_str("truncated"),
            Self::Cut => f.write_str("cut"),
            Self::SuccessFalse => f.write_str("success_false"),
            Self::SuccessFalseText => f.write_str("success_false_text"),
            Self::StatusError => f.write_str("status_error"),
            Self::MissingKey => f.write_str("missing_key"),
            Self::Unauthenticated => f.write_str("401"),
            Self::Forbidden => f.write_str("403"),
            Self::ExpiredToken => f.write_str("expired_token"),
            Self::IpNotFound => f.write_str("ip_not_found"),
            Self::Login => f.write_str("login"),
            Self::Slow(delay) => write!(f, "slow={}", humantime::format_duration(*delay)),
            Self::DefaultRange => f.write_str("default_range"),
            Self::DatesRequired => f.write_str("dates_required"),
            Self::RowCap(rows) => write!(f, "cap={rows}"),
            Self::TosEmptyCode => f.write_str("tos_empty_code"),
            Self::Closed => f.write_str("closed"),
            Self::Deaf(time) => write!(f, "deaf={}", humantime::format_duration(*time)),
            Self::Reset => f.write_str("reset"),
            Self::Payment(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        if self.percent < 100 {
            write!(f, ":{}%", self.percent)?;
        }
        if let Some(times) = self.times {
            write!(f, ":x{times}")?;
        }
        match self.operation {
            Some(operation) => write!(f, ":{operation}"),
            None => Ok(()),
        }
    }
}

/// The faults that are set, and the dice.
#[derive(Debug)]
pub(super) struct Faults {
    set: Vec<FaultSpec>,
    random: Random,
}

impl Faults {
    pub(super) const fn new(set: Vec<FaultSpec>, seed: u64) -> Self {
        Self { set, random: Random::new(seed) }
    }

    pub(super) fn set(&mut self, faults: Vec<FaultSpec>) {
        self.set = faults;
    }

    pub(super) fn add(&mut self, faults: Vec<FaultSpec>) {
        self.set.extend(faults);
    }

    pub(super) fn list(&self) -> Vec<String> {
        self.set.iter().map(ToString::to_string).collect()
    }

    /// Which faults befall the next request of an operation; each that does is counted off.
    pub(super) fn draw(&mut self, operation: Operation) -> Vec<Fault> {
        self.draw_where(|spec| {
            let meant = match spec.operation {
                Some(named) => named == operation,
                None => !operation.is_sign_in(),
            };
            meant && spec.fault.befalls(operation)
        })
    }

    /// Whether the next connection is to be reset.
    pub(super) fn draw_reset(&mut self) -> bool {
        !self.draw_where(|spec| spec.fault == Fault::Reset).is_empty()
    }

    fn draw_where(&mut self, is_meant: impl Fn(&FaultSpec) -> bool) -> Vec<Fault> {
        let mut drawn = Vec::new();
        for spec in &mut self.set {
            let meant = is_meant(spec);
            if !meant || spec.times == Some(0) {
                continue;
            }
            if self.random.below(100) < u64::from(spec.percent) {
                spec.times = spec.times.map(|times| times - 1);
                drawn.push(spec.fault.clone());
            }
        }
        self.set.retain(|spec| spec.times != Some(0));
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_and_written_alike() {
        for text in [
            "429:10%",
            "429=30:x1:account_transactions",
            "502",
            "slow=2s:50%",
            "cap=500:transactions",
            "expired_token:x1",
            "login:tos_query",
            "default_range",
            "closed:x1:change_payment",
            "deaf=2s:x1:transaction_find",
            "reset:x2",
            "applied_closed:x1",
            "applied_504:50%:change_payment",
            "applied_html",
            "applied_late=5m",
            "slow_answer=1s",
            "contradictory",
            "applied_error:x1",
            "declined=51:x1",
        ] {
            let spec: FaultSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in [
            "",
            "418",
            "429:101%",
            "429:nowhere",
            "html=3",
            "slow",
            "cap=x",
            "deaf",
            "reset:banks",
            "applied_504:banks",
            "applied_late",
            "declined",
            "declined=",
            "applied_closed=1",
            "tos_empty_code:banks",
            "dates_required:station_transactions",
            "default_range:accounts",
            "cap=1:accounts",
            "success_false_text:customers",
        ] {
            assert!(text.parse::<FaultSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_run_out_and_sign_ins_are_spared() {
        let mut faults = Faults::new(vec!["500:x2".parse().unwrap()], 1);
        assert!(faults.draw(Operation::Authenticate).is_empty());
        assert_eq!(faults.draw(Operation::Banks).len(), 1);
        assert_eq!(faults.draw(Operation::Banks).len(), 1);
        assert!(faults.draw(Operation::Banks).is_empty());
        assert!(faults.list().is_empty());
        let set = ["reset:x1", "applied_504:x1", "tos_empty_code:x1", "cap=1:x1"];
        let set = set.map(|spec| spec.parse().unwrap());
        let mut faults = Faults::new(set.to_vec(), 1);
        assert!(faults.draw(Operation::Banks).is_empty());
        assert_eq!(faults.draw(Operation::ChangePayment).len(), 1);
        assert_eq!(faults.draw(Operation::TosQuery).len(), 2);
        assert!(faults.draw_reset() && !faults.draw_reset());
    }
}
