//! What a look at credentials found, as text and as lines of JSON.

use serde_json::{Value as Json, json};

use super::shown::shown_explanation;
use super::wrap::{whole_commands, wrap};
use super::{Side, Style, Table, count, shown};
use crate::bitbucket::{User, UserKind};
use crate::change::Note;
use crate::model::{Address, Login, LoginRefusal, RateLimit, Reach, ServerName, ServerSeen, Sight};
use crate::reconcile::observe::{Checked, Looked, Power};

/// The table of credentials, then what people should know, then what the servers said of themselves.
pub fn render(
    found: &[Checked],
    looked: &Looked,
    notes: &[Note],
    shared: &[(Address, Address)],
    width: usize,
    style: Style,
) -> String {
    let columns = [
        ("CREDENTIAL", Side::Left),
        ("ACCOUNT", Side::Left),
        ("LOGIN", Side::Left),
        ("MAY", Side::Left),
        ("RESTORES", Side::Left),
        ("EXPIRES", Side::Whole),
    ];
    let mut table = Table::new(&columns, width, style);
    for checked in found {
        let Checked { address, seen, expires, .. } = checked;
        let name = address.as_str().strip_prefix("credential/").unwrap_or(address.as_str());
        table.row([
            name.to_owned(),
            seen.account.to_string(),
            login(checked).to_owned(),
            may(checked).to_owned(),
            restores(checked).to_owned(),
            expires.map_or_else(|| "not said".to_owned(), |day| day.to_string()),
        ]);
    }
    let mut lines = vec![table.render()];
    let mut told = |address: &Address, message: &str| {
        let text = format!("{}: {}", shown(address.as_str()), shown_explanation(message));
        let words = whole_commands(&text);
        let mut wrapped = wrap("!", 4, words.iter().map(String::as_str));
        wrapped[0].replace_range(..1, &style.yellow("!"));
        lines.extend(wrapped);
    };
    for Checked { address, ending, .. } in found {
        if let Some(ending) = ending {
            told(address, ending);
        }
    }
    for note in notes {
        told(&note.address, &note.message);
    }
    // Of one that could not even log in, the notes tell why.
    let cut_short = |checked: &&Checked| checked.limited && checked.seen.login == Login::Confirmed;
    for Checked { address, .. } in found.iter().filter(cut_short) {
        told(address, "its account has no budget left: not everything was asked; check it again later");
    }
    for ((server, account), user) in looked.users.iter().filter(|(_, user)| !user.active) {
        let what = "has left: its credentials will stop working";
        told(&Address::account(server, account), &format!("{}; the server says that it {what}", whose(user)));
    }
    for (one, other) in shared {
        told(one, &format!("shares its account, and so its budget, with {other}: it adds nothing to the rotation"));
    }
    for ((server, account), user) in &looked.users {
        let address = Address::account(server, account);
        if user.active {
            lines.extend(wrap("", 4, format!("{}: {}.", shown(address.as_str()), whose(user)).split(' ')));
        }
    }
    for (name, server) in &looked.seen.servers {
        lines.extend(wrap("", 4, about(name, server).split(' ')));
    }
    if found.iter().any(|checked| may(checked) == READ_AT_LEAST) {
        let what = "MAY read or more: the rest was not asked, or the server did not say.";
        lines.extend(wrap("", 4, what.split(' ')));
    }
    if found.iter().any(|checked| restores(checked) == "existing") {
        let what = "RESTORES existing: it can push into repositories that are there, and make none.";
        lines.extend(wrap("", 4, what.split(' ')));
    }
    let requests: u64 = looked.requests.values().sum();
    lines.push(format!("This took {}.", count(requests, "request")));
    lines.push(String::new());
    lines.join("\n")
}

/// What the server says of an account.
fn whose(user: &User) -> String {
    let name = Some(&user.display_name).filter(|name| !name.is_empty()).map(|name| format!("\"{}\", ", shown(name)));
    let kind = match user.kind {
        UserKind::Normal => "",
        UserKind::Service => ", of a project or a repository",
    };
    let active = if user.active { "active" } else { "not active" };
    format!("{}slug {}, {active}{kind}", name.unwrap_or_default(), shown(user.slug.as_str()))
}

const fn login(checked: &Checked) -> &'static str {
    match &checked.seen.login {
        Login::Refused { .. } if checked.left_alone => "set aside",
        Login::Unknown { .. } if checked.left_alone => "not asked",
        Login::Confirmed => "ok",
        Login::Other { .. } => "somebody else",
        Login::Nobody => "nobody",
        Login::Refused { reason, .. } => match reason {
            LoginRefusal::WrongSecret => "wrong secret",
            LoginRefusal::NotAccepted => "not accepted",
            LoginRefusal::Unlicensed => "no licence",
            LoginRefusal::Captcha => "CAPTCHA",
            LoginRefusal::BasicBlocked => "no passwords",
        },
        Login::Sealed { .. } => "not opened",
        Login::Unknown { .. } => "not known",
    }
}

/// It can read, and nobody knows what else it may.
const READ_AT_LEAST: &str = "read or more";

/// The most that it may do in its project.
const fn may(checked: &Checked) -> &'static str {
    match (&checked.seen.project, &checked.seen.repositories, checked.power) {
        (Sight::Hidden { .. }, _, _) => "nothing",
        (_, Sight::Hidden { .. }, _) => "not read",
        (_, Sight::Visible, None) => READ_AT_LEAST,
        (_, Sight::Visible, Some(Power::Read)) => "read",
        (_, Sight::Visible, Some(Power::Write)) => "write",
        (_, Sight::Visible, Some(Power::Administer)) => "repo admin",
        (_, Sight::Visible, Some(Power::Create)) => "project admin",
        (_, Sight::Unknown, _) => "-",
    }
}

/// Whether a restore to the server could use it.
const fn restores(checked: &Checked) -> &'static str {
    match checked.power {
        Some(Power::Create) => "yes",
        Some(Power::Write | Power::Administer) => "existing",
        Some(Power::Read) => "no",
        None => match checked.seen.repositories {
            Sight::Hidden { .. } => "no",
            Sight::Visible | Sight::Unknown => "-",
        },
    }
}

fn about(name: &ServerName, server: &ServerSeen) -> String {
    match &server.reach {
        Reach::Busy { .. } | Reach::Unreachable { .. } => format!("server/{name}: could not be asked."),
        Reach::Answered => {
            let version = server.version.as_ref().map(|version| format!(" {}", shown(version))).unwrap_or_default();
            let limit = match server.limit {
                Some(RateLimit::Unlimited) => "accounts are not limited".to_owned(),
                Some(RateLimit::Bucket { burst, refill_per_second }) => {
                    format!("{burst} requests at once and {refill_per_second} a second for each account")
                }
                None if server.limits_asked.is_some() => "it does not tell its limits".to_owned(),
                None => "its limits are not known: they were not asked, or it did not answer".to_owned(),
            };
            let before = server.limits_asked.filter(|asked| *asked != server.observed_at);
            let when = before.map(|asked| format!(" (as it said {})", asked.strftime("%Y-%m-%d")));
            format!("server/{name}: Bitbucket{version}; {limit}{}.", when.unwrap_or_default())
        }
    }
}

/// What `--json` prints after its first line: one `credential_check` each, then one `server` each.
pub fn to_json_lines(found: &[Checked], looked: &Looked, shared: &[(Address, Address)]) -> Vec<Json> {
    let credentials =
        found.iter().map(|Checked { address, seen, power, user, expires, ending, limited, left_alone }| {
            let shares = shared.iter().find(|(one, _)| one == address).map(|(_, other)| other);
            json!({
                "type": "credential_check",
                "address": address,
                "server": seen.server,
                "account": seen.account,
                "login": seen.login,
                "project": seen.project,
                "repositories": seen.repositories,
                "power": power.map(Power::as_str),
                "user": user.as_ref().map(|user| json!({
                    "slug": user.slug.as_str(),
                    "display_name": user.display_name,
                    "active": user.active,
                    "kind": match user.kind {
                        UserKind::Normal => "normal",
                        UserKind::Service => "service",
                    },
                })),
                "expires": expires,
                "ending": ending,
                "limited": limited,
                "left_alone": left_alone,
                "shares_account_with": shares,
            })
        });
    let servers = looked.seen.servers.iter().map(|(name, server)| {
        json!({
            "type": "server",
            "name": name,
            "reach": server.reach,
            "version": server.version,
            "limit": server.limit,
            "exceptions": server.exceptions,
            "limits_asked": server.limits_asked,
        })
    });
    credentials.chain(servers).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::bitbucket::UserSlug;
    use crate::change::NoteKind;
    use crate::model::{CredentialRole, CredentialSeen};

    fn seen(account: &str, login: Login, project: Sight, repositories: Sight) -> CredentialSeen {
        CredentialSeen {
            observed_at: Timestamp::UNIX_EPOCH,
            server: "bb".parse().unwrap(),
            account: account.parse().unwrap(),
            sealed: String::new(),
            login,
            project,
            repositories,
        }
    }

    fn address(name: &str) -> Address {
        let role =
            if name == "main" { CredentialRole::Main } else { CredentialRole::Additional(name.parse().unwrap()) };
        Address::credential(&"PAY".parse().unwrap(), &role)
    }

    #[test]
    fn a_check_reads_like_this() {
        let hidden = || Sight::Hidden { why: "no".into() };
        let refused = Login::Refused { reason: LoginRefusal::WrongSecret, why: "no".into() };
        let (seen_project, visible) = (|| Sight::Visible, || Sight::Visible);
        let found = [
            ("main", "svc-backup", Login::Confirmed, visible(), Some(Power::Write), Some("2027-03-01")),
            ("extra-1", "svc-backup-1", refused.clone(), Sight::Unknown, None, None),
            ("extra-2", "SVC-backup", Login::Confirmed, hidden(), None, None),
            ("extra-3", "svc-restore", Login::Confirmed, visible(), Some(Power::Create), None),
            ("extra-4", "svc-backup-4", Login::Confirmed, visible(), Some(Power::Read), None),
            ("extra-5", "svc-backup-5", refused.clone(), Sight::Unknown, None, None),
            ("extra-6", "svc-backup-6", Login::Confirmed, visible(), None, None),
        ]
        .map(|(name, account, login, repositories, power, expires)| Checked {
            address: address(name),
            seen: seen(account, login, seen_project(), repositories),
            power,
            user: None,
            expires: expires.map(|day| day.parse().unwrap()),
            ending: expires.map(|day| format!("it works until {day}: seal a new one")),
            limited: name == "extra-3",
            left_alone: name == "extra-5",
        });
        let server = ServerSeen {
            observed_at: Timestamp::UNIX_EPOCH,
            reach: Reach::Answered,
            version: Some("9.4.18".into()),
            limit: Some(RateLimit::Bucket { burst: 60, refill_per_second: 5 }),
            exceptions: BTreeMap::new(),
            limits_asked: None,
        };
        let mut looked = Looked::default();
        for (account, slug, active) in [("svc-backup", "svc-backup", true), ("svc-restore", "svc_restore", false)] {
            let display_name = if active { "Backup\u{202e} robot".to_owned() } else { String::new() };
            let (name, slug) = (account.parse().unwrap(), UserSlug::new(slug).unwrap());
            let user = User { name, slug, display_name, active, kind: UserKind::Normal };
            looked.users.insert(("bb".parse().unwrap(), account.parse().unwrap()), user);
        }
        looked.seen.servers.insert("bb".parse().unwrap(), server);
        looked.requests.insert("svc-backup".parse().unwrap(), 4);
        let message =
            "is not accepted: https://bb.example.com/rest/api/1.0/application-properties (request @1x2): the \
                       password or token is wrong: \"Authentication failed. Please check your credentials and try \
                       again.\"; set aside since 2026-11-22 06:00 UTC so that the account is not locked; tried again \
                       after 2026-11-22 07:00 UTC, or by `xopero credential check PAY extra-1`"
                .to_owned();
        let notes = [Note { kind: NoteKind::CredentialRejected, address: address("extra-1"), message }];
        let shared = [(address("extra-2"), address("main"))];
        let text = render(&found, &looked, &notes, &shared, 80, Style { color: false });
        let expected = "\
CREDENTIAL   ACCOUNT       LOGIN         MAY            RESTORES  EXPIRES
PAY/main     svc-backup    ok            write          existing  2027-03-01
PAY/extra-1  svc-backup-1  wrong secret  -              -         not said
PAY/extra-2  SVC-backup    ok            not read       no        not said
PAY/extra-3  svc-restore   ok            project admin  yes       not said
PAY/extra-4  svc-backup-4  ok            read           no        not said
PAY/extra-5  svc-backup-5  set aside     -              -         not said
PAY/extra-6  svc-backup-6  ok            read or more   -         not said

! credential/PAY/main: it works until 2027-03-01: seal a new one
! credential/PAY/extra-1: is not accepted:
    https://bb.example.com/rest/api/1.0/application-properties (request @1x2):
    the password or token is wrong: \"Authentication failed. Please check your
    credentials and try again.\"; set aside since 2026-11-22 06:00 UTC so that
    the account is not locked; tried again after 2026-11-22 07:00 UTC, or by
    `xopero credential check PAY extra-1`
! credential/PAY/extra-3: its account has no budget left: not everything was
    asked; check it again later
! account/bb/svc-restore: slug svc_restore, not active; the server says that it
    has left: its credentials will stop working
! credential/PAY/extra-2: shares its account, and so its budget, with
    credential/PAY/main: it adds nothing to the rotation
account/bb/svc-backup: \"Backup\\u{202e} robot\", slug svc-backup, active.
server/bb: Bitbucket 9.4.18; 60 requests at once and 5 a second for each
    account.
MAY read or more: the rest was not asked, or the server did not say.
RESTORES existing: it can push into repositories that are there, and make none.
This took 4 requests.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_a_server_allows_is_told_with_when_it_said_so() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let said = |limit, asked: Option<i64>| {
            let (reach, exceptions) = (Reach::Answered, BTreeMap::new());
            let limits_asked = asked.map(at);
            let seen = ServerSeen { observed_at: at(90_000), reach, version: None, limit, exceptions, limits_asked };
            about(&"bb".parse().unwrap(), &seen)
        };
        let unlimited = Some(RateLimit::Unlimited);
        assert_eq!(said(unlimited, Some(90_000)), "server/bb: Bitbucket; accounts are not limited.");
        let before = " (as it said 1970-01-01).";
        assert_eq!(said(unlimited, Some(0)), format!("server/bb: Bitbucket; accounts are not limited{before}"));
        assert_eq!(said(None, Some(90_000)), "server/bb: Bitbucket; it does not tell its limits.");
        assert!(said(None, None).ends_with("; its limits are not known: they were not asked, or it did not answer."));
    }
}
