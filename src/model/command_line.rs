//! Command lines that people are told to type: a shell gives each word to xopero as it is meant.

use super::{AccountName, Address, CredentialKind, CredentialRole, ProjectSelector};

/// One word for a POSIX shell, in single quotes where it must be: `~name` is a personal project, and no home directory.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    let is_plain = !word.is_empty() && word.chars().all(plain);
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// A command of xopero with the `options` that lead to the same file and state.
pub fn command_with(command: &str, options: &str) -> String {
    format!("xopero {command} {options}").trim_end().to_owned()
}

/// The command that seals the secret of a credential anew.
pub fn add_command(
    project: &ProjectSelector,
    role: &CredentialRole,
    account: &AccountName,
    kind: CredentialKind,
) -> String {
    let name = match role {
        CredentialRole::Main => String::new(),
        CredentialRole::Additional(name) => format!(" {}", shell_word(name.as_str())),
    };
    let password = match kind {
        CredentialKind::Token => "",
        CredentialKind::Password => " --password",
    };
    let (project, account) = (shell_word(project.as_str()), shell_word(account.as_str()));
    format!("xopero credential add {project}{name} --account {account}{password}")
}

/// The command that makes a new token for a credential.
pub fn rotate_command(project: &ProjectSelector, role: &CredentialRole) -> String {
    format!("xopero credential rotate {} {}", shell_word(project.as_str()), shell_word(&role.to_string()))
}

/// The command that shows a credential to its server, whatever is known of it.
pub fn check_command(address: &Address) -> String {
    let name = address.as_str().strip_prefix("credential/").unwrap_or(address.as_str());
    let (project, role) = name.rsplit_once('/').unwrap_or((name, "main"));
    format!("xopero credential check {} {}", shell_word(project), shell_word(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_each_word_as_it_is_meant() {
        let words = ["PAY", "TEAM-*", "~ann", "it's", "", "a b", "$(id)", "/srv/x.kdl", "postgres://u@/db?host=/d"];
        let shown = words.map(shell_word);
        assert_eq!(
            shown,
            [
                "PAY",
                "'TEAM-*'",
                "'~ann'",
                "'it'\\''s'",
                "''",
                "'a b'",
                "'$(id)'",
                "/srv/x.kdl",
                "'postgres://u@/db?host=/d'"
            ]
        );
    }

    #[test]
    fn commands_name_one_credential() {
        let (personal, account) = ("~ann".parse().unwrap(), AccountName::new("svc backup").unwrap());
        let extra = CredentialRole::Additional("extra-1".parse().unwrap());
        assert_eq!(
            add_command(&personal, &extra, &account, CredentialKind::Password),
            "xopero credential add '~ann' extra-1 --account 'svc backup' --password"
        );
        assert_eq!(
            add_command(&"PAY".parse().unwrap(), &CredentialRole::Main, &account, CredentialKind::Token),
            "xopero credential add PAY --account 'svc backup'"
        );
        assert_eq!(rotate_command(&personal, &extra), "xopero credential rotate '~ann' extra-1");
        let main = |selector: &str| Address::credential(&selector.parse().unwrap(), &CredentialRole::Main);
        assert_eq!(check_command(&main("PAY")), "xopero credential check PAY main");
        assert_eq!(check_command(&main("TEAM-*")), "xopero credential check 'TEAM-*' main");
    }
}
