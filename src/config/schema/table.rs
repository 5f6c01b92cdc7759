//! The nodes of the language, each in its context, in the order in which people read of them.

use super::VERSION;
use super::specs::{NodeSpec, ValueKind, node, optional, repeated, required, word};
use super::values::{
    ALERT_URL, ANY, CREDENTIAL, DAYS, EXPIRES, FILE, GRACE, GRACE_DOCS, INTERVALS, KEEP, KEEP_DOCS, KEY, NAME,
    NO_VALUES, OCCASIONS, PARTS, PASSWORD_DOCS, REQUESTS, SEALED, SEALED_ADDRESS_DOCS, SEALED_OR_FILE, TOKEN_DOCS,
};

/// The nodes that may stand in a context.
pub fn children_of(context: &str) -> impl Iterator<Item = &'static NodeSpec> {
    SCHEMA.iter().filter(move |node| node.context == context)
}

/// The language.
pub static SCHEMA: &[NodeSpec] = &[
    node(
        "",
        "xopero",
        (1, 1),
        NO_VALUES,
        &[required("schema", ValueKind::Integer(1, VERSION))],
        "The version of the language that the file is written in: 1.",
    ),
    node(
        "",
        "recipients",
        (1, 1),
        NO_VALUES,
        NO_VALUES,
        "Who can open the sealed values of this file; not who can open backups.",
    ),
    node(
        "recipients",
        "recipient",
        (1, ANY),
        &[required("public key", ValueKind::Text)],
        &[optional("name", ValueKind::Text)],
        "An age public key, with a name for people.",
    ),
    node("", "server", (0, ANY), NAME, NO_VALUES, "A Bitbucket Data Center server."),
    node(
        "server",
        "url",
        (1, 1),
        &[required("address", ValueKind::Url)],
        NO_VALUES,
        "Its base URL, with the context path if it has one.",
    ),
    node(
        "server",
        "ca-file",
        (0, 1),
        &[required("path", ValueKind::Text)],
        NO_VALUES,
        "PEM certificates to trust besides the system's, relative to this file.",
    ),
    node(
        "server",
        "timeout",
        (0, 1),
        &[required("duration", ValueKind::Duration)],
        NO_VALUES,
        "How long to wait for the next byte of an answer, and for a connection (30 seconds at most); 6 minutes if it is not said.",
    ),
    node(
        "server",
        "concurrency",
        (0, 1),
        NO_VALUES,
        &[optional("listing", ValueKind::Integer(1, 64)), optional("packs", ValueKind::Integer(1, 64))],
        "How many reference listings and how many packs may be under way at the same time; 8 and 2 if it is not said.",
    ),
    node(
        "server",
        "rate-limit",
        (0, 1),
        NO_VALUES,
        &[required("burst", REQUESTS), required("refill-per-second", REQUESTS)],
        "What the server allows each account: requests at once, and requests that come back each second.",
    ),
    node("", "destination", (0, ANY), NAME, NO_VALUES, "A place where backups go."),
    node(
        "destination",
        "local",
        (0, 1),
        &[required("path", ValueKind::Text)],
        NO_VALUES,
        "A directory of this machine, absolute or relative to this file.",
    ),
    node(
        "destination",
        "encrypt-to",
        (1, ANY),
        &[required("public key", ValueKind::Text)],
        NO_VALUES,
        "An age public key whose identity opens the backups.",
    ),
    node(
        "destination",
        "s3",
        (0, 1),
        &[required("bucket", ValueKind::Text)],
        &[
            optional("prefix", ValueKind::Text),
            optional("region", ValueKind::Text),
            optional("endpoint", ValueKind::Url),
        ],
        "A bucket of an object store that speaks S3, at an endpoint, or at Amazon in a region; it can be declared, but \
         this version cannot write to it.",
    ),
    node("destination", "access-key", (0, 1), SEALED, KEY, "The sealed id of the key to the bucket."),
    node("destination", "secret-key", (0, 1), SEALED, KEY, "The sealed secret of the key to the bucket."),
    node(
        "destination",
        "object-lock",
        (0, 1),
        NO_VALUES,
        &[required("days", DAYS)],
        "For how many days nobody can delete what is stored in the bucket.",
    ),
    node(
        "",
        "retention",
        (0, ANY),
        NAME,
        NO_VALUES,
        "Rules for how long snapshots stay, shared by the plans that name them.",
    ),
    node("retention", "keep", (1, 1), NO_VALUES, KEEP, KEEP_DOCS),
    node("retention", "grace", (0, 1), GRACE, NO_VALUES, GRACE_DOCS),
    node(
        "",
        "project",
        (0, ANY),
        &[required("key", ValueKind::Text)],
        &[required("server", ValueKind::Text)],
        "A Bitbucket project by its key, or all that fit a pattern such as \"TEAM-*\" and are not declared by their key, \
         on one of the servers, with the credentials for it.",
    ),
    node(
        "project",
        "credential",
        (1, 1),
        NO_VALUES,
        CREDENTIAL,
        "The main credential: every plan on this project uses it; an account with a secret, or the same as the \
         credential of another project on the same server: same-as=\"PAY\" or same-as=\"PAY/extra-1\".",
    ),
    node("project/credential", "token", (0, 1), SEALED_OR_FILE, FILE, TOKEN_DOCS),
    node("project/credential", "password", (0, 1), SEALED_OR_FILE, FILE, PASSWORD_DOCS),
    node("project/credential", "expires", (0, 1), EXPIRES, NO_VALUES, "The last day on which it works."),
    node(
        "project",
        "additional-credential",
        (0, ANY),
        NAME,
        CREDENTIAL,
        "A further credential; it is used only by plans that enable it.",
    ),
    node("project/additional-credential", "token", (0, 1), SEALED_OR_FILE, FILE, TOKEN_DOCS),
    node("project/additional-credential", "password", (0, 1), SEALED_OR_FILE, FILE, PASSWORD_DOCS),
    node("project/additional-credential", "expires", (0, 1), EXPIRES, NO_VALUES, "The last day on which it works."),
    node(
        "",
        "plan",
        (0, ANY),
        NAME,
        NO_VALUES,
        "What is backed up, when, to where, for how long, and with which credentials.",
    ),
    node(
        "plan",
        "project",
        (1, ANY),
        &[required("key", ValueKind::Text)],
        NO_VALUES,
        "A project that the plan covers, by its key or its pattern, as it is declared.",
    ),
    node(
        "plan/project",
        "repositories",
        (0, ANY),
        NO_VALUES,
        &[optional("include", ValueKind::Text), optional("exclude", ValueKind::Text)],
        "Patterns of the repositories to take and to leave out; several nodes add up; all repositories if nothing is included.",
    ),
    node(
        "plan/project",
        "enable-credentials",
        (0, 1),
        &[repeated("name", ValueKind::Text)],
        NO_VALUES,
        "Switches additional credentials of the project on for this plan.",
    ),
    node(
        "plan",
        "parts",
        (1, 1),
        &[repeated("part", ValueKind::Word(PARTS))],
        NO_VALUES,
        "What is backed up of each repository.",
    ),
    node(
        "plan",
        "destination",
        (1, ANY),
        NAME,
        NO_VALUES,
        "A destination by its name; several mean that each gets everything.",
    ),
    node(
        "plan",
        "retention",
        (1, 1),
        &[optional("name", ValueKind::Text)],
        NO_VALUES,
        "A retention by its name, or rules of the plan's own.",
    ),
    node("plan/retention", "keep", (0, 1), NO_VALUES, KEEP, KEEP_DOCS),
    node("plan/retention", "grace", (0, 1), GRACE, NO_VALUES, GRACE_DOCS),
    node(
        "plan",
        "schedule",
        (0, 1),
        &[required("cron", ValueKind::Text)],
        &[optional("tz", ValueKind::Text)],
        "When the plan runs: five cron fields, in UTC unless a time zone is named; without one it runs when asked to.",
    ),
    node(
        "plan/schedule",
        "jitter",
        (0, 1),
        &[required("duration", ValueKind::Duration)],
        NO_VALUES,
        "How far runs may be put off, so that plans with the same times do not begin together; not at all if it is not said.",
    ),
    node(
        "plan/schedule",
        "missed",
        (0, 1),
        &[required("word", ValueKind::Word(&[word("run-once"), word("skip")]))],
        &[optional("within", ValueKind::Duration)],
        "What happens with times at which nothing could run: one run makes up for all of them if the last is not longer \
         ago, 12 hours if it is not said; or they are passed over.",
    ),
    node(
        "plan/schedule",
        "overlap",
        (0, 1),
        &[required("word", ValueKind::Word(&[word("skip"), word("queue")]))],
        NO_VALUES,
        "What happens at a time at which the run before is still under way: nothing, which is usual, or one run waits.",
    ),
    node(
        "plan/schedule",
        "not-between",
        (0, ANY),
        &[required("start", ValueKind::TimeOfDay), required("stop", ValueKind::TimeOfDay)],
        NO_VALUES,
        "Hours in which no repository is begun, in the time zone of the schedule: a run that is due waits, and one under \
         way goes on after them, each put off by its share of the jitter, 10 minutes at most. Several add up.",
    ),
    node(
        "plan",
        "verify",
        (0, 1),
        &[required("word", ValueKind::Word(INTERVALS))],
        &[optional("sample", ValueKind::Percent(1, 100))],
        "How often stored backups are read again and checked, and which share of them; all if it is not said.",
    ),
    node(
        "plan",
        "guard",
        (0, 1),
        NO_VALUES,
        &[optional("max-repositories-removed", ValueKind::Percent(0, 100))],
        "The share of a project's repositories that may be gone since the last run; if more are, the run reports the \
         project as failed. Without it that is more than 30 %, and three at least, or all.",
    ),
    node(
        "plan",
        "max-duration",
        (0, 1),
        &[required("duration", ValueKind::Duration)],
        NO_VALUES,
        "How long a run may take: then no repository is begun any more, and what is left can be gone on with by \
         `xopero run --resume`; without it a run takes as long as it takes.",
    ),
    node(
        "plan",
        "overdue-after",
        (0, 1),
        &[required("duration", ValueKind::Duration)],
        NO_VALUES,
        "How long ago the last run that backed up everything may be; without it a plan with a schedule is overdue when a \
         run was due half an interval ago, 15 minutes at least and 12 hours at most, and has not succeeded since.",
    ),
    node(
        "plan",
        "paused",
        (0, 1),
        NO_VALUES,
        &[required("reason", ValueKind::Text), optional("until", ValueKind::Date)],
        "The schedule is not followed, and why; from a day on it is again. Whoever starts the plan still can.",
    ),
    node(
        "",
        "alerts",
        (0, ANY),
        NAME,
        NO_VALUES,
        "Who is told when backups do not come, and when they come again; at least one way of telling.",
    ),
    node(
        "alerts",
        "on",
        (0, 1),
        &[repeated("occasion", ValueKind::Word(OCCASIONS))],
        NO_VALUES,
        "Of what; of everything if it is not said.",
    ),
    node(
        "alerts",
        "plan",
        (0, ANY),
        NAME,
        NO_VALUES,
        "A plan that it is about, by its name; about all if none is named.",
    ),
    node(
        "alerts",
        "ca-file",
        (0, 1),
        &[required("path", ValueKind::Text)],
        NO_VALUES,
        "PEM certificates to trust besides the system's, relative to this file.",
    ),
    node("alerts", "webhook", (0, 1), ALERT_URL, NO_VALUES, "A program that takes JSON over HTTP."),
    node("alerts/webhook", "address", (0, 1), SEALED, KEY, SEALED_ADDRESS_DOCS),
    node(
        "alerts/webhook",
        "signing-key",
        (0, 1),
        SEALED,
        KEY,
        "The sealed key that messages are signed with, HMAC-SHA256; only with an address in clear text, for which it is \
         sealed.",
    ),
    node(
        "alerts",
        "healthchecks",
        (0, 1),
        ALERT_URL,
        NO_VALUES,
        "A check of a service such as healthchecks.io, which hears of the start, the success and the failure of every \
         run, and misses what does not come; one for each plan, best.",
    ),
    node("alerts/healthchecks", "address", (0, 1), SEALED, KEY, SEALED_ADDRESS_DOCS),
    node("alerts", "ntfy", (0, 1), ALERT_URL, NO_VALUES, "A topic of an ntfy server."),
    node("alerts/ntfy", "address", (0, 1), SEALED, KEY, SEALED_ADDRESS_DOCS),
    node(
        "alerts/ntfy",
        "token",
        (0, 1),
        SEALED,
        KEY,
        "The sealed access token to publish with; only with an address in clear text, for which it is sealed.",
    ),
    node("alerts", "slack", (0, 1), NO_VALUES, NO_VALUES, "An incoming webhook of Slack."),
    node("alerts/slack", "address", (0, 1), SEALED, KEY, "Its sealed address."),
    node(
        "alerts",
        "email",
        (0, 1),
        &[repeated("mail address", ValueKind::Text)],
        &[required("from", ValueKind::Text), required("server", ValueKind::Text), optional("account", ValueKind::Text)],
        "Mailboxes, and the server that takes the mail: smtps:// for TLS, smtp:// for STARTTLS, which must be there \
         unless the server is on this machine.",
    ),
    node("alerts/email", "password", (0, 1), SEALED, KEY, "The sealed password of the account at the mail server."),
    node(
        "alerts",
        "exec",
        (0, 1),
        &[required("path", ValueKind::Text)],
        NO_VALUES,
        "A program of this machine, by its absolute path, that reads JSON from standard input; it is called only where \
         xopero was started with --allow-exec.",
    ),
    node(
        "",
        "include",
        (0, ANY),
        &[required("path", ValueKind::Text)],
        NO_VALUES,
        "A further file of the declaration, in the directory of this one or below; it declares, and overrides nothing.",
    ),
    node(
        "",
        "moved",
        (0, ANY),
        &[required("address", ValueKind::Address)],
        &[required("to", ValueKind::Address)],
        "Something has another name than it was applied under: its old address, and the one that took its place.",
    ),
    node(
        "",
        "retired",
        (0, ANY),
        &[required("address", ValueKind::Address)],
        NO_VALUES,
        "A plan left the file on purpose: no more runs.",
    ),
    node(
        "retired",
        "backups",
        (1, 1),
        &[required("word", ValueKind::Word(&[word("keep")]))],
        NO_VALUES,
        "What becomes of its backups: they are kept. The language cannot say anything else.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for (index, row) in SCHEMA.iter().enumerate() {
            let parent_exists = row.context.is_empty() || SCHEMA.iter().any(|other| other.path() == row.context);
            assert!(parent_exists, "{}", row.path());
            assert!(SCHEMA[..index].iter().all(|other| other.path() != row.path()), "{} twice", row.path());
            assert!(row.min <= row.max && !row.docs.is_empty());
            assert!(row.arguments.iter().rev().skip(1).all(|argument| !argument.repeated));
        }
    }
}
