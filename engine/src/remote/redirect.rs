//! Where a redirect leads, and what may be sent there.

use crate::limits::REMOTE_HEAD_BYTES_MAX;
use crate::remote::call::{Class, Failure, Request};
use crate::remote::headers::{Headers, is_of_origin};
use crate::remote::origin::Origin;

/// Another place that an answer names, where it may be followed at all: GET and HEAD alone.
///
/// # Errors
/// `Redirect` for a place that is none, or from https to http.
pub(super) fn place(
    request: &Request<'_>,
    status: u16,
    headers: &Headers,
) -> Result<Option<(Origin, String)>, Failure> {
    let follows = matches!(status, 301 | 302 | 303 | 307 | 308);
    if !follows || !matches!(request.method, "GET" | "HEAD") {
        return Ok(None);
    }
    let Some(named) = headers.get("location") else { return Ok(None) };
    let named = named.split('#').next().unwrap_or_default();
    let refuse = |why: &str| Failure {
        status: Some(status),
        ..Failure::of(Class::Redirect, why.to_owned())
    };
    let fits = |byte: u8| byte > b' ' && byte != 0x7f;
    if named.is_empty() || named.len() > REMOTE_HEAD_BYTES_MAX || !named.bytes().all(fits) {
        return Err(refuse("the redirect names no place"));
    }
    let from = &request.origin;
    let absolute = named.split_once("://").is_some_and(|(scheme, _)| {
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    if !absolute && !named.starts_with("//") {
        return Ok(Some((from.clone(), joined(&request.path, named))));
    }
    let scheme = if from.tls { "https:" } else { "http:" };
    let url = if absolute { lower_scheme(named) } else { format!("{scheme}{named}") };
    let (origin, path) =
        Origin::parse(&url).map_err(|_| refuse("the redirect leads to no web address"))?;
    if from.tls && !origin.tls {
        return Err(refuse("the redirect leads from https to http"));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Some((origin, path)))
}

/// Schemes are the same in any case.
fn lower_scheme(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    format!("{}://{rest}", scheme.to_ascii_lowercase())
}

/// A path beside, beneath or instead of another; `.` and `..` are left to the service.
fn joined(path: &str, named: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    if named.starts_with('/') {
        return named.to_owned();
    }
    if named.starts_with('?') {
        return format!("{path}{named}");
    }
    let end = path.rfind('/').map_or(0, |at| at + 1);
    format!("/{}{named}", path.get(..end).unwrap_or_default().trim_start_matches('/'))
}

/// The request for another place; for another origin without what only the first one may see.
pub(super) fn request(request: &Request<'_>, origin: Origin, path: String) -> Request<'static> {
    let mut next = Request::new(request.verb, request.method, &origin, path);
    let same = origin == request.origin;
    for (name, value) in request.headers.iter() {
        if same || !is_of_origin(name) {
            next.headers.add(name, value);
        }
    }
    next.repeat = request.repeat;
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::call::Verb;

    fn lead(from: &str, location: &str) -> Result<Option<String>, Class> {
        let (origin, path) = Origin::parse(from).unwrap();
        let request = Request::new(Verb::Read, "GET", &origin, path.to_owned());
        let mut headers = Headers::default();
        headers.add("location", location);
        let place = place(&request, 302, &headers).map_err(|failure| failure.class)?;
        Ok(place.map(|(origin, path)| format!("{origin}{path}")))
    }

    #[test]
    fn places_are_read_against_where_they_were_named() {
        let from = "https://a.example/x/y?z";
        for (location, leads) in [
            ("/p?q", "https://a.example/p?q"),
            ("p", "https://a.example/x/p"),
            ("?r", "https://a.example/x/y?r"),
            ("//b.example:8443/p", "https://b.example:8443/p"),
            ("HTTPS://B.example", "https://b.example/"),
            ("https://b.example?q#f", "https://b.example/?q"),
            ("/p?u=http://c", "https://a.example/p?u=http://c"),
        ] {
            assert_eq!(lead(from, location), Ok(Some(leads.to_owned())), "{location}");
        }
        for location in ["http://a.example/", "ftp://a.example/", "https://u@b/", "/a b", "#"] {
            assert_eq!(lead(from, location), Err(Class::Redirect), "{location}");
        }
        assert_eq!(lead("http://a/", "https://a/"), Ok(Some("https://a/".to_owned())));
    }
}
