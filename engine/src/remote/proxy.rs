//! Proxies of HTTP as the environment names them: `http_proxy`, `https_proxy`, `all_proxy` and
//! `no_proxy`, in lower case or upper; `HTTP_PROXY` is left alone, since a web server's `Proxy:`
//! field becomes a variable of that name for the programs it starts.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::remote::call::{Class, Failure};
use crate::remote::connect;
use crate::remote::encode;
use crate::remote::origin::Origin;

/// A proxy. Its `Debug` shows no password.
#[derive(Clone)]
pub struct Proxy {
    pub(super) origin: Origin,
    /// The value of `proxy-authorization`.
    login: Option<Arc<str>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}, login: {})", self.origin, self.login.is_some())
    }
}

impl Proxy {
    /// Reads `http://user:password@host:port`, of which all but the host may be absent. `None` for
    /// what is none, or a proxy of another kind.
    fn parse(text: &str) -> Option<Self> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return None,
            None => text,
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (origin, _) = Origin::parse(&format!("http://{place}")).ok()?;
        let login = login.map(|login| {
            let login = match login.contains(':') {
                true => encode::decoded(login),
                false => [encode::decoded(login), b":".to_vec()].concat(),
            };
            format!("Basic {}", STANDARD.encode(login)).into()
        });
        Some(Self { origin, login })
    }

    fn login_line(&self) -> String {
        let line = |login: &Arc<str>| format!("proxy-authorization: {login}\r\n");
        self.login.as_ref().map(line).unwrap_or_default()
    }

    /// The head of a request as the proxy takes it: with the whole URL, and who asks it.
    pub(super) fn through(&self, origin: &Origin, head: &[u8]) -> Vec<u8> {
        let path = head.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
        let line = head.windows(2).position(|two| two == b"\r\n").map_or(0, |at| at + 2);
        let (method, rest) = head.split_at(path.min(line));
        let (target, fields) = rest.split_at(line - path.min(line));
        let (place, login) = (origin.to_string(), self.login_line());
        [method, place.as_bytes(), target, login.as_bytes(), fields].concat()
    }

    /// The request for a way through to `origin`.
    pub(super) fn connect(&self, origin: &Origin) -> Vec<u8> {
        let host = match origin.host.contains(':') {
            true => format!("[{}]", origin.host),
            false => origin.host.to_string(),
        };
        let place = format!("{host}:{}", origin.port);
        let login = self.login_line();
        format!("CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n{login}\r\n").into_bytes()
    }

    /// What an answer to that request means where it is no success.
    pub(super) fn refused(&self, status: u16) -> Failure {
        let class = match status {
            407 => Class::Refused,
            401 | 403 => Class::Forbidden,
            _ => Class::Unreachable,
        };
        let message = format!("the proxy {} answers with status {status}", self.origin);
        Failure { status: Some(status), ..Failure::of(class, message) }
    }
}

/// The proxies of a process.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    plain: Named,
    tls: Named,
    direct: Vec<String>,
}

/// What a variable says.
#[derive(Clone, Debug, Default)]
enum Named {
    #[default]
    Nothing,
    Proxy(Proxy),
    /// Its value cannot be used.
    Unknown(&'static str),
}

impl Proxies {
    /// Those that the variables name which `variable` knows.
    #[must_use]
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let named = |names: &[&'static str]| {
            let set = |name: &&'static str| variable(name).filter(|text| !text.trim().is_empty());
            let found = names.iter().find_map(|name| Some((*name, set(name)?)));
            found.map_or(Named::Nothing, |(name, text)| match Proxy::parse(text.trim()) {
                Some(proxy) => Named::Proxy(proxy),
                None => Named::Unknown(name),
            })
        };
        let direct = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
        let direct = direct.split([',', ' ']).map(|item| item.trim().to_ascii_lowercase());
        Self {
            plain: named(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            tls: named(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            direct: direct.filter(|item| !item.is_empty()).collect(),
        }
    }

    /// Those of the environment.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// The proxy by which a service is asked; `None` where it is asked itself: this machine, its
    /// metadata service, and what `no_proxy` names.
    ///
    /// # Errors
    /// `Invalid` where the variable names what is no proxy of HTTP.
    pub(super) fn for_origin(&self, origin: &Origin) -> Result<Option<&Proxy>, Failure> {
        let named = if origin.tls { &self.tls } else { &self.plain };
        match named {
            Named::Nothing => Ok(None),
            _ if is_near(&origin.host) || self.is_direct(origin) => Ok(None),
            Named::Proxy(proxy) => Ok(Some(proxy)),
            Named::Unknown(name) => {
                let message =
                    format!("the variable {name} names no proxy such as http://host:port");
                Err(Failure::of(Class::Invalid, message))
            }
        }
    }

    fn is_direct(&self, origin: &Origin) -> bool {
        self.direct.iter().any(|item| covers(item, origin))
    }
}

/// Names of metadata services, which a proxy would ask for its own machine.
const METADATA: [&str; 3] = ["metadata.google.internal", "metadata.goog", "metadata"];

/// Whether a host is this machine, or answers for it alone.
fn is_near(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified() || connect::is_metadata(address)
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost") || METADATA.contains(&host),
    }
}

/// Whether an item of `no_proxy` means a service: all, a name with all beneath it, an address, a
/// range of addresses, each with or without a port.
fn covers(item: &str, origin: &Origin) -> bool {
    if item == "*" {
        return true;
    }
    let (host, port) = match item.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse::<u16>().ok())
        }
        _ => (item, None),
    };
    if port.is_some_and(|port| port != origin.port) {
        return false;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let (Some((range, bits)), Ok(address)) = (host.split_once('/'), origin.host.parse()) {
        return bits.parse().is_ok_and(|bits| is_within(address, range, bits));
    }
    let name = host.trim_start_matches("*.").trim_start_matches('.');
    let beneath = origin.host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    !name.is_empty() && (*origin.host == *name || beneath)
}

fn is_within(address: IpAddr, range: &str, bits: u32) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let Ok(range) = range.parse::<IpAddr>() else { return false };
    let ((one, of), (other, most)) = (number(address), number(range));
    let kept = if bits == 0 { 0 } else { u128::MAX << (128 - bits.min(128)) };
    of == most && bits <= most && one & kept == other & kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &[(&str, &str)]) -> Proxies {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name);
        Proxies::of(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn origin(url: &str) -> Origin {
        Origin::parse(url).unwrap().0
    }

    #[test]
    fn proxies_are_found_by_scheme_and_never_for_this_machine() {
        let all = proxies(&[("http_proxy", "p:1"), ("HTTPS_PROXY", "http://q:2/")]);
        let by = |url: &str| {
            let found = all.for_origin(&origin(url)).unwrap();
            found.map(|proxy| proxy.origin.to_string())
        };
        assert_eq!(by("http://a.example").as_deref(), Some("http://p:1"));
        assert_eq!(by("https://a.example").as_deref(), Some("http://q:2"));
        for near in [
            "http://localhost",
            "https://127.0.0.9",
            "http://[::1]:9",
            "http://169.254.169.254",
            "http://[::ffff:169.254.169.254]",
            "http://[fd00:ec2::254]",
            "http://[fd00:ec2::23]",
            "https://[fd20:ce::254]",
            "http://metadata.google.internal",
            "https://Metadata.Google.Internal.",
        ] {
            assert_eq!(by(near), None, "{near}");
        }
        let spoiled = proxies(&[("HTTP_PROXY", "p:1")]);
        assert!(spoiled.for_origin(&origin("http://a.example")).unwrap().is_none());
        let socks = proxies(&[("all_proxy", "socks5://user:secret@p:1")]);
        let failure = socks.for_origin(&origin("http://a.example")).unwrap_err();
        assert!(failure.message.contains("all_proxy") && !failure.message.contains("secret"));
    }

    #[test]
    fn what_no_proxy_names_is_asked_itself() {
        let direct = "example.org,.inner.net, 10.0.0.0/8 h:81,[fd00::1]:443";
        let all = proxies(&[("all_proxy", "p"), ("no_proxy", direct)]);
        let is_direct = |url: &str| all.for_origin(&origin(url)).unwrap().is_none();
        for url in [
            "http://example.org",
            "https://a.example.org",
            "http://inner.net",
            "http://x.inner.net",
            "http://10.9.8.7:99",
            "http://h:81",
            "https://[fd00::1]",
        ] {
            assert!(is_direct(url), "{url}");
        }
        for url in ["http://anexample.org", "http://11.0.0.1", "http://h:82", "http://[fd00::1]"] {
            assert!(!is_direct(url), "{url}");
        }
        let none = proxies(&[("all_proxy", "p"), ("no_proxy", "*")]);
        assert!(none.for_origin(&origin("http://a")).unwrap().is_none());
    }

    #[test]
    fn heads_name_the_whole_url_and_who_asks() {
        let proxy = Proxy::parse("http://us%40er:p%3Aw@p:1").unwrap();
        assert!(!format!("{proxy:?}").contains("dXN"));
        let there = origin("http://a:8");
        let head = proxy.through(&there, b"GET /x?y HTTP/1.1\r\nhost: a:8\r\n\r\n");
        let login = "proxy-authorization: Basic dXNAZXI6cDp3\r\n";
        let wanted = format!("GET http://a:8/x?y HTTP/1.1\r\n{login}host: a:8\r\n\r\n");
        assert_eq!(String::from_utf8(head).unwrap(), wanted);
        let asked = proxy.connect(&origin("https://[fd00::2]"));
        assert!(asked.starts_with(b"CONNECT [fd00::2]:443 HTTP/1.1\r\nhost: [fd00::2]:443\r\n"));
    }
}
