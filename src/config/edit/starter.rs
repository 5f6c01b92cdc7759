//! The first file of a new user.

use super::layout::quote;
use crate::model::{AccountName, BaseUrl, PlanName, ProjectKey, PublicKey, Recipient, shell_word};

/// What a new file is about.
#[derive(Debug, Clone)]
pub struct Starter {
    /// Who can open the sealed values of the file.
    pub recipient: Recipient,
    /// The server.
    pub url: BaseUrl,
    /// The directory where backups go.
    pub destination: String,
    /// Whose identity opens the backups.
    pub encrypt_to: PublicKey,
    /// The project.
    pub project: ProjectKey,
    /// The account of its main credential.
    pub account: AccountName,
    /// The plan.
    pub plan: PlanName,
}

/// The text of a file that declares one project and one plan, with comments that say what comes next. It lacks only the
/// sealed token of the project.
pub fn starter(starter: &Starter) -> String {
    let Starter { recipient, url, destination, encrypt_to, project, account, plan } = starter;
    let name = recipient.name.as_deref().map(|name| format!(" name={}", quote(name))).unwrap_or_default();
    format!(
        r#"/- kdl-version 2
// What xopero backs up. `xopero plan` shows what a change of this file would do, `xopero apply` puts it in force.
xopero schema=1

// Who can open the sealed tokens of THIS FILE: the machine that runs the backups. Somebody for emergencies is added
// with: xopero recipients add KEY --name break-glass --rekey
recipients {{
    recipient {key}{name}
}}

server "bb" {{
    url {url}
}}

destination "main" {{
    local {destination}
    // Whose identity opens the BACKUPS. Keep that identity away from this machine: taking backups does not need it.
    encrypt-to {encrypt_to}
}}

// Bitbucket limits the requests of each account. More accounts mean more requests:
//   xopero credential add {shell_project} extra-1 --account NAME
//   xopero credential enable {plan_name} {shell_project} extra-1
project {project} server="bb" {{
    // The token of {account_name} is replaced with: xopero secrets set {shell_project}
}}

plan {plan} {{
    project {project}
    parts "git"
    destination "main"
    retention {{
        keep last=7 daily=14 weekly=8 monthly=12
    }}
    // schedule "30 1 * * *" tz="Europe/Warsaw"
}}
"#,
        key = quote(recipient.key.as_str()),
        url = quote(&url.origin()),
        destination = quote(destination),
        encrypt_to = quote(encrypt_to.as_str()),
        project = quote(project.as_str()),
        shell_project = shell_word(project.as_str()),
        account_name = quote(account.as_str()),
        plan = quote(plan.as_str()),
        plan_name = plan,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NewCredential, SourceFile, Sources, decode, set_credential};
    use crate::model::{CredentialKind, CredentialRole, RecipientsMark, Sealed};

    #[test]
    fn a_starter_is_valid_as_soon_as_the_token_is_in_it() {
        let given = Starter {
            recipient: Recipient {
                key: "age10gragpv26w0gse85md709kmt3fc8zgnt8qnw7qptae402e2c9asqtsfjjv".parse().unwrap(),
                name: Some("root@a \"b\"".into()),
            },
            url: BaseUrl::new("https://bb.example.com/bitbucket").unwrap(),
            destination: "/srv/back\\up \"x\"".into(),
            encrypt_to: "age1p6pql489v8xuhn5wqxudxfgvhsf2dvwggd5r0gfpewnd589y8fnq9f3nlc".parse().unwrap(),
            project: "~jdoe".parse().unwrap(),
            account: "svc-\u{fc}".parse().unwrap(),
            plan: "nightly".parse().unwrap(),
        };
        let text = starter(&given);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        let sources = Sources::alone(SourceFile { name: "xopero.kdl".into(), text });
        let missing = decode(&sources).unwrap_err().diagnostics;
        assert!(missing.len() == 1 && missing[0].message.contains("`credential`"), "{missing:?}");
        let credential = NewCredential {
            account: given.account.clone(),
            kind: CredentialKind::Token,
            sealed: Sealed::new("YWdlLWVuY3J5cHRpb24ub3JnL3YxCg=="),
            recipients: RecipientsMark::of([&given.recipient.key]),
            expires: None,
        };
        let project = given.project.clone().into();
        let after = set_credential(&sources, &project, &CredentialRole::Main, &credential).unwrap();
        let decoded = decode(&after).unwrap();
        assert_eq!(decoded.warnings, []);
        assert_eq!(decoded.declaration.recipients, [given.recipient]);
        assert_eq!(decoded.declaration.projects[&project].main.account, given.account);
    }
}
