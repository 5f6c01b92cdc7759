//! What the nodes of the language mean, and what they refuse to mean.

use std::time::Duration;

use super::*;
use crate::model::{
    CredentialReference, Guard, Interval, Missed, Overlap, Pause, Percent, Place as BackupPlace, S3Place, Timetable,
    TokenBucket, Verification,
};

/// The complete example with one piece of it replaced.
fn complete_with(from: &str, to: &str) -> String {
    let text = COMPLETE.replacen(from, to, 1);
    assert_ne!(text, COMPLETE, "{from}");
    text
}

/// What is wrong with a text, and with which two places of it.
fn conflict(text: &str, code: &str) -> (String, String) {
    let found = invalid(text);
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), [code], "{found:?}");
    assert_eq!(found[0].labels.len(), 2, "{found:?}");
    let at = |index: usize| {
        let span = found[0].labels[index].span;
        text[span.start..span.end].to_owned()
    };
    (at(0), at(1))
}

#[test]
fn the_complete_example_means_what_its_comments_say() {
    let declaration = decoded(COMPLETE).declaration;
    let server = &declaration.servers[&"bb".parse().unwrap()];
    assert_eq!(server.rate_limit, Some(TokenBucket { burst: 50, refill_per_second: 4 }));
    let offsite = &declaration.destinations[&"offsite".parse().unwrap()];
    let BackupPlace::S3(S3Place { object_lock_days: Some(30), .. }) = &offsite.place else { panic!("{offsite:?}") };
    assert_eq!(offsite.place.to_string(), "s3://corp-git-backups/bitbucket");
    let nightly = &declaration.plans[&"nightly".parse().unwrap()];
    assert_eq!(nightly.verify, Some(Verification { every: Interval::Weekly, sample: Percent::new(5).unwrap() }));
    assert_eq!(nightly.guard, Some(Guard { max_repositories_removed: Percent::new(20).unwrap() }));
    assert_eq!(nightly.max_duration, Some(Duration::from_hours(4)));
    let Timetable { jitter, missed, overlap, .. } = nightly.schedule.clone().unwrap();
    assert_eq!((jitter.as_secs(), overlap), (1200, Overlap::Skip));
    assert_eq!(missed, Missed::RunOnce { within: Duration::from_hours(12) });
    let hot = &declaration.plans[&"hot".parse().unwrap()];
    let until = Some(jiff::civil::date(2026, 12, 1));
    assert_eq!(hot.paused, Some(Pause { reason: "the storage is being moved".into(), until }));
    let moved = declaration.moved.iter().map(|(from, to)| format!("{from} {to}")).collect::<Vec<_>>();
    assert_eq!(moved, ["plan/every-night plan/nightly"]);
    assert_eq!(declaration.retired.iter().map(Address::as_str).collect::<Vec<_>>(), ["plan/weekly"]);
}

#[test]
fn a_newer_language_is_the_only_thing_that_is_said() {
    let found = invalid("xopero schema=2\nsomething \"new\"\nplan\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].code, "xopero::newer-schema");
    assert!(found[0].message.contains("version 2") && found[0].message.contains("version 1"), "{found:?}");
    assert!(found[0].help.as_ref().unwrap().contains(env!("CARGO_PKG_VERSION")), "{found:?}");
    assert_eq!(codes(&minimal_with("schema=1", "schema=0")), ["xopero::wrong-type"]);
}

#[test]
fn the_same_credential_is_resolved_through_chains() {
    let declaration = decoded(COMPLETE).declaration;
    let (pay, ops) = (&declaration.projects[&project()], &declaration.projects[&"OPS".parse().unwrap()]);
    assert_eq!((&ops.main.account, &ops.main.sealed), (&pay.main.account, &pay.main.sealed));
    assert_eq!((ops.main.kind, ops.main.expires), (pay.main.kind, pay.main.expires));
    assert_eq!(ops.main.same_as, Some(CredentialReference { project: project(), role: CredentialRole::Main }));
    let extra_1 = ops.credential(&extra("extra-1")).unwrap();
    assert_eq!(extra_1.same_as.as_ref().unwrap().to_string(), "PAY/extra-1");
    let chained = complete_with(
        "project \"TEAM-*\" server=\"bb\" {\n    credential same-as=\"PAY\"",
        "project \"TEAM-*\" server=\"bb\" {\n    credential same-as=\"OPS/extra-1\"",
    );
    let team = &decoded(&chained).declaration.projects[&"TEAM-*".parse().unwrap()];
    assert_eq!((team.main.account.as_str(), &team.main.sealed), ("svc-backup-1", &extra_1.sealed));
    assert_eq!(team.main.same_as.as_ref().unwrap().to_string(), "OPS/extra-1");
}

#[test]
fn the_same_as_nothing_is_an_error_at_its_place() {
    let main = "credential same-as=\"PAY\"\n    additional-credential";
    let found = |to: &str| invalid(&complete_with(main, &format!("{to}\n    additional-credential")));
    for (to, code, help) in [
        ("credential same-as=\"PAI\"", "xopero::unknown-name", "did you mean `PAY`?"),
        ("credential same-as=\"PAY/extra-7\"", "xopero::unknown-name", "did you mean `extra-1`?"),
        ("credential same-as=\"PAY/main\"", "xopero::unknown-name", "declared: extra-1, extra-2"),
        ("credential same-as=\"P Y\"", "xopero::invalid-reference", "same-as=\"PAY\""),
        ("credential", "xopero::missing-property", ""),
        ("credential same-as=\"OPS\"", "xopero::same-as-circle", "of its own"),
        ("credential same-as=\"TEAM-*\" {\n expires \"2027-01-01\"\n }", "xopero::same-as-block", ""),
        ("credential account=\"a\" same-as=\"PAY\"", "xopero::two-accounts", ""),
    ] {
        let found = found(to);
        let first = &found[0];
        assert_eq!(first.code, code, "{to}: {found:?}");
        assert!(first.help.as_deref().unwrap_or_default().contains(help), "{to}: {first:?}");
    }
    let unnamed =
        complete_with("additional-credential \"extra-1\" same-as=\"PAY/extra-1\"", "additional-credential \"extra-1\"");
    assert_eq!(codes(&unnamed), ["xopero::missing-property", "xopero::missing-secret"]);
    let circle = complete_with(main, "credential same-as=\"TEAM-*\"\n    additional-credential")
        .replace("    credential same-as=\"PAY\"\n}", "    credential same-as=\"OPS\"\n}");
    assert_eq!(codes(&circle), ["xopero::same-as-circle", "xopero::same-as-circle"]);
}

#[test]
fn a_secret_is_not_taken_to_another_server() {
    let other = "server \"cc\" {\n    url \"https://cc.example.com\"\n}\nproject \"OPS\" server=\"cc\" {";
    let text = complete_with("project \"OPS\" server=\"bb\" {", other);
    let found = invalid(&text);
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), ["xopero::other-server"; 2], "{found:?}");
    assert!(found.iter().all(|one| one.labels.len() == 2));
}

#[test]
fn a_credential_of_another_project_is_not_enabled() {
    let text = complete_with("        enable-credentials \"extra-1\"\n", "        enable-credentials \"extra-2\"\n");
    assert_eq!(conflict(&text, "xopero::other-project"), ("\"extra-2\"".into(), "\"PAY\"".into()));
    assert!(invalid(&text)[0].help.as_ref().unwrap().contains("same-as=\"PAY/extra-2\""));
}

#[test]
fn no_project_is_declared_by_two_patterns() {
    let second = "project \"*-A\" server=\"bb\" {\n    credential same-as=\"PAY\"\n}\n\nproject \"TEAM-*\"";
    let text = complete_with("project \"TEAM-*\"", second);
    assert_eq!(conflict(&text, "xopero::overlapping-patterns"), ("\"TEAM-*\"".into(), "\"*-A\"".into()));
    let apart = text.replace("\"*-A\"", "\"WEB-*\"");
    assert!(decoded(&apart).declaration.projects.len() == 4);
    // Whoever declares so many patterns at once does not make the reader compare for minutes.
    let many =
        (0..300).map(|index| format!("project \"T{index}-*\" server=\"bb\" {{ credential same-as=\"PAY\"; }}\n"));
    let many = many.collect::<String>();
    assert_eq!(codes(&format!("{COMPLETE}\n{many}")), ["xopero::too-many-patterns"]);
}

#[test]
fn plans_name_projects_as_they_are_declared() {
    let text = complete_with("    project \"TEAM-*\"\n", "    project \"TEAM-A\"\n");
    assert_eq!(conflict(&text, "xopero::unknown-name"), ("\"TEAM-A\"".into(), "\"TEAM-*\"".into()));
    let found = invalid(&complete_with("    project \"TEAM-*\"\n", "    project \"TEAMS-*\"\n"));
    assert_eq!(found[0].help.as_deref(), Some("did you mean `TEAM-*`?"));
}

#[test]
fn a_destination_is_one_place() {
    let both = complete_with("    s3 ", "    local \"x\"\n    s3 ");
    assert_eq!(conflict(&both, "xopero::two-places"), ("s3".into(), "local".into()));
    let stray = complete_with(
        "    local \"/srv/backup/bitbucket\"",
        "    local \"/srv/backup/bitbucket\"\n    object-lock days=1",
    );
    assert_eq!(conflict(&stray, "xopero::local-destination"), ("object-lock".into(), "local".into()));
    let nowhere = minimal_with("local \"backups\"", "");
    assert_eq!(codes(&nowhere), ["xopero::missing-node"]);
    let amazon = decoded(&complete_with(" endpoint=\"https://s3.example.com\"", "")).declaration;
    let BackupPlace::S3(place) = &amazon.destinations[&"offsite".parse().unwrap()].place else { panic!() };
    assert_eq!(place.origin(), "https://s3.eu-central-1.amazonaws.com");
    let neither = complete_with(" region=\"eu-central-1\" endpoint=\"https://s3.example.com\"", "");
    assert_eq!(codes(&neither), ["xopero::missing-property"]);
    for (from, to, code) in [
        ("\"corp-git-backups\"", "\"Corp\"", "xopero::invalid-name"),
        ("prefix=\"bitbucket\"", "prefix=\"../x\"", "xopero::invalid-name"),
        ("endpoint=\"https://s3.example.com\"", "endpoint=\"http://s3.example.com\"", "xopero::invalid-url"),
        ("    access-key", "    /- access-key", "xopero::missing-node"),
    ] {
        assert_eq!(codes(&complete_with(from, to)), [code], "{to}");
    }
}

#[test]
fn a_plan_cannot_name_a_place_that_cannot_be_written_to() {
    let text = complete_with(
        "    destination \"nas\"\n    retention \"gfs\"",
        "    destination \"offsite\"\n    retention \"gfs\"",
    );
    assert_eq!(conflict(&text, "xopero::not-built-yet"), ("\"offsite\"".into(), "\"offsite\"".into()));
    assert!(invalid(&text)[0].message.contains("cannot write to S3"));
}

#[test]
fn schedules_take_sensible_words_and_times() {
    for (from, to, code) in [
        ("jitter \"20m\"", "jitter \"25h\"", "xopero::invalid-duration"),
        ("jitter \"20m\"", "jitter \"0s\"", "xopero::invalid-duration"),
        ("within=\"12h\"", "within=\"soon\"", "xopero::invalid-duration"),
        ("missed \"run-once\" within", "missed \"skip\" within", "xopero::extra-property"),
        ("missed \"run-once\" within", "missed \"run-twice\" within", "xopero::unknown-word"),
        ("overlap \"skip\"", "overlap \"replace\"", "xopero::unknown-word"),
        ("sample=\"5%\"", "sample=\"0%\"", "xopero::invalid-share"),
        ("sample=\"5%\"", "sample=5", "xopero::wrong-type"),
        ("removed=\"20%\"", "removed=\"101%\"", "xopero::invalid-share"),
        ("until=\"2026-12-01\"", "until=\"tomorrow\"", "xopero::invalid-date"),
        ("reason=\"the storage is being moved\"", "reason=\" \"", "xopero::invalid-reason"),
        ("burst=50", "burst=0", "xopero::wrong-type"),
    ] {
        assert_eq!(codes(&complete_with(from, to)), [code], "{to}");
    }
    let plain = decoded(&complete_with(" within=\"12h\"", "")).declaration;
    assert_eq!(plain.plans[&"nightly".parse().unwrap()].schedule.as_ref().unwrap().missed, Missed::default());
    let whole = decoded(&complete_with(" sample=\"5%\"", "")).declaration;
    assert_eq!(whole.plans[&"nightly".parse().unwrap()].verify.unwrap().sample, Percent::ALL);
}

const MOVED: &str = "moved \"plan/every-night\" to=\"plan/nightly\"\n";

#[test]
fn what_was_moved_is_gone_and_has_arrived() {
    let with = |statements: &str| complete_with(MOVED, statements);
    for (statements, code, first, second) in [
        ("moved \"plan/hot\" to=\"plan/nightly\"\n", "xopero::still-declared", "\"plan/hot\"", "plan"),
        ("moved \"plan/a\" to=\"server/bb\"\n", "xopero::other-kind", "\"server/bb\"", "\"plan/a\""),
        (
            "moved \"plan/a\" to=\"plan/hot\"\nmoved \"plan/a\" to=\"plan/nightly\"\n",
            "xopero::duplicate",
            "\"plan/a\"",
            "\"plan/a\"",
        ),
        (
            "moved \"plan/a\" to=\"plan/hot\"\nmoved \"plan/b\" to=\"plan/hot\"\n",
            "xopero::two-into-one",
            "\"plan/hot\"",
            "\"plan/hot\"",
        ),
        ("moved \"plan/weekly\" to=\"plan/hot\"\n", "xopero::moved-and-retired", "\"plan/weekly\"", "\"plan/weekly\""),
        (
            "moved \"plan/a\" to=\"plan/b\"\nmoved \"plan/b\" to=\"plan/a\"\n",
            "xopero::moved-in-a-circle",
            "\"plan/b\"",
            "\"plan/a\"",
        ),
    ] {
        assert_eq!(conflict(&with(statements), code), (first.into(), second.into()), "{statements}");
    }
    let lost = invalid(&with("moved \"plan/a\" to=\"plan/b\"\nmoved \"plan/b\" to=\"plan/nigthly\"\n"));
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0].help.as_deref(), Some("did you mean `plan/nightly`?"));
    for valid in [
        "moved \"plan/a\" to=\"plan/b\"\nmoved \"plan/b\" to=\"plan/nightly\"\n",
        "moved \"plan/a\" to=\"plan/weekly\"\n",
        "moved \"credential/PAY/old\" to=\"credential/PAY/extra-1\"\n",
        "moved \"project/PAYMENTS\" to=\"project/PAY\"\n",
    ] {
        decoded(&with(valid));
    }
}

#[test]
fn only_plans_are_retired_and_their_backups_are_kept() {
    for (from, to, code) in [
        ("retired \"plan/weekly\"", "retired \"plan/hot\"", "xopero::still-declared"),
        ("retired \"plan/weekly\"", "retired \"server/old\"", "xopero::not-a-plan"),
        ("retired \"plan/weekly\"", "retired \"weekly\"", "xopero::invalid-address"),
        ("backups \"keep\"", "backups \"delete\"", "xopero::unknown-word"),
        ("    backups \"keep\"\n", "", "xopero::missing-node"),
    ] {
        assert_eq!(codes(&complete_with(from, to)), [code], "{to}");
    }
    let twice = format!("{COMPLETE}\nretired \"plan/weekly\" {{ backups \"keep\"; }}\n");
    assert_eq!(conflict(&twice, "xopero::duplicate"), ("\"plan/weekly\"".into(), "\"plan/weekly\"".into()));
    let misspelt = invalid(&complete_with("retired \"plan/weekly\"", "retired \"plna/weekly\""));
    assert_eq!(misspelt[0].help.as_deref(), Some("did you mean `plan`?"));
}

/// The minimal example with its token in a file that holds `content`.
fn with_file(node: &str, content: &str) -> (Sources, Result<Decoded, Invalid>) {
    let (start, end) = (MINIMAL.find("token (age)").unwrap(), MINIMAL.find("\"\"\"#").unwrap() + 4);
    let text = replaced(MINIMAL, Span::new(start, end), node);
    let sources = Sources::gather(file(text), &mut |path, kind| match (path, kind) {
        ("pay.age", FileKind::Value) => Ok(SourceFile { name: path.into(), text: content.into() }),
        _ => Err(Unreadable { reason: "there is none".into(), hint: None }),
    });
    let decoded = decode(&sources);
    (sources, decoded)
}

#[test]
fn a_secret_can_stand_in_a_file() {
    let armor = format!("{}\n", sealed().as_str().trim());
    let (_, decoded) = with_file("token file=\"pay.age\"", &armor);
    assert_eq!(decoded.unwrap().declaration.projects[&project()].main.sealed.full_digest(), sealed().full_digest());
    for (node, content, code) in [
        ("token file=\"pay.age\"", "SECRET", "xopero::plaintext-secret"),
        ("token file=\"pay.age\"", "", "xopero::plaintext-secret"),
        ("token file=\"no.age\"", "", "xopero::unreadable-file"),
        ("token file=\"../pay.age\"", "", "xopero::path-outside"),
        ("token (age)\"YWdlLWVuY3J5cHRpb24ub3JnLw==\" file=\"pay.age\"", armor.as_str(), "xopero::two-secrets"),
        ("token", "", "xopero::missing-argument"),
        ("token fiel=\"pay.age\"", "", "xopero::unknown-property"),
    ] {
        let (sources, decoded) = with_file(node, content);
        let found = decoded.unwrap_err().diagnostics;
        assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), [code], "{node}: {found:?}");
        let shown = render(&sources, &found, false, 100);
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(!node.ends_with("pay.age\"") || shown.contains("pay.age"), "{shown}");
    }
}
