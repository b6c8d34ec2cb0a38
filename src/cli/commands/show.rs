//! `commands show` and `commands reconcile`: one command's story, and how its payment stands.

use std::sync::Arc;

use super::lines;
use crate::{
    api::Client,
    app::commands::{
        Error, Found, Meant,
        compare::{self, Compared},
        duplicates::{self, Duplicate, Happened, in_order},
        find,
        list::Decided,
        story::{DUPLICATE, Story},
    },
    cli::{Context, Failure, output},
    sink::journal::Entry,
    telemetry::metrics::Metrics,
};

/// Prints the story.
pub(super) async fn run(meant: &Meant, context: &Context) -> Result<(), Failure> {
    let config = context.load()?.config;
    let Found { told, words } = find(&config.kafka, meant).await?;
    let entry = &told.entry;
    let others = duplicates::of(&config, entry.key()).await;
    if let Err(why) = &others {
        eprintln!("warning: whether other commands came under this id is not known: {why}");
    }
    let others = others.as_deref().map_err(String::as_str);
    output::print(context, &Story::of(entry, &words).with(entry, others), || {
        let decided = Decided::about(entry, &words);
        let happened = in_order(entry, others.unwrap_or_default());
        table(entry, happened) + &decided.as_ref().map(waiting).unwrap_or_default()
    })
}

fn table(entry: &Entry, happened: Vec<Happened<'_>>) -> String {
    let (key, outline, currency) = (entry.key(), entry.outline(), lines::currency(entry));
    let amount = outline.amount.map(|amount| lines::money(amount, currency));
    let mut table = output::table_of_names(&["at", "event", "detail"], &[0, 1]);
    for happened in happened {
        let (at, name, says) = match happened {
            Happened::Event(event) => (event.at(), event.name(), lines::line(event, currency)),
            Happened::Duplicate(other) => (other.at, DUPLICATE, another(other)),
        };
        table.add_row([lines::local(at), name.to_owned(), says]);
    }
    format!(
        "{} {} of {}/{}, command {}: {}\n\n{table}",
        outline.kind,
        amount.unwrap_or_else(|| "no amount".to_owned()),
        key.connection,
        key.reference_no,
        key.command_id,
        entry.status().word(),
    )
}

/// What came under the same id, and what it was told.
fn another(Duplicate { kind, amount, says, .. }: &Duplicate) -> String {
    let amount = amount.as_ref().map(|amount| format!(" of {amount}")).unwrap_or_default();
    format!("a {kind}{amount} came under this id, and was answered DUPLICATE: {says}")
}

/// A decision that no sink has acted on yet, as a line of its own.
fn waiting(decided: &Decided) -> String {
    let Decided { outcome, actor, evidence, at } = decided;
    format!(
        "\n\n{actor} decided at {at}: {outcome} ({evidence}). no sink has acted on it yet; it does when it runs"
    )
}

/// Asks the API, and changes nothing.
pub(super) async fn reconcile(meant: &Meant, context: &Context) -> Result<(), Failure> {
    let config = context.load()?.config;
    let looked = compare::look_up(&config.kafka, meant).await?;
    let of = looked.connection();
    let connection = config.connections.iter().find(|connection| connection.id == *of);
    let connection = connection.ok_or_else(|| Error::NotConfigured(of.clone()))?;
    // Another process than the connector: with a budget and a sign-in of its own.
    let client = Client::new(connection, Arc::new(Metrics::new())).map_err(Error::from)?;
    let compared = compare::ask(&client, &looked).await?;
    output::print(context, &compared, || compared_table(&compared))
}

fn compared_table(compared: &Compared) -> String {
    let mut table = output::unbroken_table(&["", "status", "amount", "refunded", "currency"]);
    for (name, state) in [("before", &compared.before), ("now", &compared.now)] {
        let Some(state) = state else { continue };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        table.add_row([
            name.to_owned(),
            state.status.to_string(),
            or_dash(state.amount.map(|amount| amount.to_string())),
            match (state.refunded, state.refunded_unknown) {
                (None, true) => "not known".to_owned(),
                (refunded, _) => or_dash(refunded.map(|amount| amount.to_string())),
            },
            or_dash(state.currency.clone()),
        ]);
    }
    format!("command {}: {}\n\n{table}\n\n{}", compared.command_id, compared.status, compared.says)
}
