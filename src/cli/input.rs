//! What people type: secrets, where nobody can read along, and answers.

use std::io::{self, BufRead, IsTerminal, Read};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{CliError, Context};
use crate::model::AccountName;

/// The longest token or password, in bytes.
const LONGEST: u64 = 8 * 1024;

/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 4 * 1024;

/// Reads a secret from standard input, or asks for it where nobody can read along. Never from the command line.
pub fn read_secret(what: &str, account: &AccountName) -> Result<SecretString, CliError> {
    let secret = if io::stdin().is_terminal() {
        ask_secret(&format!("The {what} of {account}"))?
    } else {
        let mut text = Zeroizing::new(String::new());
        let read = io::stdin().take(LONGEST + 1).read_to_string(&mut text);
        read.map_err(|error| CliError::usage(format!("cannot read the secret from standard input: {error}")))?;
        SecretString::from(text.trim_end_matches(['\n', '\r']))
    };
    if secret.expose_secret().is_empty() {
        return Err(CliError::usage("the secret is empty")
            .with_hint("type it at the prompt, or give it on standard input: … < token.txt"));
    }
    check(secret)
}

/// Asks for a secret on the terminal, without echo. It may be empty.
pub fn ask_secret(what: &str) -> Result<SecretString, CliError> {
    let typed = rpassword::prompt_password(format!("{what} (not shown): "));
    let typed = typed.map_err(|error| CliError::usage(format!("cannot ask for the secret: {error}")))?;
    check(SecretString::from(typed))
}

fn check(secret: SecretString) -> Result<SecretString, CliError> {
    let text = secret.expose_secret();
    if text.len() as u64 > LONGEST || text.chars().any(char::is_control) {
        return Err(CliError::usage("the secret is longer than 8 KiB or more than one line"));
    }
    Ok(secret)
}

/// Whether there is somebody to ask.
pub fn can_ask(context: &Context) -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal() && !context.output.is_json()
}

/// Asks for a line on the terminal until `parse` takes it. An empty answer is `default`, if there is one.
pub fn ask<T, E: std::fmt::Display>(
    context: &Context,
    question: &str,
    default: Option<&str>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, CliError> {
    loop {
        context.output.say(&match default {
            Some(default) => format!("{question} [{default}]:"),
            None => format!("{question}:"),
        });
        let mut answer = String::new();
        let read = io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut answer);
        if !read.is_ok_and(|count| count > 0) {
            return Err(CliError::usage("the questions were not answered; nothing was made"));
        }
        let answer = answer.trim();
        match parse(if answer.is_empty() { default.unwrap_or_default() } else { answer }) {
            Ok(parsed) => return Ok(parsed),
            Err(error) => context.output.say(&format!("  {error}")),
        }
    }
}
