//! Requests to token services and metadata services.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::zeroize::Zeroizing;

use crate::error::{EngineError, Kind, Result};
use crate::limits::CREDENTIALS_ANSWER_BYTES_MAX;
use crate::remote::call::{Class, Failure, Request, Side, Verb};
use crate::remote::client::Client;
use crate::remote::credentials::refusal::TokenDialect;
use crate::remote::dialect::{Anonymous, Signer};
use crate::remote::encode;
use crate::remote::origin::Origin;
use crate::remote::settings::Settings;
use crate::remote::sign::reach::is_this_machine;
use crate::remote::ties::Ties;

/// Addresses that metadata services have on the machines of their clouds (AWS EC2, ECS and EKS,
/// Google, Azure).
const METADATA: [&str; 5] =
    ["169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// An address with its path and query.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) origin: Origin,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
}

impl Place {
    /// A token service: over TLS, or on this machine.
    ///
    /// # Errors
    /// `InvalidField`; `named` is where the address was read.
    pub(super) fn token(url: &str, named: &str) -> Result<Self> {
        let place = Self::parse(url, named)?;
        let safe = place.origin.tls || is_this_machine(&place.origin);
        if safe { Ok(place) } else { Err(refused(named, "must begin with https://")) }
    }

    /// A metadata service: as [`Place::token`], or at an address that only such services have.
    ///
    /// # Errors
    /// As [`Place::token`].
    pub(super) fn metadata(url: &str, named: &str) -> Result<Self> {
        let place = Self::parse(url, named)?;
        let address = place.origin.host.parse::<IpAddr>();
        let known = METADATA.iter().filter_map(|known| known.parse::<IpAddr>().ok());
        let is_known = address.is_ok_and(|address| known.into_iter().any(|a| a == address));
        let safe = is_known || place.origin.tls || is_this_machine(&place.origin);
        let why = "is neither https nor on this machine, nor the address of a metadata service";
        if safe { Ok(place) } else { Err(refused(named, why)) }
    }

    fn parse(url: &str, named: &str) -> Result<Self> {
        let parsed = Origin::parse(url).ok().filter(|(_, rest)| {
            // What follows goes into a request's first line as it is.
            !rest.contains('#') && rest.bytes().all(|byte| byte.is_ascii_graphic())
        });
        let Some((origin, rest)) = parsed else {
            return Err(refused(named, "is no address of a service"));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if path.is_empty() { "/" } else { path };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { origin, path: path.to_owned(), query })
    }

    /// Another path of the same service.
    pub(super) fn at(&self, path: &str) -> Self {
        let base = self.path.trim_end_matches('/');
        Self { path: format!("{base}{path}"), ..self.clone() }
    }

    /// A request to it.
    pub(super) fn request(&self, method: &'static str) -> Request<'static> {
        let mut request = Request::new(Verb::Control, method, &self.origin, self.path.clone());
        request.query.clone_from(&self.query);
        request.header("accept", "application/json")
    }
}

fn refused(named: &str, why: &str) -> EngineError {
    EngineError::new(Kind::InvalidField, format!("the token service that {named} names {why}"))
}

/// Pairs as the body of a form.
pub(super) fn form(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::new());
    for (name, value) in pairs {
        let value = Zeroizing::new(encode::component(value.as_bytes()));
        let join = if out.is_empty() { "" } else { "&" };
        out.extend([join, &encode::component(name.as_bytes()), "=", &value]);
    }
    out
}

/// Asks token services for one job.
#[derive(Clone)]
pub(super) struct Asker {
    ties: Ties,
    settings: Settings,
}

impl Asker {
    /// For a job, with the authorities that its location trusts. Certificates are verified also
    /// where those of the store itself are not.
    pub(super) fn new(ties: &Ties, tls_ca: Option<&String>) -> Self {
        let settings = Settings { tls_ca: tls_ca.cloned(), ..Settings::default() };
        Self { ties: ties.clone(), settings }
    }

    /// Asks a token service. `doing` is a fragment such as "failed to refresh the token".
    ///
    /// # Errors
    /// `CredentialsRefused` and those of the transport, without what was sent or answered.
    pub(super) fn ask(&self, request: &Request<'_>, doing: &str) -> Result<Zeroizing<String>> {
        self.signed(request, Arc::new(Anonymous), doing)
    }

    /// As [`Asker::ask`], with a signature.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) fn signed(
        &self,
        request: &Request<'_>,
        signer: Arc<dyn Signer>,
        doing: &str,
    ) -> Result<Zeroizing<String>> {
        let settings = self.settings.clone();
        self.send(request, signer, settings).map_err(|failure| error(failure, doing))
    }

    /// Posts a form.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) fn post(
        &self,
        place: &Place,
        pairs: &[(&str, &str)],
        doing: &str,
    ) -> Result<Zeroizing<String>> {
        let body = form(pairs);
        let request = place.request("POST");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.ask(&request.body(body.as_bytes()), doing)
    }

    /// Asks a metadata service; `None` where nobody answers, or what is asked for is not there.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) fn metadata(
        &self,
        request: &Request<'_>,
        doing: &str,
    ) -> Result<Option<Zeroizing<String>>> {
        let settings = Settings { imds: true, ..self.settings.clone() };
        match self.send(request, Arc::new(Anonymous), settings) {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) if failure.class == Class::Unreachable => Ok(None),
            Err(failure) => Err(error(failure, doing)),
        }
    }

    fn send(
        &self,
        request: &Request<'_>,
        signer: Arc<dyn Signer>,
        settings: Settings,
    ) -> Result<Zeroizing<String>, Failure> {
        let client = Client::with(signer, Arc::new(TokenDialect), self.ties.clone(), settings);
        let (_, body) = client.fetch(request, CREDENTIALS_ANSWER_BYTES_MAX)?;
        match String::from_utf8(body) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(bad) => Ok(Zeroizing::new(String::from_utf8_lossy(bad.as_bytes()).into_owned())),
        }
    }
}

fn error(mut failure: Failure, doing: &str) -> EngineError {
    if failure.class == Class::NotFound {
        // Nothing of a source or destination: the service itself is not at its address.
        failure.class = Class::Refused;
    }
    failure.error(Side::Source, Verb::Control, doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_asked_for_over_tls_or_on_this_machine() {
        for url in ["https://sts.example/a?b=c", "http://127.0.0.1:1/", "http://localhost"] {
            assert!(Place::token(url, "A").is_ok(), "{url}");
        }
        let bad = ["http://sts.example", "http://169.254.169.254", "https://a b", "ftp://a", "a"];
        for url in bad.into_iter().chain(["https://a/b c", "https://a/b#c", "https://u:p@a/"]) {
            let error = Place::token(url, "A").unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidField, "{url}");
            assert!(error.to_string().contains("that A names"));
        }
        for url in ["http://169.254.170.2/x", "http://[fd00:ec2::254]", "https://any.example"] {
            assert!(Place::metadata(url, "A").is_ok(), "{url}");
        }
        for url in ["http://169.254.1.1", "http://10.0.0.1", "http://metadata.example"] {
            assert!(Place::metadata(url, "A").is_err(), "{url}");
        }
    }

    #[test]
    fn addresses_are_taken_apart_and_forms_encoded() {
        let place = Place::token("https://h/a?b=c&d", "A").unwrap();
        assert_eq!((place.path.as_str(), place.query.len()), ("/a", 2));
        assert_eq!(place.at("/e").path, "/a/e");
        assert_eq!(form(&[("a", "b c"), ("d", "é&")]).as_str(), "a=b%20c&d=%C3%A9%26");
    }
}
