//! A shared access signature of Azure: a query that was signed beforehand and goes with each
//! request.

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::call::Request;
use crate::remote::sign::reach::Reach;

/// The pairs of a signature, plain.
pub struct Sas {
    pairs: Vec<(String, SecretString)>,
    reach: Reach,
    expires: Option<Timestamp>,
}

impl Sas {
    /// Reads a token such as `sv=…&se=…&sig=…`, with or without its question mark, as it is
    /// copied: percent-encoded.
    ///
    /// # Errors
    /// `InvalidField` for one without a signature or with a bad escape. Nothing of it is repeated.
    pub fn parse(token: &str, reach: Reach) -> Result<Self> {
        let invalid = |why| EngineError::new(Kind::InvalidField, why).field("auth.sas_token");
        let token = token.trim().trim_start_matches('?');
        let mut pairs = Vec::new();
        for pair in token.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(invalid("the shared access signature holds a bad escape"));
            };
            pairs.push((name, SecretString::from(value)));
        }
        let value_of = |name: &str| pairs.iter().find(|(known, _)| known == name);
        if value_of("sig").is_none_or(|(_, value)| value.expose_secret().is_empty()) {
            return Err(invalid("the shared access signature has no sig"));
        }
        let expires = value_of("se").and_then(|(_, text)| expiry(text.expose_secret()));
        Ok(Self { pairs, reach, expires })
    }

    /// When it ends, where it says so.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Adds it to a request, in the place of pairs of the same names.
    ///
    /// # Errors
    /// `InvalidField` where it may not go to the request's service; `CredentialsExpired`.
    pub fn add(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()> {
        self.reach.check("the shared access signature", &request.origin)?;
        if self.expires.is_some_and(|expires| expires <= now) {
            let why = "the shared access signature is no longer valid";
            return Err(EngineError::new(Kind::CredentialsExpired, why));
        }
        request.query.retain(|(name, _)| self.pairs.iter().all(|(own, _)| own != name));
        let pairs = self.pairs.iter();
        let plain = pairs.map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
        request.query.extend(plain);
        Ok(())
    }
}

/// `se` is a time, or a day alone.
fn expiry(text: &str) -> Option<Timestamp> {
    let whole = if text.len() == "2026-01-01".len() {
        format!("{text}T00:00:00Z")
    } else if text.len() == "2026-01-01T00:00Z".len() {
        text.replace('Z', ":00Z")
    } else {
        text.to_owned()
    };
    let time: jiff::Timestamp = whole.parse().ok()?;
    Some(Timestamp(time.as_nanosecond()))
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        out.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = tail.get(2..).unwrap_or_default();
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::call::Verb;
    use crate::remote::encode;
    use crate::remote::origin::Origin;

    const TOKEN: &str = "?sv=2023-11-03&se=2030-01-01T00%3A00Z&sp=rl&sig=a%2Bb%2Fc%3D";

    #[test]
    fn pairs_are_added_once_and_encoded_once() {
        let sas = Sas::parse(TOKEN, Reach::Any).unwrap();
        let (origin, _) = Origin::parse("https://a.blob.core.windows.net").unwrap();
        let mut request = Request::new(Verb::Look, "GET", &origin, "/c".to_owned());
        request = request.query("comp", "list").query("sv", "other");
        sas.add(&mut request, Timestamp::default()).unwrap();
        sas.add(&mut request, Timestamp::default()).unwrap();
        let query = encode::query(&request.query);
        let wanted = "comp=list&sv=2023-11-03&se=2030-01-01T00%3A00Z&sp=rl&sig=a%2Bb%2Fc%3D";
        assert_eq!(query, wanted);
        let late = Timestamp::new(1_893_456_000, 0);
        assert_eq!(sas.expires(), Some(late));
        assert_eq!(sas.add(&mut request, late).unwrap_err().kind(), Kind::CredentialsExpired);
    }

    #[test]
    fn what_is_no_signature_is_refused_without_its_text() {
        for token in ["", "sv=1", "sig=", "sig=%zzsecret", "sig=%F"] {
            let error = Sas::parse(token, Reach::Any).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidField, "{token}");
            assert!(!format!("{error:?}").contains("secret"));
        }
        for (text, known) in [("2030-01-01", true), ("2030-01-01T00:00:00Z", true), ("x", false)] {
            assert_eq!(expiry(text).is_some(), known, "{text}");
        }
    }
}
