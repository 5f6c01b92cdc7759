//! A declaration as addresses with canonical attributes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Value;
use crate::model::{
    Address, AlertAddress, Alerts, BackupPlan, Concurrency, Credential, CredentialRole, Cron, Declaration, Destination,
    Email, Guard, KeepRules, Missed, Ntfy, Occasion, Part, Pause, Place, PlanRetention, PlannedProject, Project,
    Recipient, Retention, S3Place, Server, Timetable, TokenBucket, Verification, Webhook,
};

/// One declared thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Resource {
    /// Its attributes by path. What is not declared has no entry.
    pub attributes: BTreeMap<String, Value>,
}

impl Resource {
    fn put(&mut self, path: impl Into<String>, value: Value) {
        self.attributes.insert(path.into(), value);
    }

    fn text(&mut self, path: impl Into<String>, value: &impl ToString) {
        self.put(path, Value::Text(value.to_string()));
    }
}

/// Every declared thing by its address. Two declarations with the same meaning have the same resources.
pub fn resources(declaration: &Declaration) -> BTreeMap<Address, Resource> {
    // Every field of the declaration is taken apart by name, so that one that is added cannot be forgotten here.
    // What was moved or retired is no thing of its own: it says what becomes of others.
    let Declaration { recipients, servers, destinations, retentions, projects, plans, alerts, moved: _, retired: _ } =
        declaration;
    let mut all = BTreeMap::new();
    if !recipients.is_empty() {
        let mut resource = Resource::default();
        resource.put("keys", Value::set(recipients.iter().map(recipient)));
        all.insert(Address::recipients(), resource);
    }
    all.extend(servers.iter().map(|(name, server)| (Address::server(name), server_resource(server))));
    all.extend(
        destinations.iter().map(|(name, destination)| (Address::destination(name), destination_resource(destination))),
    );
    for (name, retention) in retentions {
        let mut resource = Resource::default();
        put_retention(&mut resource, "", retention);
        all.insert(Address::retention(name), resource);
    }
    for (key, project) in projects {
        let Project { server, main, additional } = project;
        let mut resource = Resource::default();
        resource.text("server", server);
        all.insert(Address::project(key), resource);
        all.insert(Address::credential(key, &CredentialRole::Main), credential_resource(main));
        for (name, credential) in additional {
            let role = CredentialRole::Additional(name.clone());
            all.insert(Address::credential(key, &role), credential_resource(credential));
        }
    }
    all.extend(plans.iter().map(|(name, plan)| (Address::plan(name), plan_resource(plan))));
    all.extend(alerts.iter().map(|(name, alerts)| (Address::alerts(name), alerts_resource(alerts))));
    all
}

fn recipient(recipient: &Recipient) -> String {
    let Recipient { key, name } = recipient;
    name.as_ref().map_or_else(|| key.to_string(), |name| format!("{key} ({name})"))
}

fn server_resource(server: &Server) -> Resource {
    let Server { url, ca_file, timeout, concurrency: Concurrency { listing, packs }, rate_limit } = server;
    let mut resource = Resource::default();
    resource.text("url", url);
    if let Some(path) = ca_file {
        resource.text("ca-file", path);
    }
    resource.put("timeout", Value::Duration(*timeout));
    resource.put("concurrency.listing", Value::Number((*listing).into()));
    resource.put("concurrency.packs", Value::Number((*packs).into()));
    if let Some(TokenBucket { burst, refill_per_second }) = rate_limit {
        resource.put("rate-limit.burst", Value::Number((*burst).into()));
        resource.put("rate-limit.refill-per-second", Value::Number((*refill_per_second).into()));
    }
    resource
}

fn destination_resource(destination: &Destination) -> Resource {
    let Destination { place, encrypt_to } = destination;
    let mut resource = Resource::default();
    match place {
        Place::Local { path } => resource.text("local", path),
        Place::S3(S3Place { bucket, prefix, region, endpoint, access_key, secret_key, object_lock_days }) => {
            resource.text("s3", bucket);
            if let Some(prefix) = prefix {
                resource.text("s3.prefix", prefix);
            }
            resource.text("s3.region", region);
            if let Some(endpoint) = endpoint {
                resource.text("s3.endpoint", endpoint);
            }
            resource.put("access-key", Value::sealed(access_key));
            resource.put("secret-key", Value::sealed(secret_key));
            if let Some(days) = object_lock_days {
                resource.put("object-lock.days", Value::Number((*days).into()));
            }
        }
    }
    resource.put("encrypt-to", Value::set(encrypt_to));
    resource
}

fn put_retention(resource: &mut Resource, prefix: &str, retention: &Retention) {
    let Retention { keep, grace } = retention;
    for (rule, number) in rules(*keep) {
        if number > 0 {
            resource.put(format!("{prefix}keep.{rule}"), Value::Number(number.into()));
        }
    }
    resource.put(format!("{prefix}grace"), Value::Duration(*grace));
}

/// The rules by the words of the language.
pub(super) fn rules(keep: KeepRules) -> [(&'static str, u32); 6] {
    let KeepRules { last, hourly, daily, weekly, monthly, yearly } = keep;
    [("last", last), ("hourly", hourly), ("daily", daily), ("weekly", weekly), ("monthly", monthly), ("yearly", yearly)]
}

fn credential_resource(credential: &Credential) -> Resource {
    let Credential { account, kind, sealed, expires, same_as } = credential;
    let mut resource = Resource::default();
    if let Some(reference) = same_as {
        // Everything else is said where it is declared, and changes there.
        resource.text("same-as", reference);
        return resource;
    }
    resource.text("account", account);
    resource.put(kind.as_str(), Value::sealed(sealed));
    if let Some(date) = expires {
        resource.text("expires", date);
    }
    resource
}

fn plan_resource(plan: &BackupPlan) -> Resource {
    let BackupPlan {
        projects,
        parts,
        destinations,
        retention,
        schedule,
        verify,
        guard,
        max_duration,
        overdue_after,
        paused,
    } = plan;
    let mut resource = Resource::default();
    resource.put("projects", Value::set(projects.keys()));
    for (key, planned) in projects {
        let PlannedProject { include, exclude, enabled_credentials } = planned;
        resource.put(format!("project.{key}.include"), Value::set(include));
        for (path, value) in [("exclude", Value::set(exclude)), ("enable-credentials", Value::set(enabled_credentials))]
        {
            if value != Value::Set(Vec::new()) {
                resource.put(format!("project.{key}.{path}"), value);
            }
        }
    }
    resource.put("parts", Value::set(parts.iter().copied().map(Part::as_str)));
    resource.put("destinations", Value::set(destinations));
    match retention {
        PlanRetention::Named(name) => resource.text("retention", name),
        PlanRetention::Own(own) => put_retention(&mut resource, "retention.", own),
    }
    if let Some(timetable) = schedule {
        put_timetable(&mut resource, timetable);
    }
    if let Some(Verification { every, sample }) = verify {
        resource.put("verify", Value::Text(every.as_str().to_owned()));
        resource.text("verify.sample", sample);
    }
    if let Some(Guard { max_repositories_removed }) = guard {
        resource.text("guard.max-repositories-removed", max_repositories_removed);
    }
    if let Some(duration) = max_duration {
        resource.put("max-duration", Value::Duration(*duration));
    }
    if let Some(duration) = overdue_after {
        resource.put("overdue-after", Value::Duration(*duration));
    }
    if let Some(Pause { reason, until }) = paused {
        resource.text("paused", reason);
        if let Some(until) = until {
            resource.text("paused.until", until);
        }
    }
    resource
}

fn put_timetable(resource: &mut Resource, timetable: &Timetable) {
    let Timetable { cron: Cron { expression, time_zone }, jitter, missed, overlap, not_between } = timetable;
    // Between fields, any run of blanks means the same.
    resource.text("schedule", &expression.split_whitespace().collect::<Vec<_>>().join(" "));
    resource.text("schedule.tz", time_zone);
    if !jitter.is_zero() {
        resource.put("schedule.jitter", Value::Duration(*jitter));
    }
    resource.put("schedule.missed", Value::Text(missed.as_str().to_owned()));
    if let Missed::RunOnce { within } = missed {
        resource.put("schedule.missed.within", Value::Duration(*within));
    }
    resource.put("schedule.overlap", Value::Text(overlap.as_str().to_owned()));
    if !not_between.is_empty() {
        resource.put("schedule.not-between", Value::set(not_between));
    }
}

fn alerts_resource(alerts: &Alerts) -> Resource {
    let Alerts { occasions, plans, ca_file, webhook, healthchecks, ntfy, slack, email, exec } = alerts;
    let mut resource = Resource::default();
    resource.put("on", Value::set(occasions.iter().copied().map(Occasion::as_str)));
    if !plans.is_empty() {
        resource.put("plans", Value::set(plans));
    }
    if let Some(path) = ca_file {
        resource.text("ca-file", path);
    }
    if let Some(Webhook { address, signing_key }) = webhook {
        put_address(&mut resource, "webhook", address);
        if let Some(key) = signing_key {
            resource.put("webhook.signing-key", Value::sealed(key));
        }
    }
    if let Some(address) = healthchecks {
        put_address(&mut resource, "healthchecks", address);
    }
    if let Some(Ntfy { address, token }) = ntfy {
        put_address(&mut resource, "ntfy", address);
        if let Some(token) = token {
            resource.put("ntfy.token", Value::sealed(token));
        }
    }
    if let Some(address) = slack {
        resource.put("slack.address", Value::sealed(address));
    }
    if let Some(Email { to, from, server, login }) = email {
        resource.put("email", Value::set(to));
        resource.text("email.from", from);
        resource.text("email.server", server);
        if let Some((account, password)) = login {
            resource.text("email.account", account);
            resource.put("email.password", Value::sealed(password));
        }
    }
    if let Some(path) = exec {
        resource.text("exec", path);
    }
    resource
}

fn put_address(resource: &mut Resource, channel: &str, address: &AlertAddress) {
    match address {
        AlertAddress::Clear(address) => resource.text(channel, address),
        AlertAddress::Sealed(sealed) => resource.put(format!("{channel}.address"), Value::sealed(sealed)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_declared_thing_has_an_address() {
        let all = resources(&sample::declaration());
        let addresses: Vec<&str> = all.keys().map(Address::as_str).collect();
        assert_eq!(
            addresses,
            [
                "credential/PAY/extra-1",
                "credential/PAY/extra-2",
                "credential/PAY/main",
                "destination/nas",
                "plan/nightly",
                "project/PAY",
                "recipients",
                "retention/gfs",
                "server/bb",
            ]
        );
        let plan = &all[&Address::plan(&"nightly".parse().unwrap())];
        let shown: Vec<String> = plan.attributes.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        assert_eq!(
            shown,
            [
                r#"destinations = "nas""#,
                r#"parts = "git""#,
                r#"project.PAY.enable-credentials = "extra-1""#,
                r#"project.PAY.exclude = "sandbox-*""#,
                r#"project.PAY.include = "*""#,
                r#"projects = "PAY""#,
                r#"retention = "gfs""#,
                r#"schedule = "30 1 * * *""#,
                r#"schedule.missed = "run-once""#,
                r#"schedule.missed.within = "12h""#,
                r#"schedule.overlap = "skip""#,
                r#"schedule.tz = "Europe/Warsaw""#,
            ]
        );
    }

    #[test]
    fn how_long_a_run_may_take_is_an_attribute() {
        let mut declared = sample::declaration();
        declared.plans.values_mut().next().unwrap().max_duration = Some(std::time::Duration::from_hours(4));
        let all = resources(&declared);
        let plan = &all[&Address::plan(&"nightly".parse().unwrap())];
        assert_eq!(plan.attributes["max-duration"].to_string(), "\"4h\"");
    }

    #[test]
    fn order_and_blanks_mean_nothing() {
        let declared = sample::declaration();
        let mut other = declared.clone();
        other.recipients.reverse();
        let plan = other.plans.values_mut().next().unwrap();
        plan.schedule.as_mut().unwrap().cron.expression = "30  1 * * *".into();
        assert_ne!(declared, other);
        assert_eq!(resources(&declared), resources(&other));
    }
}
