//! A web server: where it is asked.

use std::sync::Arc;

use crate::endpoint::store::verbs::Store;
use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::remote::call::{Failure, Request, Side, Verb};
use crate::remote::client::{Answer, Client};
use crate::remote::encode;
use crate::remote::origin::Origin;
use crate::remote::settings::Settings;
use crate::remote::ties::Ties;

use super::errors::Reader;
use super::login;

/// Names of the fields of a location that are known here.
pub const OPTIONS: &[&str] = &["tls_ca", "tls_insecure"];

/// A web server, opened for one job.
pub(super) struct Site {
    client: Client,
    origin: Origin,
    pub(super) identity: String,
    pub(super) is_tls: bool,
}

/// Opens the server of a location; with it comes the key: path and query, without the first slash.
///
/// # Errors
/// `Unsupported` for a destination, `InvalidField` for a URL that is none, and what is wrong with
/// its `auth`.
pub fn open(location: &Location, side: Side, ties: &Ties) -> Result<(Arc<dyn Store>, String)> {
    if side == Side::Destination {
        return Err(read_only());
    }
    let invalid = |why: &str| EngineError::new(Kind::InvalidField, why.to_owned());
    let end = location.path.iter().position(|byte| b"/?#".contains(byte));
    let (host, rest) = location.path.split_at(end.unwrap_or(location.path.len()));
    let host = std::str::from_utf8(host).map_err(|_| invalid("the URL's host is no name"))?;
    let (origin, _) = Origin::parse(&format!("{}://{host}", location.scheme))?;
    let options = &location.store;
    let settings = Settings {
        tls_ca: options.tls_ca.clone(),
        tls_insecure: options.tls_insecure,
        waits: ties.waits,
        tries: ties.tries,
        ..Settings::default()
    };
    let signer = login::signer(location, &origin, ties)?;
    let site = Site {
        client: Client::with(signer, Arc::new(Reader), ties.clone(), settings),
        identity: origin.to_string(),
        is_tls: origin.tls,
        origin,
    };
    Ok((Arc::new(site), key(rest)))
}

impl Site {
    /// Asks for a key.
    pub(super) fn ask(
        &self,
        verb: Verb,
        method: &'static str,
        key: &str,
        fields: &[(&str, String)],
    ) -> Result<Answer, Failure> {
        // What is stored is wanted, not what is good to be shown.
        let request = Request::new(verb, method, &self.origin, format!("/{key}"))
            .header("accept", "*/*")
            .header("accept-encoding", "identity");
        let add = |request: Request<'static>, (name, value): &(&str, String)| {
            request.header(name, value.as_str())
        };
        self.client.send(&fields.iter().fold(request, add))
    }
}

/// Path and query as they are sent: without fragment, and with what no request line can hold
/// percent-encoded. What is encoded already stays so.
fn key(rest: &[u8]) -> String {
    let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    let keeps = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte);
    let pieces = rest.chunk_by(|a, b| keeps(a) == keeps(b));
    let encoded = pieces.map(|piece| match std::str::from_utf8(piece) {
        Ok(text) if piece.first().is_some_and(keeps) => text.to_owned(),
        _ => encode::component(piece),
    });
    encoded.collect()
}

/// The refusal of every verb that writes.
pub(super) fn read_only() -> EngineError {
    let message = "web servers are read, not written";
    EngineError::new(Kind::Unsupported, message).hint("http and https are sources only")
}

/// The refusal of listings.
pub(super) fn unlisted() -> EngineError {
    let message = "a web server has no listing of its files";
    EngineError::new(Kind::Unsupported, message).hint("name one file by its own URL")
}

/// A failure as an error. A server is only ever a source.
pub(super) fn failed(failure: &Failure, verb: Verb, doing: &str) -> EngineError {
    failure.error(Side::Source, verb, doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_sent_as_they_were_given() {
        for (url, origin, key) in [
            (
                "https://Example.org/a%2Fb?x=1&y=%20+#part",
                "https://example.org",
                "a%2Fb?x=1&y=%20+",
            ),
            ("http://h:8080", "http://h:8080", ""),
            ("http://h?q", "http://h", "?q"),
            ("http://h/a b/\u{e9}", "http://h", "a%20b/%C3%A9"),
            ("http://h//a/", "http://h", "/a/"),
            ("http://h/a?sig=a/b:c@d", "http://h", "a?sig=a/b:c@d"),
        ] {
            let location = Location::parse(url.as_bytes(), Vec::new()).unwrap();
            let (store, found) = open(&location, Side::Source, &Ties::default()).unwrap();
            assert_eq!((store.identity(), found.as_str()), (origin, key), "{url}");
        }
    }

    #[test]
    fn nothing_is_written_or_listed() {
        let location = Location::parse(b"http://h/a", Vec::new()).unwrap();
        let written = open(&location, Side::Destination, &Ties::default());
        assert_eq!(written.err().map(|error| error.kind()), Some(Kind::Unsupported));
        let bad = Location::parse(b"http://h:x/a", Vec::new()).unwrap();
        let opened = open(&bad, Side::Source, &Ties::default());
        assert_eq!(opened.err().map(|error| error.kind()), Some(Kind::InvalidField));
    }
}
