//! `commands submit`: a command into the command topic, for people and scripts.

use clap::ValueEnum;
use serde_json::json;
use uuid::Uuid;

use crate::{
    cli::{Context, Exit, Failure, output},
    config::{duration::Span, model::Kafka},
    domain::{
        commands::PaymentCommand, ids::ConnectionId, money::Money, schemas, time::Timestamp,
        vocabulary::CommandType,
    },
    kafka::topics,
    publish::{encode::Encoder, registry::Registry},
    sink::{admission::check_amount, words},
    telemetry::clock::now,
};

/// Arguments of `commands submit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[arg(long, value_enum)]
    r#type: Kind,
    /// The connection that holds the payment.
    #[arg(long, value_name = "ID")]
    connection: String,
    /// The payment's reference.
    #[arg(long, value_name = "REFERENCE")]
    reference: String,
    /// How much to give back, such as 12.50; a refund needs it, a cancel must not have it.
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    /// The currency that the payment must have.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Why; no card numbers or names.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who asks for it.
    #[arg(long, value_name = "NAME")]
    requested_by: String,
    /// After this long nothing is sent any more; without it the command never expires.
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::duration)]
    expires_in: Option<Span>,
    /// The id, where this is a command that was submitted before and may not have arrived.
    #[arg(long, value_name = "UUID")]
    command_id: Option<Uuid>,
    /// Without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Undo the whole payment, on its day.
    Cancel,
    /// Give a part or all of it back.
    Refund,
}

/// Puts it into the topic and prints its id.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    for (name, text) in [("--reference", &args.reference), ("--requested-by", &args.requested_by)] {
        if text.trim().is_empty() {
            return Err(usage(format!("{name} is empty")));
        }
    }
    let config = context.load()?.config;
    let connection = ConnectionId::try_new(&args.connection).map_err(|e| usage(e.to_string()))?;
    let known = config.connections.iter().find(|known| known.id == connection);
    if known.is_none_or(|known| known.virtual_pos.is_none()) {
        return Err(usage(format!("connection {connection} is not configured with a virtual_pos")));
    }
    let amount = args.amount.as_deref().map(amount).transpose().map_err(usage)?;
    let (kind, shown) = match (args.r#type, amount) {
        (Kind::Refund, Some(amount)) => (CommandType::Refund, format!("refund {amount}")),
        (Kind::Cancel, None) => (CommandType::Cancel, "cancel the whole".to_owned()),
        (Kind::Refund, None) => return Err(usage("a refund needs --amount".to_owned())),
        (Kind::Cancel, Some(_)) => return Err(usage("a cancel has no --amount".to_owned())),
    };
    if !config.sink.enabled {
        eprintln!(
            "warning: sink.enabled is false in this configuration: unless another one runs the sink \
             on these topics, the command waits, and may be executed when it is enabled"
        );
    }
    let what = format!("{shown} of payment {} of {connection}, with real money", args.reference);
    super::agreed(args.yes, &what, &args.reference)?;
    let id = args.command_id.unwrap_or_else(Uuid::new_v4);
    let requested_at = now();
    let command = PaymentCommand {
        command_id: id.hyphenated().to_string().into(),
        r#type: kind,
        connection_id: args.connection.as_str().into(),
        reference_no: args.reference.as_str().into(),
        amount,
        currency: args.currency.as_deref().map(Into::into),
        reason: args.reason.as_deref().map(Into::into),
        requested_by: args.requested_by.as_str().into(),
        requested_at,
        expires_at: args.expires_in.map(|span| after(requested_at, span)),
    };
    super::check_there(&config.kafka, topics::COMMANDS).await?;
    let value = encoded(&config, &command).await?;
    let key = format!("{connection}/{}", args.reference);
    // Before it is sent: whoever is interrupted now must be able to ask, or to send it again.
    eprintln!("sending command {id}");
    let sent = words::submit(&config.kafka, &key, &value).await;
    sent.map_err(|error| unsent(&error, &config.kafka, id))?;
    output::print(context, &json!({ "command_id": id }), || id.to_string())?;
    eprintln!("`commands show {id}` tells what became of it");
    if args.command_id.is_some() {
        eprintln!(
            "was the id sent before, then what it said first stands, and this is answered DUPLICATE: \
             `commands show {id}` tells that too"
        );
    }
    Ok(())
}

/// Says whether the command surely did not arrive, or nobody knows.
fn unsent(error: &words::Error, kafka: &Kafka, id: Uuid) -> Failure {
    let failure = super::unsent(error, kafka, topics::COMMANDS);
    match error {
        words::Error::Refused(_) => failure,
        words::Error::Unknown(_) => failure.hint(format!(
            "it may have arrived all the same: `commands show {id}` tells; submitting it again with \
             --command-id {id} is safe, DUPLICATE then means that it had arrived"
        )),
    }
}

/// What `--amount` says: the same rule as for every command, before anything is sent.
fn amount(text: &str) -> Result<Money, String> {
    let amount = Money::parse(text).map_err(|error| format!("--amount: {error}; write 12.50"))?;
    check_amount(amount).map_err(|error| format!("--amount: {error}; write 12.50"))?;
    Ok(amount)
}

async fn encoded(
    config: &crate::config::model::Config,
    command: &PaymentCommand<'_>,
) -> Result<Vec<u8>, Failure> {
    let registry = Registry::new(&config.schema_registry);
    let topic = |suffix: &str| config.kafka.topic(suffix);
    let ids = registry.ids(&[schemas::PAYMENT_COMMAND], topic).await?;
    let failed =
        |error: crate::publish::encode::Error| Failure::new(Exit::Failed, error.to_string());
    let encoder = Encoder::new(&ids, topic).map_err(failed)?;
    encoder.encode(PaymentCommand::NAME, command).map_err(failed)
}

fn after(at: Timestamp, span: Span) -> Timestamp {
    let millis = i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
    Timestamp(at.0.saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_that_no_bank_can_give_back_is_refused() {
        for text in ["12.50", "0.01", "1"] {
            assert_eq!(amount(text), Ok(Money::parse(text).unwrap()));
        }
        for text in ["0", "0.00", "-1", "12.505", "0.001", "x", ""] {
            assert!(amount(text).unwrap_err().contains("--amount"), "{text}");
        }
    }

    #[test]
    fn what_surely_did_not_arrive_is_not_told_as_if_it_might_have() {
        let text = "connections: [{id: acme, bank_pos: {app_key_file: k, app_secret_file: s}}]";
        let kafka = crate::config::parse("c", text, std::iter::empty()).unwrap().config.kafka;
        let id = Uuid::from_u128(7);
        for (error, exit) in super::super::tests::answers() {
            let failure = unsent(&error, &kafka, id);
            assert_eq!(failure.exit, exit, "{failure:?}");
            let surely = failure.message.contains("nothing was written");
            let hint = failure.hint.unwrap();
            let may_be = hint.contains(&format!("`commands show {id}` tells"));
            assert_eq!(surely, !may_be, "{}: {hint}", failure.message);
            assert!(!hint.contains("journal"), "it goes to the command topic: {hint}");
        }
    }

    #[tokio::test]
    async fn blanks_are_refused_before_anything_is_read_or_asked() {
        use clap::Parser;
        for (reference, who, named) in
            [("", "ayse", "--reference is empty"), ("R", " \t", "--requested-by is empty")]
        {
            let line = ["x", "commands", "submit", "--type", "cancel", "--connection", "acme"];
            let more = ["--reference", reference, "--requested-by", who];
            let cli = crate::cli::Cli::try_parse_from(line.into_iter().chain(more)).unwrap();
            let crate::cli::Command::Commands(args) = cli.command else { panic!("not commands") };
            let failed = super::super::run(args, &Context::for_tests()).await.unwrap_err();
            assert_eq!((failed.exit, failed.message.as_str()), (Exit::Usage, named));
        }
    }
}
