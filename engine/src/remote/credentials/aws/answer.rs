//! The JSON that containers, machines and programs give a key in.

use serde::Deserialize;

use crate::error::Result;
use crate::remote::credentials::answer::{garbled, json, time};
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::value;
use crate::remote::sign::sigv4::Keys;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
}

/// The key of an answer of `who`.
///
/// # Errors
/// `RemoteAnswer`, with nothing of the answer.
pub(super) fn keys(body: &str, who: &str) -> Result<Lent<Keys>> {
    let answer: Answer = json(body, who)?;
    read(answer, who).ok_or_else(|| garbled(who))
}

fn read(answer: Answer, who: &str) -> Option<Lent<Keys>> {
    let token = match answer.token {
        Some(token) => Some(value::secret(who, &token).ok()?),
        None => None,
    };
    let expires = match answer.expiration {
        Some(text) => Some(time(&text)?),
        None => None,
    };
    let keys = Keys {
        id: value::word(who, &answer.access_key_id?).ok()?,
        secret: value::secret(who, &answer.secret_access_key?).ok()?,
        token,
    };
    Some(Lent::until(keys, expires))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn keys_are_read_and_what_is_none_is_not_repeated() {
        let whole = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":"t",
            "Expiration":"2026-01-01T00:00:00+00:00"}"#;
        let lent = keys(whole, "it").unwrap();
        assert!(lent.value.id == "A" && lent.value.token.is_some());
        assert_eq!(lent.expires.unwrap().seconds(), 1_767_225_600);
        for body in [
            "hunter2",
            r#"{"AccessKeyId":"hunter2"}"#,
            r#"{"AccessKeyId":"hunter2","SecretAccessKey":"hunter2 x"}"#,
            r#"{"AccessKeyId":"A","SecretAccessKey":"hunter2","Expiration":"soon"}"#,
            r#"{"AccessKeyId":7,"SecretAccessKey":"hunter2"}"#,
        ] {
            let error = keys(body, "it").map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::RemoteAnswer);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
