//! Edits: what they mean, and that nothing else changes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::{Decoded, FileKind, Invalid, SourceFile, Sources, Span, Unreadable, decode};
use crate::model::{
    AccountName, Address, AlertsName, BaseUrl, CredentialKind, CredentialName, CredentialRole, DestinationName,
    PlanName, ProjectSelector, PublicKey, Recipient, RecipientsMark, Sealed, SecretKind,
};

const COMPLETE: &str = include_str!("../../../examples/complete.kdl");
const MINIMAL: &str = include_str!("../../../examples/minimal.kdl");
const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const LINE: &str = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==";

fn file(text: impl Into<String>) -> SourceFile {
    SourceFile { name: "xopero.kdl".into(), text: text.into() }
}

fn alone(text: impl Into<String>) -> Sources {
    Sources::alone(file(text))
}

fn decoded(text: &str) -> Decoded {
    decode(&alone(text)).unwrap_or_else(|Invalid { diagnostics }| panic!("{diagnostics:?}\n{text}"))
}

fn project() -> ProjectSelector {
    "PAY".parse().unwrap()
}

fn name(name: &str) -> CredentialName {
    name.parse().unwrap()
}

fn extra(text: &str) -> CredentialRole {
    CredentialRole::Additional(name(text))
}

fn replaced(text: &str, span: Span, by: &str) -> String {
    format!("{}{by}{}", &text[..span.start], &text[span.end..])
}

/// The mark of the recipients that a text has.
fn mark(text: &str) -> RecipientsMark {
    let keys: Vec<PublicKey> =
        text.split("recipient \"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect();
    RecipientsMark::of(&keys)
}

fn plain(sealed: Sealed) -> NewCredential {
    NewCredential {
        account: account("a"),
        kind: CredentialKind::Token,
        sealed,
        recipients: mark(MINIMAL),
        expires: None,
    }
}

fn sealed() -> Sealed {
    decoded(MINIMAL).declaration.projects[&project()].main.sealed.clone()
}

fn account(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

fn set(text: &str, role: &CredentialRole, expires: Option<jiff::civil::Date>) -> Result<String, EditError> {
    let credential = NewCredential {
        account: account("new\"acc\u{202e}ount\\"),
        kind: CredentialKind::Password,
        sealed: sealed(),
        recipients: mark(text),
        expires,
    };
    set_credential(&alone(text), &project(), role, &credential).map(|after| after.main().text.clone())
}

#[test]
fn a_credential_is_added_and_nothing_else_changes() {
    let blockless = "project \"PAY\" server=\"bb\"";
    let start = MINIMAL.find(blockless).unwrap() + blockless.len();
    let end = MINIMAL.find("plan \"nightly\"").unwrap() - 2;
    let block = &MINIMAL[start..end];
    let forms = [
        String::new(),
        " // comment".to_owned(),
        " {}".to_owned(),
        " {\n}".to_owned(),
        " { // comment\n    // more\n}".to_owned(),
        " /-{ x { y; } } ".to_owned(),
        block.to_owned(),
        format!(" {{ {} }}", block.trim().trim_start_matches('{').trim_end_matches('}').trim()),
        "; // comment".to_owned(),
    ];
    for form in &forms {
        for role in [CredentialRole::Main, extra("extra-1")] {
            for line_break in ["\n", "\r\n"] {
                let before = replaced(MINIMAL, Span::new(start, end), form).replace('\n', line_break);
                let after =
                    set(&before, &role, Some(jiff::civil::date(2027, 3, 1))).unwrap_or_else(|e| panic!("{form}: {e}"));
                assert!(after.contains("expires \"2027-03-01\""));
                assert_eq!(after.contains("\r\n"), line_break == "\r\n");
                let again = set(&after, &role, Some(jiff::civil::date(2027, 3, 1))).unwrap();
                assert_eq!(again, after, "setting the same again changes nothing");
                let both = set(&after, &extra("extra-2"), None).unwrap();
                let both = set(&both, &CredentialRole::Main, None).unwrap();
                let project = &decoded(&both).declaration.projects[&project()];
                assert_eq!(project.additional.len(), if role == CredentialRole::Main { 1 } else { 2 });
                assert_eq!(project.main.account, account("new\"acc\u{202e}ount\\"));
            }
        }
    }
}

#[test]
fn a_replaced_credential_leaves_every_other_byte() {
    let role = extra("extra-1");
    let commented =
        COMPLETE.replace("account=\"svc-backup-1\" {\n", "account=\"svc-backup-1\" {\n        // of Anna\n");
    let after = set(&commented, &role, None).unwrap();
    let place = |text: &str| decoded(text).places[&Address::credential(&project(), &role)].span;
    let (old, new) = (place(&commented), place(&after));
    assert_eq!(commented[..old.start], after[..new.start]);
    assert_eq!(commented[old.end..], after[new.end..]);
    assert!(after[new.start..new.end].contains("// of Anna"));
    let declaration = decoded(&after).declaration;
    let credential = declaration.projects[&project()].credential(&role).unwrap().clone();
    assert_eq!((credential.kind, credential.expires), (CredentialKind::Password, None));
    assert_eq!(credential.sealed.digest(), sealed().digest());
    let mut rest = declaration;
    let before = decoded(&commented).declaration;
    // OPS has the same credential, and says so.
    let same = rest.projects[&"OPS".parse().unwrap()].credential(&role).unwrap();
    assert_eq!((same.kind, same.sealed.digest()), (CredentialKind::Password, sealed().digest()));
    for (key, project) in &mut rest.projects {
        project.additional = before.projects[key].additional.clone();
    }
    assert_eq!(rest, before);
}

#[test]
fn tabs_and_one_line_values_are_kept() {
    let tabs = COMPLETE.replace("    ", "\t");
    let after = set(&tabs, &extra("extra-9"), None).unwrap();
    assert!(
        after.contains("\n\tadditional-credential \"extra-9\" account=") && after.contains("\n\t\tpassword (age)#")
    );
    assert!(!after.contains("\n    "));
    let base64 = Sealed::new("YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==");
    let after = set_credential(&alone(MINIMAL), &project(), &CredentialRole::Main, &plain(base64)).unwrap();
    assert!(after.main().text.contains("token (age)\"YWdl"));
}

#[test]
fn an_edit_that_does_not_fit_is_refused() {
    let refused = |text: &str| set(text, &extra("extra-1"), None).unwrap_err();
    assert!(matches!(refused("a {"), EditError::Invalid { .. }));
    assert!(matches!(refused("project \"OPS\" server=\"bb\""), EditError::NotDeclared { .. }));
    assert!(matches!(refused("project \"PAY\"\nproject \"PAY\""), EditError::Ambiguous { .. }));
    let twice = "project \"PAY\" {\n additional-credential \"extra-1\"\n additional-credential \"extra-1\"\n}";
    assert!(matches!(refused(twice), EditError::Ambiguous { .. }));
    let naked = Sealed::new("SECRET");
    let result = set_credential(&alone(MINIMAL), &project(), &CredentialRole::Main, &plain(naked));
    assert!(matches!(result, Err(EditError::DoesNotFit { .. })));
}

#[test]
fn the_context_of_an_edit_needs_only_its_own_parts() {
    let text = format!(
        "xopero schema=1\nrecipients {{ recipient \"{KEY}\"; }}\nserver \"bb\" {{ url \"https://bb.example.com/x/\"; }}\n\
         project \"PAY\" server=\"bb\"\nproject \"OPS\" server=\"bb\" {{ additional-credential \"e\" account=\"a\"; }}\n"
    );
    let context = edit_context(&alone(&*text), &project()).unwrap();
    assert_eq!(context.origin, BaseUrl::new("https://bb.example.com/x").unwrap());
    assert_eq!((context.server.as_str(), context.recipients[0].as_str()), ("bb", KEY));
    assert!(context.declared.is_empty());
    let other = edit_context(&alone(&*text), &ProjectSelector::new("OPS").unwrap()).unwrap();
    assert_eq!(other.declared[&extra("e")], Some(account("a")));
    for (from, to, code) in [
        ("project \"PAY\" server=\"bb\"", "project \"PAI\" server=\"bb\"", "xopero::unknown-name"),
        ("project \"PAY\" server=\"bb\"", "project \"PAY\" server=\"cc\"", "xopero::unknown-name"),
        ("url \"https", "url \"ftp", "xopero::invalid-url"),
        (KEY, "age1wrong", "xopero::invalid-key"),
    ] {
        let found = edit_context(&alone(text.replace(from, to)), &project()).unwrap_err().diagnostics;
        assert!(found.iter().any(|found| found.code == code), "{found:?}");
    }
}

/// What is left of `before` after the bytes that it has in common with `after` at both ends, and the same of `after`.
fn difference<'a>(before: &'a str, after: &'a str) -> (&'a str, &'a str) {
    let start = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
    let most = before.len().min(after.len()) - start;
    let end = before.bytes().rev().zip(after.bytes().rev()).take(most).take_while(|(one, other)| one == other).count();
    (&before[start..before.len() - end], &after[start..after.len() - end])
}

fn text(sources: &Sources) -> &str {
    &sources.main().text
}

fn switch(before: &str, plan: &str, credential: &str, on: bool) -> Result<String, EditError> {
    let (sources, plan, credential) = (alone(before), PlanName::new(plan).unwrap(), name(credential));
    let after = if on {
        enable_credential(&sources, &plan, &project(), &credential)
    } else {
        disable_credential(&sources, &plan, &project(), &credential)
    };
    after.map(|after| text(&after).to_owned())
}

#[test]
fn a_switch_is_made_grown_shrunk_and_taken_away() {
    // The plan "hot" has no switch.
    let one = switch(COMPLETE, "hot", "extra-2", true).unwrap();
    assert_eq!(difference(COMPLETE, &one), ("", "    enable-credentials \"extra-2\"\n    "));
    let two = switch(&one, "hot", "extra-1", true).unwrap();
    assert_eq!(difference(&one, &two), ("", " \"extra-1\""));
    assert_eq!(switch(&two, "hot", "extra-1", true).unwrap(), two, "enabling again changes nothing");
    let plan = &decoded(&two).declaration.plans[&PlanName::new("hot").unwrap()];
    assert_eq!(plan.projects[&project()].enabled_credentials, [name("extra-2"), name("extra-1")]);
    assert_eq!(switch(&two, "hot", "extra-1", false).unwrap(), one);
    assert_eq!(switch(&one, "hot", "extra-2", false).unwrap(), COMPLETE);
    assert_eq!(switch(COMPLETE, "hot", "extra-2", false).unwrap(), COMPLETE, "disabling again changes nothing");
    // The comment behind the names stays as long as one of them does.
    let less = switch(COMPLETE, "nightly", "extra-1", false).unwrap();
    assert_eq!(difference(COMPLETE, &less), ("1\" \"extra-", ""));
    let none = switch(&less, "nightly", "extra-2", false).unwrap();
    assert!(
        none.matches("enable-credentials").count() == 1 && none.contains("repositories exclude=\"*-archive\"\n    }"),
        "{none}"
    );
}

#[test]
fn a_switch_fits_into_every_form_of_a_plan() {
    let with_extra = set(MINIMAL, &extra("extra-1"), None).unwrap();
    for form in [
        "    project \"PAY\"\n",
        "    project \"PAY\" // all of it\n",
        "    project \"PAY\" {}\n",
        "    project \"PAY\" { repositories include=\"a\"; }\n",
        "    project \"PAY\" {\n        // a comment\n    }\n",
        "    project \"PAY\" /-{ x; }\n",
        "    project \"PAY\"; /* after */\n",
    ] {
        let before = with_extra.replace("    project \"PAY\"\n", form);
        assert!(before.contains(form));
        let on = switch(&before, "nightly", "extra-1", true).unwrap_or_else(|error| panic!("{form}: {error}"));
        let plan = &decoded(&on).declaration.plans[&PlanName::new("nightly").unwrap()];
        assert_eq!(plan.projects[&project()].enabled_credentials, [name("extra-1")], "{on}");
        let off = switch(&on, "nightly", "extra-1", false).unwrap();
        assert_eq!(decoded(&off).declaration, decoded(&before).declaration);
        assert!(!off.contains("enable-credentials"), "{off}");
    }
}

#[test]
fn what_cannot_be_switched_is_refused() {
    assert!(matches!(switch(COMPLETE, "hot", "extra-9", true), Err(EditError::WouldNotValidate { .. })));
    assert!(matches!(switch(COMPLETE, "cold", "extra-1", true), Err(EditError::NotDeclared { .. })));
    let elsewhere =
        COMPLETE.replace("project \"PAY\" {\n        repositories include=\"core-*\"\n    }", "project \"OPS\"");
    assert!(matches!(switch(&elsewhere, "hot", "extra-1", true), Err(EditError::NotPlanned { .. })));
    assert!(matches!(switch("a {", "hot", "extra-1", true), Err(EditError::Invalid { .. })));
}

#[test]
fn a_credential_goes_with_its_lines_and_only_if_nobody_uses_it() {
    let remove = |before: &str, everywhere: bool| {
        remove_credential(&alone(before), &project(), &name("extra-2"), everywhere).map(|after| text(&after).to_owned())
    };
    let Err(EditError::Enabled { plans, .. }) = remove(COMPLETE, false) else { panic!("it is enabled") };
    assert_eq!(plans, ["nightly"]);
    let after = remove(COMPLETE, true).unwrap();
    assert_eq!(after, remove(&switch(COMPLETE, "nightly", "extra-2", false).unwrap(), false).unwrap());
    assert!(!after.contains("\"extra-2\"") && after.contains("enable-credentials \"extra-1\"         // the switch"));
    let declaration = decoded(&after).declaration;
    assert_eq!(declaration.projects[&project()].additional.len(), 1);
    assert!(matches!(remove(&after, false), Err(EditError::NotDeclared { .. })));
    // Adding and removing is nothing.
    let added = set(COMPLETE, &extra("extra-3"), None).unwrap();
    let again = remove_credential(&alone(&*added), &project(), &name("extra-3"), false).unwrap();
    assert_eq!(text(&again), COMPLETE);
}

fn recipient(name: Option<&str>) -> Recipient {
    Recipient { key: KEY.parse().unwrap(), name: name.map(str::to_owned) }
}

#[test]
fn recipients_come_and_go() {
    for before in [COMPLETE, MINIMAL] {
        let after = add_recipient(&alone(before), &recipient(Some("new \"one\""))).unwrap();
        let line = format!("    recipient \"{KEY}\" name=\"new \\\"one\\\"\"\n");
        assert!(text(&after).contains(&line) && text(&after).len() == before.len() + line.len());
        assert_eq!(
            text(&add_recipient(&after, &recipient(None)).unwrap()),
            text(&after),
            "adding again changes nothing"
        );
        for wanted in [KEY, "new \"one\""] {
            let (removed, gone) = remove_recipient(&after, wanted).unwrap();
            assert_eq!((text(&removed), gone.key.as_str()), (before, KEY));
        }
    }
    let only = MINIMAL.split("recipient \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(matches!(remove_recipient(&alone(MINIMAL), only), Err(EditError::LastRecipient { .. })));
    assert!(matches!(remove_recipient(&alone(MINIMAL), "nobody"), Err(EditError::NoRecipient { .. })));
    let twice = COMPLETE.replace("\"backup-01\"", "\"break-glass\"");
    assert!(matches!(remove_recipient(&alone(twice), "break-glass"), Err(EditError::SeveralRecipients { .. })));
    let wrong = Recipient { key: PublicKey::new("age1wrong").unwrap(), name: None };
    assert!(matches!(add_recipient(&alone(MINIMAL), &wrong), Err(EditError::NotAKey { .. })));
    let one_line = MINIMAL.replace("recipients {\n    ", "recipients { ").replace("fjjv\"\n}", "fjjv\"; }");
    let after = add_recipient(&alone(&*one_line), &recipient(None)).unwrap();
    assert_eq!(decoded(text(&after)).declaration.recipients.len(), 2);
    assert_eq!(decoded(text(&remove_recipient(&after, KEY).unwrap().0)).declaration, decoded(&one_line).declaration);
}

fn reseal(sources: &Sources, address: &SecretAddress, with: &str) -> Result<Sources, EditError> {
    let replacements = BTreeMap::from([(address.clone(), Sealed::new(with))]);
    replace_sealed(sources, &replacements, &RecipientsMark::of([&KEY.parse().unwrap()]))
}

#[test]
fn a_sealed_value_is_replaced_in_the_form_that_it_has() {
    let address = SecretAddress::credential(&project(), &CredentialRole::Main);
    let start = MINIMAL.find("(age)").unwrap();
    let end = start + MINIMAL[start..].find("\"\"\"#").unwrap() + 4;
    let armor = sealed().as_str().to_owned();
    let indented = |by: &str| armor.replace('\n', &format!("\n{by}"));
    let new = |line: &str| format!("-----BEGIN AGE ENCRYPTED FILE-----\n{line}\n-----END AGE ENCRYPTED FILE-----");
    let forms = [
        (format!("(age)\"{LINE}\""), true),
        (format!("(age)#\"{LINE}\"#"), true),
        (format!("(age) \"{LINE}\""), true),
        (format!("(age)\"{}\"", armor.replace('\n', "\\n")), false),
        (format!("(age)\"\"\"\n      {}\n      \"\"\"", indented("      ")), false),
        (format!("(age)##\"\"\"\n\t{}\n\t\"\"\"##", indented("\t")), false),
        (format!("(age)#\"\"\"\n{armor}\n\"\"\"# // why"), false),
        (format!("(age)\"{LINE}\" sealed-for=\"r:00000000\""), true),
        (format!("sealed-for=\"r:00000000\" (age)\"{LINE}\" // why"), true),
    ];
    for (form, one_line) in forms {
        for line_break in ["\n", "\r\n"] {
            let before = replaced(MINIMAL, Span::new(start, end), &form).replace('\n', line_break);
            let sources = alone(&*before);
            let after = reseal(&sources, &address, &new("YWdlLWVuY3J5cHRpb24ub3JnL3YyCg=="))
                .unwrap_or_else(|e| panic!("{form}: {e}"));
            let written = text(&after);
            let values = sealed_values(&after).unwrap();
            assert_eq!(values.len(), 1);
            assert!(values[0].is_for(&RecipientsMark::of([&KEY.parse().unwrap()])), "{written}");
            let expected = if one_line {
                "YWdlLWVuY3J5cHRpb24ub3JnL3YyCg==".to_owned()
            } else {
                new("YWdlLWVuY3J5cHRpb24ub3JnL3YyCg==")
            };
            assert_eq!(values[0].sealed.full_digest(), Sealed::new(expected).full_digest(), "{written}");
            let (gone, _) = difference(&before, written);
            assert!(form.replace('\n', line_break).contains(gone), "{gone}");
            assert_eq!(form.contains("// why"), written.contains("// why"));
            assert_eq!(written.replace("\r\n", "").contains('\n'), line_break == "\n");
        }
    }
}

#[test]
fn several_values_are_replaced_at_once_and_the_rest_stays() {
    let sources = alone(COMPLETE);
    let values = sealed_values(&sources).unwrap();
    assert_eq!(values.len(), 12);
    assert!(values.iter().all(|value| value.is_for(&mark(COMPLETE))), "the example is marked");
    let purpose = |address: &str| {
        let found = values.iter().find(|value| value.address.as_str() == address).unwrap();
        let Purpose { kind, origin, account } = found.purpose.as_ref().unwrap();
        (*kind, origin.as_str(), account.as_str())
    };
    let password = (SecretKind::Password, "https://bitbucket.example.com", "svc-backup-2");
    assert_eq!(purpose("credential/PAY/extra-2"), password);
    let key = (SecretKind::S3, "https://s3.example.com", "corp-git-backups");
    assert_eq!(purpose("destination/offsite/secret-key"), key);
    let all: BTreeMap<SecretAddress, Sealed> = values.iter().map(|one| (one.address.clone(), sealed())).collect();
    let after = replace_sealed(&sources, &all, &mark(COMPLETE)).unwrap();
    assert!(sealed_values(&after).unwrap().iter().all(|one| one.sealed.full_digest() == sealed().full_digest()));
    let back = values.iter().map(|one| (one.address.clone(), one.sealed.clone())).collect();
    assert_eq!(text(&replace_sealed(&after, &back, &mark(COMPLETE)).unwrap()), COMPLETE);
    let absent = SecretAddress::credential(&project(), &extra("extra-9"));
    assert!(matches!(reseal(&sources, &absent, LINE), Err(EditError::NoSecret { .. })));
}

#[test]
fn the_first_keys_of_a_destination_are_put_in_and_then_replaced() {
    let (name, mark) = (DestinationName::new("offsite").unwrap(), mark(COMPLETE));
    let start = COMPLETE.find("    access-key").unwrap();
    let end = COMPLETE[start..].find("    encrypt-to").unwrap() + start;
    let without = replaced(COMPLETE, Span::new(start, end), "");
    let before = alone(&*without);
    assert!(!decode(&before).unwrap_err().diagnostics.is_empty());
    let purpose = store_key_purpose(&before, &name).unwrap();
    assert_eq!((purpose.kind, &*purpose.origin), (SecretKind::S3, "https://s3.example.com"));
    assert_eq!(purpose.account, account("corp-git-backups"));
    let mut after = before;
    for key in StoreKey::ALL {
        let set = set_store_key(&after, &name, key, &sealed(), &mark).unwrap();
        let (gone, new) = difference(text(&after), text(&set));
        assert!(gone.is_empty() && new.contains(key.as_str()), "{gone}\n{new}");
        after = set;
    }
    decode(&after).unwrap();
    let line = Sealed::new(LINE);
    let again = set_store_key(&after, &name, StoreKey::SecretKey, &line, &mark).unwrap();
    let values = sealed_values(&again).unwrap();
    let of = |key| values.iter().find(|one| one.address == SecretAddress::store_key(&name, key)).unwrap();
    assert_eq!(of(StoreKey::AccessKey).sealed.full_digest(), sealed().full_digest());
    assert_ne!(of(StoreKey::SecretKey).sealed.full_digest(), sealed().full_digest());
    assert!(of(StoreKey::SecretKey).is_for(&mark));

    let absent = DestinationName::new("elsewhere").unwrap();
    let set = |text: &str, name| set_store_key(&alone(text), name, StoreKey::AccessKey, &sealed(), &mark);
    assert!(matches!(set(COMPLETE, &absent), Err(EditError::NotDeclared { .. })));
    let directory = DestinationName::new("nas").unwrap();
    assert!(matches!(store_key_purpose(&alone(COMPLETE), &directory), Err(EditError::NoBucket { .. })));
    assert!(matches!(set(COMPLETE, &directory), Err(EditError::WouldNotValidate { .. })));
    let twice = without.replace("destination \"nas\" {", "destination \"offsite\" {");
    assert!(matches!(set(&twice, &name), Err(EditError::Ambiguous { .. })));
}

#[test]
fn the_secrets_of_alerts_are_bound_to_what_stands_beside_them() {
    let text = MINIMAL.to_owned()
        + "alerts \"ops\" {\n    webhook \"https://hooks.example.com/x/\"\n    slack\n    email \"a@example.com\" \\\n        \
           from=\"b@example.com\" server=\"smtps://Mail.example.com\" account=\"xopero\"\n}\n";
    let (ops, mark) = ("ops".parse::<AlertsName>().unwrap(), mark(MINIMAL));
    let mut after = alone(&*text);
    assert!(!decode(&after).unwrap_err().diagnostics.is_empty());
    for (path, kind, origin, account) in [
        ("webhook/signing-key", SecretKind::SigningKey, "https://hooks.example.com/x/", "webhook"),
        ("slack/address", SecretKind::Address, "alerts", "slack"),
        ("email/password", SecretKind::Password, "smtps://mail.example.com:465", "xopero"),
    ] {
        let secret: AlertSecret = path.parse().unwrap();
        let purpose = alert_secret_purpose(&after, &ops, secret).unwrap();
        assert_eq!((purpose.kind, &*purpose.origin, purpose.account.as_str()), (kind, origin, account));
        let set = set_alert_secret(&after, &ops, secret, &sealed(), &mark).unwrap();
        let (gone, new) = difference(self::text(&after), self::text(&set));
        assert!(gone.is_empty() && new.contains(secret.key()), "{gone}\n{new}");
        let values = sealed_values(&set).unwrap();
        let written = values.iter().find(|one| one.address == SecretAddress::alert(&ops, secret)).unwrap();
        assert_eq!(written.purpose.as_ref().unwrap(), &purpose);
        assert!(written.is_for(&mark));
        after = set;
    }
    assert_eq!(decode(&after).unwrap().declaration.alerts[&ops].channels().len(), 3);
    let slack = "slack/address".parse().unwrap();
    let again = set_alert_secret(&after, &ops, slack, &Sealed::new(LINE), &mark).unwrap();
    let values = sealed_values(&again).unwrap();
    let of = |secret| values.iter().find(|one| one.address == SecretAddress::alert(&ops, secret)).unwrap();
    assert_ne!(of(slack).sealed.full_digest(), sealed().full_digest());
    assert_eq!(of("email/password".parse().unwrap()).sealed.full_digest(), sealed().full_digest());

    let set = |name: &str, secret: &str| {
        set_alert_secret(&after, &name.parse().unwrap(), secret.parse().unwrap(), &sealed(), &mark)
    };
    assert!(matches!(set("oops", "slack/address"), Err(EditError::NotDeclared { meant: Some(_), .. })));
    assert!(matches!(set("ops", "ntfy/token"), Err(EditError::NoChannel { .. })));
    assert!(matches!(set("ops", "webhook/address"), Err(EditError::WouldNotValidate { .. })));
    assert!("slack/token".parse::<AlertSecret>().is_err());
}

#[test]
fn a_sealed_value_in_a_file_of_its_own_is_replaced_there() {
    let start = MINIMAL.find("(age)").unwrap();
    let end = start + MINIMAL[start..].find("\"\"\"#").unwrap() + 4;
    let main = replaced(MINIMAL, Span::new(start, end), "file=\"secrets/main.age\" // why");
    let sources = Sources::gather(file(&*main), &mut |path, kind| match (path, kind) {
        ("secrets/main.age", FileKind::Value) => {
            Ok(SourceFile { name: path.into(), text: format!("{}\n", sealed().as_str()) })
        }
        _ => Err(Unreadable { reason: "there is none".into(), hint: None }),
    });
    let address = SecretAddress::credential(&project(), &CredentialRole::Main);
    assert_eq!(sealed_values(&sources).unwrap()[0].sealed.full_digest(), sealed().full_digest());
    let new = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3YyCg==\n-----END AGE ENCRYPTED FILE-----";
    let after = reseal(&sources, &address, new).unwrap();
    let values: Vec<_> = after.values().iter().map(|(path, file)| (path.as_str(), file.text.clone())).collect();
    assert_eq!(values, [("secrets/main.age", format!("{new}\n"))]);
    // In the file that names it, only the mark is new.
    let (gone, added) = difference(&main, text(&after));
    assert_eq!(gone, "");
    assert!(added.trim().starts_with("sealed-for=\"r:") && text(&after).contains(" // why"), "{added}");
    let read = sealed_values(&after).unwrap();
    assert_eq!(read[0].sealed.full_digest(), Sealed::new(new).full_digest());
    assert!(read[0].is_for(&RecipientsMark::of([&KEY.parse().unwrap()])));
}

#[test]
fn values_for_others_than_the_recipients_are_a_warning() {
    let after = add_recipient(&alone(COMPLETE), &recipient(None)).unwrap();
    let warnings = decode(&after).unwrap().warnings;
    assert_eq!(warnings.iter().map(|found| found.code).collect::<Vec<_>>(), ["xopero::stale-recipients"]);
    assert!(warnings[0].message.starts_with("12 secrets") && warnings[0].labels.len() == 5);
}

#[test]
fn an_edit_finds_its_way_into_an_included_file() {
    let main =
        format!("{}\ninclude \"pay.kdl\"\n", MINIMAL.replace("project \"PAY\" server", "project \"OPS\" server"));
    let pay = "// the money\nproject \"PAY\" server=\"bb\" {\n  /- x\n}\n";
    let sources = Sources::gather(file(&*main), &mut |path, kind| match (path, kind) {
        ("pay.kdl", FileKind::Included) => Ok(SourceFile { name: "pay.kdl".into(), text: pay.into() }),
        _ => Err(Unreadable { reason: "there is none".into(), hint: None }),
    });
    let after = set_credential(&sources, &project(), &CredentialRole::Main, &plain(sealed())).unwrap();
    let texts: Vec<&str> = after.files().map(|(_, file)| file.text.as_str()).collect();
    assert_eq!(texts[0], main);
    assert!(
        texts[1].starts_with("// the money\nproject \"PAY\" server=\"bb\" {\n") && texts[1].contains("token (age)")
    );
    assert!(decode(&after).is_ok());
    assert_eq!(sealed_values(&after).unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_edit_of_a_damaged_file_touches_anything_else(
        at in 0..COMPLETE.len(),
        length in 0..60usize,
        by in "[{}\"#/*\\\\\n=(); a]{0,6}",
    ) {
        let (start, end) = (COMPLETE.floor_char_boundary(at), COMPLETE.floor_char_boundary(at + length));
        let before = replaced(COMPLETE, Span::new(start, end), &by);
        if let Ok(after) = switch(&before, "hot", "extra-1", true) {
            let (gone, _) = difference(&before, &after);
            prop_assert_eq!(gone, "");
        }
        if let Ok(after) = set(&before, &extra("extra-9"), None) {
            prop_assert_eq!(difference(&before, &after).0, "");
        }
    }
}

#[test]
fn the_last_day_of_a_credential_is_put_in_replaced_and_taken_out() {
    let address = SecretAddress::credential(&project(), &CredentialRole::Main);
    let set = |sources: &Sources, day: Option<&str>| {
        set_expiry(sources, &[address.clone()].into(), day.map(|day| day.parse().unwrap())).unwrap()
    };
    for with_one in [true, false] {
        let line = "expires \"2027-03-01\"\n";
        let at = COMPLETE.find(line).expect("the main credential ends");
        let before = COMPLETE[..at].trim_end_matches(' ').len();
        let without = replaced(COMPLETE, Span::new(before, at + line.len()), "");
        let sources = alone(if with_one { COMPLETE } else { &without });
        assert_eq!(text(&set(&sources, None)), without);
        assert_eq!(text(&set(&sources, Some("2027-03-01"))), COMPLETE);
        assert_eq!(text(&set(&sources, Some("2028-01-02"))), COMPLETE.replacen("2027-03-01", "2028-01-02", 1));
    }
    let minimal = set(&alone(MINIMAL), Some("2028-01-02"));
    assert!(decoded(text(&minimal)).declaration.projects[&project()].main.expires.is_some());
}
