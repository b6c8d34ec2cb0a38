//! A few payment commands of each kind, so that the sandbox shows what becomes of them.

use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    cli::{Exit, Failure},
    domain::{commands::PaymentCommand, money::Money, vocabulary::CommandType},
    publish::{encode::Encoder, registry::Registry},
    sandbox::{embedded::Embedded, ledger::NewPayment},
    sink::words,
    telemetry::clock::now,
};

/// Until the sink has come up and the first rows have flowed.
const FIRST_AFTER: Duration = Duration::from_secs(3);
const BETWEEN: Duration = Duration::from_millis(700);
const CONNECTION: &str = "sandbox";

/// An order and what it shows.
struct Order {
    reference: &'static str,
    kind: CommandType,
    amount: Option<&'static str>,
    shows: &'static str,
}

const ORDERS: [Order; 6] = [
    refund("SANDBOX-0001", "25.00", "a part of a payment is refunded"),
    refund("SANDBOX-0001", "75.00", "the rest of it too"),
    refund("SANDBOX-0001", "1.00", "nothing is left to refund: declined or rejected"),
    cancel("SANDBOX-0002", "a payment of today is cancelled"),
    refund("SANDBOX-0002", "10.00", "a cancelled payment has nothing to refund: rejected"),
    refund("SANDBOX-9999", "10.00", "nobody knows this payment: rejected"),
];

const fn refund(reference: &'static str, amount: &'static str, shows: &'static str) -> Order {
    Order { reference, kind: CommandType::Refund, amount: Some(amount), shows }
}

const fn cancel(reference: &'static str, shows: &'static str) -> Order {
    Order { reference, kind: CommandType::Cancel, amount: None, shows }
}

/// Invents the payments that the orders are about.
pub(super) fn add_payments(embedded: &Embedded) -> Result<(), Failure> {
    let mut ledger = embedded.simulator.ledger();
    for (reference, amount) in [("SANDBOX-0001", "100.00"), ("SANDBOX-0002", "40.00")] {
        ledger
            .add_payment(&NewPayment::new(reference, amount))
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    }
    Ok(())
}

/// Submits them one after another, and says on stderr what each shows.
pub(super) async fn submit(
    config: crate::config::model::Config,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    let registry = Registry::new(&config.schema_registry);
    let topic = |suffix: &str| config.kafka.topic(suffix);
    let schema = crate::domain::schemas::PAYMENT_COMMAND;
    let ids = registry.ids(&[schema], topic).await?;
    let encoder = Encoder::new(&ids, topic).map_err(|error| failed(error.to_string()))?;
    let mut pause = FIRST_AFTER;
    for order in &ORDERS {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(pause) => pause = BETWEEN,
        }
        let amount = order.amount.map(Money::parse).transpose();
        let command = PaymentCommand {
            command_id: Uuid::new_v4().hyphenated().to_string().into(),
            r#type: order.kind,
            connection_id: CONNECTION.into(),
            reference_no: order.reference.into(),
            amount: amount.map_err(|error| failed(error.to_string()))?,
            currency: Some("TRY".into()),
            reason: Some("sandbox".into()),
            requested_by: "sandbox".into(),
            requested_at: now(),
            expires_at: None,
        };
        let value = encoder
            .encode(PaymentCommand::NAME, &command)
            .map_err(|error| failed(error.to_string()))?;
        let key = format!("{CONNECTION}/{}", order.reference);
        words::submit(&config.kafka, &key, &value)
            .await
            .map_err(|error| failed(error.to_string()))?;
        eprintln!("payment command {}: {}", command.command_id, order.shows);
    }
    Ok(())
}
