//! A token in the `authorization` field, as Google and Azure take it.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::call::Request;
use crate::remote::dialect::Signer;
use crate::remote::sign::reach::Reach;
use crate::remote::sign::source::Source;

/// A token that stands for its bearer.
pub struct Token {
    /// Its text.
    pub text: SecretString,
    /// Where it may go.
    pub reach: Reach,
}

/// Adds the token of a source.
pub struct Bearer {
    source: Arc<dyn Source<Token>>,
}

impl Bearer {
    /// A signer with the tokens of `source`.
    #[must_use]
    pub fn new(source: Arc<dyn Source<Token>>) -> Self {
        Self { source }
    }
}

/// Adds a token to a request.
///
/// # Errors
/// `InvalidField` where it may not go to the request's service.
pub(crate) fn add(token: &Token, request: &mut Request<'_>) -> Result<()> {
    token.reach.check("the access token", &request.origin)?;
    request.headers.set("authorization", format!("Bearer {}", token.text.expose_secret()));
    Ok(())
}

impl Signer for Bearer {
    fn sign(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()> {
        add(&*self.source.get(now)?, request)
    }

    fn renew(&self) -> bool {
        self.source.renew()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::remote::call::Verb;
    use crate::remote::origin::Origin;
    use crate::remote::sign::source::Fixed;

    #[test]
    fn the_token_is_added_once_and_not_in_the_clear() {
        let token = Token { text: SecretString::from("t0k"), reach: Reach::Any };
        let signer = Bearer::new(Fixed::new(token));
        let (origin, _) = Origin::parse("https://storage.example").unwrap();
        let mut request = Request::new(Verb::Look, "GET", &origin, "/".to_owned());
        signer.sign(&mut request, Timestamp::default()).unwrap();
        signer.sign(&mut request, Timestamp::default()).unwrap();
        let fields: Vec<_> = request.headers.iter().collect();
        assert_eq!(fields, [("authorization", "Bearer t0k")]);
        let (origin, _) = Origin::parse("http://storage.example").unwrap();
        let mut request = Request::new(Verb::Look, "GET", &origin, "/".to_owned());
        let error = signer.sign(&mut request, Timestamp::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidField);
        assert!(request.headers.iter().next().is_none());
        assert!(!signer.renew());
    }
}
