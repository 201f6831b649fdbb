//! A program that prints a key (`credential_process`), where programs may give secrets.

use crate::error::{EngineError, Kind, Result};
use crate::model::secret::SecretSource;
use crate::platform::secret;
use crate::remote::credentials::aws::answer;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::means::Means;
use crate::remote::sign::sigv4::Keys;
use secrecy::ExposeSecret as _;

/// Runs the program of a profile.
///
/// # Errors
/// `SecretUnresolved` where programs may not give secrets, and for one that fails.
pub(super) fn run(means: &Means, command: &str, profile: &str) -> Result<Lent<Keys>> {
    let place = format!("credential_process of the AWS profile {profile}");
    let unresolved = |why: &str| EngineError::new(Kind::SecretUnresolved, format!("{place} {why}"));
    if !means.allow_secret_command {
        let hint = "start the engine with --allow-secret-command";
        return Err(unresolved("is not allowed: secrets from programs are off").hint(hint));
    }
    let words = words(command).ok_or_else(|| unresolved("has an open quote"))?;
    // The program's name and arguments may hold a secret: its own error is not passed on.
    let output =
        secret::read(&SecretSource::Command(words), true).map_err(|_| unresolved("failed"))?;
    let text = std::str::from_utf8(output.expose_secret()).unwrap_or_default();
    answer::keys(text, &place)
}

/// A command's words, as a shell would split them; nothing is replaced in them.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some('"') | None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::credentials::trial::{Trial, canary};

    #[test]
    fn commands_are_split_like_a_shell_does() {
        let split = |command| words(command).map(|words| words.join("|"));
        assert_eq!(split(r#" a  'b c' "d \" e" f\ g '' "#).unwrap(), "a|b c|d \" e|f g|");
        assert_eq!((split("'a"), split("a\\"), split("").as_deref()), (None, None, Some("")));
    }

    #[test]
    fn programs_give_keys_only_where_that_is_allowed() {
        let mut trial = Trial::new();
        let secret = canary();
        let output = trial.home("out", r#"{"Version":1,"AccessKeyId":"P","SecretAccessKey":"s"}"#);
        trial.home(".aws/config", &format!("[default]\ncredential_process = cat '{output}'"));
        trial.refuses_aws(Kind::SecretUnresolved, "is not allowed");
        trial.ties.allow_secret_command = true;
        assert_eq!(trial.aws_key(), "P");
        for (command, word) in [
            (format!("/no/such {secret}"), "failed"),
            (format!("'{secret}"), "open quote"),
            (format!("echo {secret}"), "answered with no credentials"),
        ] {
            trial.home(".aws/config", &format!("[default]\ncredential_process = {command}"));
            let kind = if word.starts_with("answered") {
                Kind::RemoteAnswer
            } else {
                Kind::SecretUnresolved
            };
            trial.refuses_aws(kind, word);
        }
    }
}
