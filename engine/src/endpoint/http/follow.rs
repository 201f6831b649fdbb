//! Follows redirections: a few, never from TLS to none. What proves who asks stays with the first
//! server, since its signer gives it to no other.

use crate::remote::call::{Class, Failure, Request, Verb};
use crate::remote::client::Answer;
use crate::remote::origin::Origin;

use super::site::{Site, key};

/// Most redirections in a row.
const HOPS_MAX: u32 = 10;

impl Site {
    /// Asks for a key, wherever that leads.
    pub(super) fn ask(
        &self,
        verb: Verb,
        method: &'static str,
        key: &str,
        fields: &[(&str, String)],
    ) -> Result<Answer, Failure> {
        let (mut origin, mut path) = (self.origin.clone(), format!("/{key}"));
        for _ in 0..=HOPS_MAX {
            // What is stored is wanted, not what is good to be shown.
            let request = Request::new(verb, method, &origin, path.clone())
                .header("accept", "*/*")
                .header("accept-encoding", "identity");
            let add = |request: Request<'static>, (name, value): &(&str, String)| {
                request.header(name, value.as_str())
            };
            let request = fields.iter().fold(request, add);
            match self.client.send(&request) {
                Err(failure) if failure.class == Class::Redirect => {
                    (origin, path) = next(&origin, &path, failure)?;
                }
                answer => return answer,
            }
        }
        let message = format!("more than {HOPS_MAX} redirections");
        Err(refused(Failure { message, ..nowhere() }, None))
    }
}

/// Where a redirection leads (RFC 9110, §10.2.2; RFC 3986, §5.2).
fn next(origin: &Origin, path: &str, failure: Failure) -> Result<(Origin, String), Failure> {
    let place = std::mem::take(&mut { failure.code.clone() });
    let wrong = |why: &str| refused(failure.clone(), Some(why));
    let has_scheme = place.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    let (to, rest) = if place.is_empty() {
        return Err(wrong("the redirection leads nowhere"));
    } else if let Some(rest) = place.strip_prefix("//") {
        let scheme = if origin.tls { "https" } else { "http" };
        absolute(&format!("{scheme}://{rest}")).ok_or_else(|| wrong("it leads to no host"))?
    } else if has_scheme {
        absolute(&place).ok_or_else(|| wrong("the redirection leads to another protocol"))?
    } else {
        (origin.clone(), beside(path, &place))
    };
    if origin.tls && !to.tls {
        return Err(wrong("the redirection leads away from https"));
    }
    Ok((to, format!("/{}", key(rest.as_bytes()))))
}

fn absolute(url: &str) -> Option<(Origin, String)> {
    let (scheme, rest) = url.split_once(':')?;
    let (origin, rest) = Origin::parse(&format!("{}:{rest}", scheme.to_ascii_lowercase()))
        .map(|(origin, rest)| (origin, rest.to_owned()))
        .ok()?;
    Some((origin, rest))
}

/// A reference without host, from a path.
fn beside(path: &str, place: &str) -> String {
    let plain = path.split('?').next().unwrap_or_default();
    match place.chars().next() {
        Some('/') => place.to_owned(),
        Some('?') => format!("{plain}{place}"),
        _ => {
            let folder = plain.rfind('/').and_then(|at| plain.get(..=at)).unwrap_or("/");
            let (to, query) = place.split_at(place.find(['?', '#']).unwrap_or(place.len()));
            format!("{}{query}", without_dots(&format!("{folder}{to}")))
        }
    }
}

/// A path without `.` and `..` (RFC 3986, §5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let last = path.rsplit('/').next().unwrap_or_default();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    let end = if matches!(last, "." | "..") { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// The word of a redirection is an address, which may hold a signature: it is not repeated.
fn refused(failure: Failure, why: Option<&str>) -> Failure {
    let message = why.map_or(failure.message, str::to_owned);
    Failure { code: String::new(), message, ..failure }
}

fn nowhere() -> Failure {
    Failure {
        class: Class::Redirect,
        status: None,
        code: String::new(),
        message: String::new(),
        errno: None,
        unsure: false,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(from: &str, place: &str) -> Result<String, String> {
        let (origin, path) = Origin::parse(from).unwrap();
        let failure = Failure { code: place.to_owned(), status: Some(302), ..nowhere() };
        match next(&origin, path, failure) {
            Ok((origin, path)) => Ok(format!("{origin}{path}")),
            Err(failure) => Err(format!("{}{}", failure.code, failure.message)),
        }
    }

    #[test]
    fn places_are_resolved_as_references() {
        let from = "https://a.org/b/c/d?q=1";
        for (place, there) in [
            ("https://x.org/y?z=%2F#f", "https://x.org/y?z=%2F"),
            ("HTTPS://x.org", "https://x.org/"),
            ("//x.org:8443/y", "https://x.org:8443/y"),
            ("/y", "https://a.org/y"),
            ("y?t=a:b", "https://a.org/b/c/y?t=a:b"),
            ("../y", "https://a.org/b/y"),
            ("../../../y", "https://a.org/y"),
            ("./", "https://a.org/b/c/"),
            ("?z", "https://a.org/b/c/d?z"),
            ("/a b", "https://a.org/a%20b"),
        ] {
            assert_eq!(to(from, place).unwrap(), there, "{place}");
        }
    }

    #[test]
    fn some_places_are_not_gone_to_and_none_is_repeated() {
        for place in ["http://a.org/?sig=1", "ftp://a.org/?sig=1", "file:///?sig=1", "", "//?sig=1"] {
            let refused = to("https://a.org/b", place).unwrap_err();
            assert!(!refused.is_empty() && !refused.contains("sig"), "{refused}");
        }
        assert!(to("http://a.org/b", "https://a.org/b").is_ok());
    }
}
