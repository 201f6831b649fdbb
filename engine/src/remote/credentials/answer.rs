//! The answer of an OAuth 2.0 token service, and those like it.

use serde::Deserialize;

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::value;
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

/// Longest life of a token that is believed, seconds.
const LIFE_MAX_S: u64 = 7 * 86_400;

/// A number, or one in quotes as Azure's metadata service writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Quoted(String),
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<Number>,
}

/// The token of an answer.
///
/// # Errors
/// `RemoteAnswer`, with nothing of the answer.
pub(super) fn token(body: &str, now: Timestamp, reach: Reach) -> Result<Lent<Token>> {
    let answer: Answer = json(body, "the token service")?;
    let text = value::secret("the token", &answer.access_token)
        .map_err(|_| garbled("the token service"))?;
    let seconds = match answer.expires_in {
        Some(Number::Plain(seconds)) => Some(seconds),
        Some(Number::Quoted(text)) => text.parse().ok(),
        None => None,
    };
    let expires = seconds
        .map(|seconds| Timestamp(now.0 + i128::from(seconds.min(LIFE_MAX_S)) * 1_000_000_000));
    Ok(Lent::until(Token { text, reach }, expires))
}

/// JSON that a service answered. The parser's own words are left out: they may repeat a secret.
///
/// # Errors
/// `RemoteAnswer`.
pub(super) fn json<T: serde::de::DeserializeOwned>(body: &str, who: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|_| garbled(who))
}

/// An answer that is none.
pub(super) fn garbled(who: &str) -> EngineError {
    EngineError::new(Kind::RemoteAnswer, format!("{who} answered with no credentials"))
}

/// A time such as `2026-01-01T00:00:00Z`.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(time.as_nanosecond()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn tokens_are_read_with_their_end_and_bad_answers_not_repeated() {
        let now = Timestamp::new(1_000, 0);
        for life in ["3600", "\"3600\""] {
            let body = format!(r#"{{"access_token":"t0k","expires_in":{life},"x":1}}"#);
            let lent = token(&body, now, Reach::Any).unwrap();
            assert_eq!(lent.value.text.expose_secret(), "t0k");
            assert_eq!(lent.expires, Some(Timestamp::new(4_600, 0)));
        }
        let endless = token(r#"{"access_token":"t0k"}"#, now, Reach::Any).unwrap();
        assert_eq!(endless.expires, None);
        let long = format!(r#"{{"access_token":"t0k","expires_in":{}}}"#, u64::MAX);
        assert!(token(&long, now, Reach::Any).unwrap().expires.is_some());
        let bad = [
            r#"{"access_token":"hunter2\r\nx: y"}"#,
            r#"{"access_token":"hunter2","expires_in":"#,
            r#"{"access_token":["hunter2"]}"#,
            r#""hunter2""#,
            "",
        ];
        for body in bad {
            let error = token(body, now, Reach::Any).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::RemoteAnswer);
            assert!(!format!("{error:?}").contains("hunter2"), "{body}");
        }
    }
}
