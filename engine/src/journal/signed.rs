//! Keeps what proves who asks out of what is written down of a command: URLs may be signed, or
//! bear a token, and whoever reads them then may read what they name.

use serde_json::Value;

/// What stands in place of a query, before a digest of what in it is no signature.
const HIDDEN: &str = "[hidden:";

/// A way to sign URLs: its proof, and what is another with each signature of the same thing.
struct Scheme {
    proof: &'static str,
    beside: &'static [&'static str],
}

/// The ways that are known, by exact names: any other part may tell one thing from another.
const SCHEMES: [Scheme; 4] = [
    Scheme {
        proof: "x-amz-signature",
        beside: &[
            "x-amz-credential",
            "x-amz-security-token",
            "x-amz-date",
            "x-amz-expires",
            "x-amz-algorithm",
            "x-amz-signedheaders",
        ],
    },
    Scheme {
        proof: "x-goog-signature",
        beside: &[
            "x-goog-credential",
            "x-goog-date",
            "x-goog-expires",
            "x-goog-algorithm",
            "x-goog-signedheaders",
        ],
    },
    // The second version of Amazon's, the first of Google's, and that of CloudFront.
    Scheme {
        proof: "signature",
        beside: &[
            "expires",
            "policy",
            "key-pair-id",
            "googleaccessid",
            "awsaccesskeyid",
            "x-amz-security-token",
        ],
    },
    Scheme {
        proof: "sig",
        beside: &[
            "se", "st", "sp", "sv", "skoid", "sktid", "skt", "ske", "sks", "skv", "spr", "sip",
            "sdd", "saoid", "suoid", "scid",
        ],
    },
];

/// Words of a name that tell that its value may be a proof.
const PROOFS: [&str; 8] =
    ["authorization", "bearer", "credential", "credentials", "jwt", "pwd", "sas", "sig"];
/// What words of that kind end in.
const ENDS: [&str; 7] = ["auth", "key", "token", "secret", "password", "passwd", "signature"];

/// Whether a value of this name, in lower case, may prove who asks.
fn is_proof(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| PROOFS.contains(&word) || ENDS.iter().any(|end| word.ends_with(end)))
}

/// The command as it may be written down: the same for the same thing under another signature, and
/// another for any other value, be it a proof. `salt` keeps equal values of two keys apart.
#[must_use]
pub fn written(command: &Value, salt: &str) -> Value {
    match command {
        Value::String(text) => hidden(text, salt).map_or_else(|| command.clone(), Value::String),
        Value::Array(all) => all.iter().map(|value| written(value, salt)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), written(value, salt))).collect()
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
fn hidden(text: &str, salt: &str) -> Option<String> {
    let begins =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|b| b.eq_ignore_ascii_case(scheme));
    if !begins("https://") && !begins("http://") {
        return None;
    }
    let (place, query) = text.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let name = |part: &str| part.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let names: Vec<String> = query.split('&').map(name).collect();
    if !names.iter().any(|name| is_proof(name)) {
        return None;
    }
    let signed: Vec<&Scheme> =
        SCHEMES.iter().filter(|scheme| names.iter().any(|name| name == scheme.proof)).collect();
    let mut rest = blake3::Hasher::new_keyed(blake3::hash(salt.as_bytes()).as_bytes());
    for (part, name) in query.split('&').zip(&names) {
        let name = name.as_str();
        if !signed.iter().any(|scheme| scheme.proof == name || scheme.beside.contains(&name)) {
            rest.update(part.as_bytes());
            rest.update(b"&");
        }
    }
    Some(format!("{place}?{HIDDEN}{}]", rest.finalize().to_hex()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(query: &str) -> Value {
        let url = format!("https://h/p?{query}");
        written(&json!({"op": "copy", "fields": {"src": {"url": url}}}), "k1")
    }

    #[test]
    fn signatures_are_not_written_and_what_they_sign_is_told_apart() {
        let aws = |day: u32, version: u32| {
            of(&format!(
                "X-Amz-Date=2026010{day}T000000Z&X-Amz-Expires=60&versionId={version}\
                 &X-Amz-Credential=id{day}&X-Amz-Signature=abc{day}&X-Amz-Security-Token=t{day}"
            ))
        };
        assert_eq!(aws(1, 7), aws(2, 7));
        assert_ne!(aws(1, 7), aws(1, 8));
        assert!(lacks(&aws(1, 7)) && !aws(1, 7).to_string().contains("abc1"));
        assert_eq!(of("sv=1&se=2026&sr=b&sig=x%2B"), of("sv=2&se=2027&sr=b&sig=y"));
        assert_eq!(of("Expires=1&Signature=a&Key-Pair-Id=k"), of("Signature=b&Expires=2"));
        assert_eq!(of("X-Goog-Date=1&X-Goog-Signature=a"), of("X-Goog-Signature=b&X-Goog-Date=2"));
    }

    #[test]
    fn values_that_are_no_signature_tell_commands_apart_and_are_not_written() {
        for name in [
            "key",
            "token",
            "access_token",
            "api_key",
            "apikey",
            "api-key",
            "auth",
            "authorization",
            "password",
            "secret",
            "jwt",
            "bearer",
            "client_secret",
            "pwd",
            "X-Amz-Credential",
        ] {
            let (one, other) =
                (of(&format!("a=1&{name}=file-A")), of(&format!("a=1&{name}=file-B")));
            assert_ne!(one, other, "{name}");
            assert!(lacks(&one) && !one.to_string().contains("file-A"), "{name}");
        }
        // Beside another signature, or none, a name of a scheme is as any.
        assert_ne!(of("sp=1&Signature=a"), of("sp=2&Signature=a"));
        assert_ne!(of("expires=1&key=a"), of("expires=2&key=a"));
        assert_ne!(of("se=1"), of("se=2"));
        let url = json!("https://h/p?key=a");
        assert_ne!(written(&url, "k1"), written(&url, "k2"));
        assert_eq!(written(&written(&url, "k1"), "k1"), written(&url, "k1"));
    }

    #[test]
    fn all_else_is_written_as_it_is() {
        let query = "https://h/p?page=2&keyword=x&author=y&design=z&expires=1";
        let plain = json!({"src": query, "dst": "dir?sig=1", "n": [1, true, null]});
        assert_eq!(written(&plain, "k1"), plain);
        assert!(!lacks(&plain));
    }
}
