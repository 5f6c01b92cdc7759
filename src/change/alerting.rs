//! What there is to say about alerts that change: who is told, of what, and with whose secrets.

use std::collections::{BTreeMap, BTreeSet};

use super::risk::{Finding, Findings};
use super::{RailKind, Way};
use crate::model::alerts::{PASSWORD, SIGNING_KEY, TOKEN};
use crate::model::{
    Address, AlertAddress, Alerts, AlertsName, Channel, Declaration, Ntfy, Occasion, PlanName, Sealed, Webhook,
};

/// What there is to say about the alerts, on the way from `before` to `after`.
pub(super) fn findings(before: &Declaration, after: &Declaration) -> Findings {
    let mut all = Findings::new();
    let mut found = |name: &AlertsName, finding: Finding| {
        all.entry(Address::alerts(name)).or_default().push(finding);
    };
    for (name, old) in &before.alerts {
        match after.alerts.get(name) {
            None if after.alerts.is_empty() && !after.plans.is_empty() => {
                found(
                    name,
                    Finding::guarded(RailKind::AlertsLeave, "nobody is told any more when backups do not come"),
                );
            }
            None => found(name, Finding::notice("it tells nobody any more")),
            Some(new) => {
                for finding in changed(name, old, new) {
                    found(name, finding);
                }
            }
        }
    }
    for (name, new) in &after.alerts {
        let old = before.alerts.get(name).and_then(|old| old.exec.as_ref());
        if let Some(program) = new.exec.as_ref().filter(|program| Some(*program) != old) {
            let reason = format!("{program} is called on this machine, if xopero was started with --allow-exec");
            found(name, Finding::notice(reason));
        }
    }
    all
}

fn changed(name: &AlertsName, old: &Alerts, new: &Alerts) -> Vec<Finding> {
    let mut all = Vec::new();
    let (before, after) = (bound(old), bound(new));
    for ((channel, key), (sealed, bound_to)) in &after {
        let Some((was, was_bound_to)) = before.get(&(*channel, *key)) else { continue };
        if was == sealed && was_bound_to != bound_to {
            let reason = format!("{channel} {key} is sealed for {was_bound_to}; it is not used for {bound_to}");
            let way = Way {
                when: "if the new address is right, seal it for that".to_owned(),
                lines: vec![format!("xopero secrets set alerts/{name}/{channel}/{key}")],
            };
            all.push(Finding::refused(RailKind::SealedElsewhere, reason).with([way]));
        }
    }
    let (ways, remaining) = (old.channels(), new.channels());
    let gone: Vec<&str> =
        ways.iter().filter(|channel| !remaining.contains(channel)).map(|channel| channel.as_str()).collect();
    if !gone.is_empty() {
        all.push(Finding::notice(format!("nobody is told any more by {}", gone.join(", "))));
    }
    let elsewhere: Vec<&str> = remaining
        .iter()
        .filter(|channel| ways.contains(channel) && place(old, **channel) != place(new, **channel))
        .map(|channel| channel.as_str())
        .collect();
    if !elsewhere.is_empty() {
        all.push(Finding::notice(format!("others are told by {}", elsewhere.join(", "))));
    }
    let untold: Vec<&str> = old.occasions.difference(&new.occasions).copied().map(Occasion::as_str).collect();
    if !untold.is_empty() {
        all.push(Finding::notice(format!("not told any more: {}", untold.join(", "))));
    }
    if let Some(narrower) = narrower(&old.plans, &new.plans) {
        all.push(Finding::notice(narrower));
    }
    all
}

/// Which plans nobody hears of any more. No plan named means every plan.
fn narrower(old: &BTreeSet<PlanName>, new: &BTreeSet<PlanName>) -> Option<String> {
    let names = |plans: Vec<&PlanName>| plans.into_iter().map(PlanName::as_str).collect::<Vec<_>>().join(", ");
    match (old.is_empty(), new.is_empty()) {
        (_, true) => None,
        (true, false) => Some(format!("only about the plans {}", names(new.iter().collect()))),
        (false, false) => {
            let gone: Vec<&PlanName> = old.difference(new).collect();
            (!gone.is_empty()).then(|| format!("no longer about the plans {}", names(gone)))
        }
    }
}

/// The secrets that are sealed for what stands beside them in clear text, with that.
fn bound(alerts: &Alerts) -> BTreeMap<(Channel, &'static str), (&Sealed, String)> {
    let mut all = BTreeMap::new();
    let mut put = |channel, key, sealed, bound_to| drop(all.insert((channel, key), (sealed, bound_to)));
    if let Some(Webhook { address: AlertAddress::Clear(address), signing_key: Some(key) }) = &alerts.webhook {
        put(Channel::Webhook, SIGNING_KEY, key, address.to_string());
    }
    if let Some(Ntfy { address: AlertAddress::Clear(address), token: Some(token) }) = &alerts.ntfy {
        put(Channel::Ntfy, TOKEN, token, address.to_string());
    }
    if let Some(email) = &alerts.email
        && let Some((account, password)) = &email.login
    {
        put(Channel::Email, PASSWORD, password, format!("{account} at {}", email.server));
    }
    all
}

/// Whom a channel tells, without the secrets that let it.
fn place(alerts: &Alerts, channel: Channel) -> Vec<String> {
    let address = |address: &AlertAddress| match address {
        AlertAddress::Clear(address) => address.to_string(),
        AlertAddress::Sealed(sealed) => sealed.full_digest(),
    };
    match channel {
        Channel::Webhook => alerts.webhook.iter().map(|webhook| address(&webhook.address)).collect(),
        Channel::Healthchecks => alerts.healthchecks.iter().map(address).collect(),
        Channel::Ntfy => alerts.ntfy.iter().map(|ntfy| address(&ntfy.address)).collect(),
        Channel::Slack => alerts.slack.iter().map(Sealed::full_digest).collect(),
        Channel::Email => alerts.email.iter().flat_map(|email| email.to.iter().map(ToString::to_string)).collect(),
        Channel::Exec => alerts.exec.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Known, Risk, change_set, sample};
    use super::*;
    use crate::model::{AlertUrl, Declaration};

    fn alerts() -> Alerts {
        Alerts {
            occasions: Occasion::ALL.into_iter().collect(),
            plans: BTreeSet::new(),
            ca_file: None,
            webhook: Some(Webhook {
                address: AlertAddress::Clear(AlertUrl::new("https://hooks.example.com/x").unwrap()),
                signing_key: Some(Sealed::new("key")),
            }),
            healthchecks: None,
            ntfy: None,
            slack: Some(Sealed::new("slack")),
            email: None,
            exec: None,
        }
    }

    fn declared(edit: impl FnOnce(&mut Alerts)) -> Declaration {
        let mut alerts = alerts();
        edit(&mut alerts);
        let alerts = BTreeMap::from([("ops".parse().unwrap(), alerts)]);
        Declaration { alerts, ..sample::declaration() }
    }

    /// The risk of the change to the alerts, and its reasons.
    fn told(before: Declaration, after: &Declaration) -> (Risk, String) {
        let applied = sample::applied(before);
        let set = change_set(Some(&applied), after, &Known::default(), jiff::Timestamp::UNIX_EPOCH);
        let change = set.changes.iter().find(|change| change.address.as_str() == "alerts/ops").unwrap();
        (change.risk, change.reasons.join("; "))
    }

    #[test]
    fn a_secret_does_not_follow_its_address() {
        let moved = |alerts: &mut Alerts| {
            let webhook = alerts.webhook.as_mut().unwrap();
            webhook.address = AlertAddress::Clear(AlertUrl::new("https://evil.example.com/x").unwrap());
        };
        let (risk, reasons) = told(declared(|_| {}), &declared(moved));
        assert_eq!(risk, Risk::Refused);
        assert!(reasons.contains("is not used for https://evil.example.com/x"), "{reasons}");
        let sealed_anew = declared(|alerts| {
            moved(alerts);
            alerts.webhook.as_mut().unwrap().signing_key = Some(Sealed::new("another"));
        });
        let anew = told(declared(|_| {}), &sealed_anew);
        assert_eq!(anew, (Risk::Notice, "others are told by webhook".to_owned()));
    }

    #[test]
    fn silence_is_guarded_and_less_is_said() {
        let nobody = told(declared(|_| {}), &sample::declaration());
        assert_eq!(nobody, (Risk::Guarded, "nobody is told any more when backups do not come".to_owned()));
        let mut another = sample::declaration();
        another.alerts = BTreeMap::from([("web".parse().unwrap(), alerts())]);
        assert_eq!(told(declared(|_| {}), &another), (Risk::Notice, "it tells nobody any more".to_owned()));
        let less = declared(|alerts| {
            alerts.slack = None;
            alerts.occasions.remove(&Occasion::Failed);
            alerts.plans.insert("nightly".parse().unwrap());
        });
        let (risk, reasons) = told(declared(|_| {}), &less);
        assert_eq!(risk, Risk::Notice);
        assert_eq!(
            reasons,
            "nobody is told any more by slack; not told any more: failed; only about the plans nightly"
        );
    }

    #[test]
    fn a_program_is_told_when_it_is_new() {
        let with = || declared(|alerts| alerts.exec = Some("/bin/page".to_owned()));
        let (risk, reasons) = told(sample::declaration(), &with());
        assert_eq!(risk, Risk::Notice);
        assert!(reasons.contains("/bin/page") && reasons.contains("--allow-exec"), "{reasons}");
        assert_eq!(told(with(), &with()).1, "");
    }

    #[test]
    fn alerts_follow_a_plan_that_is_moved() {
        let before = declared(|alerts| {
            alerts.plans.insert("nightly".parse().unwrap());
        });
        let mut after = declared(|alerts| {
            alerts.plans.insert("every-night".parse().unwrap());
        });
        let plan = after.plans.remove(&"nightly".parse().unwrap()).unwrap();
        after.plans.insert("every-night".parse().unwrap(), plan);
        let at = |text: &str| Address::parse(text).unwrap();
        after.moved.insert(at("plan/nightly"), at("plan/every-night"));
        assert_eq!(told(before, &after), (Risk::Safe, String::new()));
    }
}
