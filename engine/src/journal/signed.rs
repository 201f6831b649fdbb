//! Keeps what proves who asks out of what is written down of a command: URLs may be signed, or
//! bear a token, and whoever reads them then may read what they name.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::model::digest::hex;

/// What stands in place of a query, before a digest of what in it is no proof.
const HIDDEN: &str = "[hidden:";

/// Parts of a name that tell that its value is a proof.
const PROOFS: [&str; 8] = ["sig", "token", "credential", "secret", "passw", "pwd", "key", "auth"];
/// What goes with a signature and is another with each: lifetimes, rights, who signed.
const BESIDE: [&str; 18] = [
    "expires",
    "policy",
    "googleaccessid",
    "se",
    "st",
    "sp",
    "sr",
    "sv",
    "ss",
    "srt",
    "spr",
    "sip",
    "skoid",
    "sktid",
    "skt",
    "ske",
    "sks",
    "skv",
];

fn is_proof(name: &str) -> bool {
    PROOFS.iter().any(|part| name.contains(part))
}

fn is_beside(name: &str) -> bool {
    BESIDE.contains(&name) || ["x-amz-", "x-goog-"].iter().any(|kind| name.starts_with(kind))
}

/// The command as it may be written down: the same for the same thing under another signature.
#[must_use]
pub fn written(command: &Value) -> Value {
    match command {
        Value::String(text) => hidden(text).map_or_else(|| command.clone(), Value::String),
        Value::Array(all) => all.iter().map(written).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), written(value))).collect()
        }
        _ => command.clone(),
    }
}

/// Whether something was left out of a command that was written down, so that it cannot be run.
#[must_use]
pub fn lacks(command: &Value) -> bool {
    match command {
        Value::String(text) => text.contains(HIDDEN),
        Value::Array(all) => all.iter().any(lacks),
        Value::Object(fields) => fields.values().any(lacks),
        _ => false,
    }
}

/// A URL without its query, where that proves who asks; `None` for all else.
fn hidden(text: &str) -> Option<String> {
    let begins =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|b| b.eq_ignore_ascii_case(scheme));
    if !begins("https://") && !begins("http://") {
        return None;
    }
    let (place, query) = text.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let name = |part: &str| part.split('=').next().unwrap_or_default().to_ascii_lowercase();
    if !query.split('&').any(|part| is_proof(&name(part))) {
        return None;
    }
    let mut rest = Sha256::new();
    for part in query.split('&').filter(|part| !is_proof(&name(part)) && !is_beside(&name(part))) {
        rest.update(part);
        rest.update("&");
    }
    Some(format!("{place}?{HIDDEN}{}]", hex(&rest.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(query: &str) -> Value {
        written(&json!({"op": "copy", "fields": {"src": {"url": format!("https://h/p?{query}")}}}))
    }

    #[test]
    fn signatures_are_not_written_and_what_they_sign_is_told_apart() {
        let aws = |day: u32, version: u32| {
            of(&format!(
                "X-Amz-Date=2026010{day}T000000Z&X-Amz-Expires=60&versionId={version}\
                 &X-Amz-Credential=id{day}&X-Amz-Signature=abc{day}"
            ))
        };
        assert_eq!(aws(1, 7), aws(2, 7));
        assert_ne!(aws(1, 7), aws(1, 8));
        assert!(lacks(&aws(1, 7)) && !aws(1, 7).to_string().contains("abc1"));
        assert_eq!(of("sv=1&se=2026&sr=b&sig=x%2B"), of("sv=2&se=2027&sr=b&sig=y"));
        assert!(!of("a=1&access_token=t0p").to_string().contains("t0p"));
    }

    #[test]
    fn all_else_is_written_as_it_is() {
        let plain = json!({"src": "https://h/p?page=2", "dst": "dir?sig=1", "n": [1, true, null]});
        assert_eq!(written(&plain), plain);
        assert!(!lacks(&plain));
    }
}
