//! `xopero alert test`.

use clap::Args;
use serde_json::json;

use super::{CliError, Context, TrustArgs, env};
use crate::alert::{DeliveryError, Letter, Receipt};
use crate::cli::exit_code;
use crate::clock::Clock;
use crate::model::{AlertsName, Channel};
use crate::ui::{Side, Table, shown};

/// Send a test by every way of some alerts, and say what came back
///
/// What the file says is tried, applied or not. A check that waits for signs of life gets a line in its log, which
/// changes nothing. Ends with 1 if one of them did not take it.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The alerts, by their name
    #[arg(value_name = "NAME")]
    name: AlertsName,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &TestArgs) -> Result<u8, CliError> {
    let (_tree, decoded) = context.declaration()?;
    let (name, declared) = (&arguments.name, &decoded.declaration.alerts);
    let Some(alerts) = declared.get(name) else {
        let known: Vec<&str> = declared.keys().map(AlertsName::as_str).collect();
        let hint = if known.is_empty() {
            "declare some: alerts \"ops\" { webhook \"https://…\"; }".to_owned()
        } else {
            format!("declared: {}", known.join(", "))
        };
        return Err(CliError::new(exit_code::USAGE, format!("the file declares no alerts {name}")).with_hint(hint));
    };
    let output = context.output;
    output.begin_json();
    let courier = arguments.trust.courier(context);
    let letter = Letter::Test { host: env::who(), at: context.clock.now() };
    let id = format!("test-{}", context.clock.now().as_millisecond());
    let columns = [("WAY", Side::Whole), ("RESULT", Side::Whole), ("WHERE", Side::Left)];
    let mut table = Table::new(&columns, output.width(), output.style());
    let mut failures: Vec<(Channel, DeliveryError)> = Vec::new();
    let mut without: Vec<(Channel, String)> = Vec::new();
    for channel in alerts.channels() {
        let sent = courier.send(name, alerts, channel, &letter, &id).await;
        if output.is_json() {
            output.json(&line(name, channel, &sent));
        }
        match sent {
            Ok(Receipt { place, answer, left_out }) => {
                table.row([channel.to_string(), answer, place]);
                without.extend(left_out.map(|left_out| (channel, left_out)));
            }
            Err(error) => {
                table.row([channel.to_string(), "failed".to_owned(), error.line()]);
                failures.push((channel, error));
            }
        }
    }
    if !output.is_json() {
        output.data(&table.render());
        for (channel, left_out) in &without {
            output.sentence(&shown(&format!("{channel}: it was taken, but not for {left_out}")));
        }
        for (channel, error) in &failures {
            if let Some(hint) = error.hint() {
                output.sentence(&shown(&format!("{channel}: {hint}")));
            }
        }
    }
    if failures.is_empty() {
        output.say("Every way took it. Look whether it arrived: that it was taken is all that can be seen from here.");
        return Ok(exit_code::DONE);
    }
    let (failed, ways) = (failures.len(), alerts.channels().len());
    Err(CliError::new(exit_code::FAILED, format!("{failed} of {ways} did not take the test of alerts {name}")))
}

fn line(name: &AlertsName, channel: Channel, sent: &Result<Receipt, DeliveryError>) -> serde_json::Value {
    let (receipt, error) = (sent.as_ref().ok(), sent.as_ref().err());
    let (place, answer) = (receipt.map(|receipt| &receipt.place), receipt.map(|receipt| &receipt.answer));
    let left_out = receipt.and_then(|receipt| receipt.left_out.as_ref());
    let (error, hint) = (error.map(DeliveryError::line), error.and_then(DeliveryError::hint));
    json!({
        "type": "alert_test", "alerts": name, "channel": channel, "taken": sent.is_ok(), "place": place,
        "answer": answer, "left_out": left_out, "error": error, "hint": hint,
    })
}
