//! How far something may be sent that anybody who sees it could use.

use std::net::IpAddr;

use crate::error::{EngineError, Kind, Result};
use crate::remote::origin::Origin;

/// Services that a token or a signed query may be sent to. None gets it in the clear but those of
/// this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Any: it was given for the very location that names the service.
    Any,
    /// Hosts that end so, and those of this machine: it is the machine's own, and a location must
    /// not have it sent to just anybody.
    Ending(&'static [&'static str]),
}

impl Reach {
    /// Whether `what` may go to a service.
    ///
    /// # Errors
    /// `InvalidField` of the endpoint.
    pub fn check(self, what: &str, origin: &Origin) -> Result<()> {
        if is_this_machine(origin) {
            return Ok(());
        }
        if !origin.tls {
            return Err(refused(format!("{what} is not sent to {origin}, which is not by https"))
                .hint("give an endpoint that begins with https://"));
        }
        let known = match self {
            Self::Any => true,
            Self::Ending(ends) => ends.iter().any(|end| origin.host.ends_with(end)),
        };
        if known {
            return Ok(());
        }
        Err(refused(format!("{what} of this machine is not sent to {origin}"))
            .hint("name credentials for this endpoint in auth"))
    }
}

fn refused(why: String) -> EngineError {
    EngineError::new(Kind::InvalidField, why).field("endpoint")
}

/// Whether a service listens on the loopback interface.
#[must_use]
pub fn is_this_machine(origin: &Origin) -> bool {
    let host: &str = &origin.host;
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_their_own_services_and_never_in_the_clear() {
        let known = Reach::Ending(&[".example.org"]);
        let check = |reach: Reach, url: &str| {
            reach.check("the token", &Origin::parse(url).unwrap().0).map_err(|error| error.kind())
        };
        for url in
            ["http://127.0.0.1:1", "http://[::1]", "http://localhost:4", "https://a.example.org"]
        {
            assert_eq!(check(known, url), Ok(()), "{url}");
        }
        let bad = ["http://a.example.org", "https://example.org.evil", "https://notexample.org"];
        for url in bad {
            assert_eq!(check(known, url), Err(Kind::InvalidField), "{url}");
        }
        assert_eq!(check(Reach::Any, "https://elsewhere"), Ok(()));
        assert_eq!(check(Reach::Any, "http://127.0.0.1.evil"), Err(Kind::InvalidField));
    }
}
