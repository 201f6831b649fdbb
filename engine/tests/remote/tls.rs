//! TLS: who is trusted, and what passes through it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use migration_engine::remote::call::Class;
use migration_engine::remote::client::Client;
use migration_engine::remote::dialect::Anonymous;
use migration_engine::remote::origin::Origin;
use migration_engine::remote::settings::Settings;
use migration_engine::remote::ties::Ties;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::common::{get, patient, put, with};
use crate::server::Server;

type Peer = StreamOwned<ServerConnection, TcpStream>;

/// A server of TLS for `localhost`, and the file of its authority.
pub struct Secure {
    pub port: u16,
    ca: tempfile::NamedTempFile,
}

impl Secure {
    /// Each connection is handled so, once TLS was agreed on.
    fn start(handle: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params =
            CertificateParams::new(vec!["localhost".to_owned(), "store.test".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut ca = tempfile::NamedTempFile::new().unwrap();
        ca.write_all(issuer.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let (config, handle) = (Arc::new(config), Arc::new(handle));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut peer = StreamOwned::new(session, socket.unwrap());
                let handle = Arc::clone(&handle);
                std::thread::spawn(move || handle(&mut peer));
            }
        });
        Self { port, ca }
    }

    /// One that answers each request by its body, for ever.
    pub fn echo() -> Self {
        Self::start(|peer| {
            while let Some(body) = request(peer) {
                answer(peer, &body)
            }
        })
    }

    pub fn origin(&self, host: &str) -> Origin {
        Origin::parse(&format!("https://{host}:{}", self.port)).unwrap().0
    }

    pub fn client(&self, settings: Settings) -> Client {
        let tls_ca = Some(self.ca.path().to_str().unwrap().to_owned());
        with(Anonymous, &Ties::default(), Settings { tls_ca, ..settings })
    }
}

/// The body of the next request.
fn request(peer: &mut Peer) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if peer.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    peer.read_exact(&mut body).ok()?;
    Some(body)
}

fn answer(peer: &mut Peer, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    drop(peer.write_all(head.as_bytes()).and_then(|()| peer.write_all(body)));
    drop(peer.flush());
}

#[test]
fn bodies_pass_both_ways_under_an_authority_of_ones_own() {
    let server = Secure::echo();
    let client = server.client(patient());
    let origin = server.origin("localhost");
    for length in [0, 1, 16_384, 100_000, 5_000_000_usize] {
        let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let (_, echoed) = client.fetch(&put(&origin, "/", &body), length).unwrap();
        assert!(echoed == body, "{length}");
    }
}

#[test]
fn unknown_authorities_and_other_names_are_refused_and_nothing_is_sent() {
    let (server, other) = (Secure::echo(), Secure::echo());
    let nobody = with(Anonymous, &Ties::default(), patient());
    for (client, host) in [
        (&nobody, "localhost"),
        (&other.client(patient()), "localhost"),
        (&server.client(patient()), "127.0.0.1"),
    ] {
        let failure = client.send(&get(&server.origin(host), "/")).err().unwrap();
        assert_eq!((failure.class, failure.unsure), (Class::Tls, false), "{}", failure.message);
    }
    let insecure = Settings { tls_insecure: true, ..patient() };
    let client = with(Anonymous, &Ties::default(), insecure);
    client.send(&get(&server.origin("127.0.0.1"), "/")).unwrap();
}

#[test]
fn files_that_hold_no_authority_are_named() {
    let (server, file) = (Secure::echo(), tempfile::NamedTempFile::new().unwrap());
    for path in ["/nowhere", file.path().to_str().unwrap()] {
        let settings = Settings { tls_ca: Some(path.to_owned()), ..patient() };
        let client = with(Anonymous, &Ties::default(), settings);
        let failure = client.send(&get(&server.origin("localhost"), "/")).err().unwrap();
        assert_eq!(failure.class, Class::Tls);
        assert!(failure.message.contains("tls_ca"), "{}", failure.message);
    }
}

#[test]
fn a_service_without_tls_is_told_as_such() {
    let plain = Server::start(|peer| {
        peer.say("HTTP/1.1 400 No\r\n\r\n");
    });
    let origin = Origin::parse(&format!("https://{}", plain.address)).unwrap().0;
    let failure = with(Anonymous, &Ties::default(), patient()).send(&get(&origin, "/"));
    assert_eq!(failure.err().unwrap().class, Class::Tls);
}

/// Without its announced end, a body that goes on until the end may be cut off anywhere.
#[test]
fn an_end_that_is_not_announced_is_no_end() {
    let server = Secure::start(|peer| {
        if request(peer).is_some() {
            drop(peer.write_all(b"HTTP/1.1 200 OK\r\n\r\nsome").and_then(|()| peer.flush()));
        }
        // The socket is closed without close_notify.
    });
    let failure = server.client(patient()).fetch(&get(&server.origin("localhost"), "/"), 100);
    assert_eq!(failure.err().unwrap().class, Class::Transient);
    let server = Secure::start(|peer| {
        if request(peer).is_some() {
            drop(peer.write_all(b"HTTP/1.1 200 OK\r\n\r\nsome"));
            peer.conn.send_close_notify();
            drop(peer.flush());
        }
    });
    let (_, body) =
        server.client(patient()).fetch(&get(&server.origin("localhost"), "/"), 100).unwrap();
    assert_eq!(body, b"some");
}

#[test]
fn nothing_goes_from_https_to_http() {
    let plain = Server::saying("HTTP/1.1 200 OK\r\n\r\n");
    let to =
        format!("HTTP/1.1 302 X\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", plain.origin());
    let server = Secure::start(move |peer| {
        while request(peer).is_some() {
            drop(peer.write_all(to.as_bytes()).and_then(|()| peer.flush()));
        }
    });
    let failure = server.client(patient()).send(&get(&server.origin("localhost"), "/"));
    assert_eq!(failure.err().unwrap().class, Class::Redirect);
    assert_eq!(plain.connections(), 0);
}

#[test]
fn sessions_are_resumed() {
    let full = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kinds = Arc::clone(&full);
    let server = Secure::start(move |peer| {
        // One answer for each connection.
        if let Some(body) = request(peer) {
            kinds.lock().unwrap().push(peer.conn.handshake_kind().unwrap());
            answer(peer, &body);
            peer.conn.send_close_notify();
            drop(peer.flush());
        }
    });
    let client = server.client(patient());
    for _ in 0..2 {
        client
            .send(&put(&server.origin("localhost"), "/", b"x"))
            .unwrap()
            .read(&mut [0; 9])
            .unwrap();
    }
    let full = full.lock().unwrap();
    assert_eq!(full.last(), Some(&rustls::HandshakeKind::Resumed), "{full:?}");
}
