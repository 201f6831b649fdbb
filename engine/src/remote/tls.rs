//! TLS: whom a client trusts, and the bytes of a connection by it.

use std::collections::HashMap;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::limits::{REMOTE_CA_BYTES_MAX, REMOTE_TLS_BYTES};
use crate::platform::operator;
use crate::remote::call::{Class, Failure};
use crate::remote::patience::{Patience, is_wait};
use crate::remote::settings::Settings;
use crate::remote::tls_insecure;

/// What was agreed on for each kind of trust, so that sessions are resumed.
#[derive(Debug, Default)]
pub(super) struct Trusts(Mutex<HashMap<Trust, Arc<ClientConfig>>>);

/// A file of authorities beside the system's, and whether anybody is trusted.
type Trust = (Option<String>, bool);

impl Trusts {
    /// The configuration for these settings, made once.
    ///
    /// # Errors
    /// `Tls` where no authority can be read.
    pub(super) fn of(&self, settings: &Settings) -> Result<Arc<ClientConfig>, Failure> {
        let key = (settings.tls_ca.clone(), settings.tls_insecure);
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(config(settings)?);
        made.insert(key, Arc::clone(&config));
        Ok(config)
    }
}

fn config(settings: &Settings) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::of(Class::Tls, error.to_string()))?;
    let mut config = if settings.tls_insecure {
        let anyone = tls_insecure::anyone(&provider);
        builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(settings)?).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(settings: &Settings) -> Result<RootCertStore, Failure> {
    let refuse = |message: &str| Failure::of(Class::Tls, message.to_owned());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &settings.tls_ca {
        let path = operator::path(path.as_bytes());
        let pem = operator::read_small(path, REMOTE_CA_BYTES_MAX)
            .map_err(|error| refuse(&format!("tls_ca cannot be read: {error}")))?;
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| refuse("tls_ca is no PEM file"))?;
            roots.add(certificate).map_err(|_| refuse("tls_ca holds no authority"))?;
            count += 1;
        }
        if count == 0 {
            return Err(refuse("tls_ca holds no certificate"));
        }
    }
    if roots.is_empty() {
        return Err(refuse("no trusted authorities were found on this machine"));
    }
    Ok(roots)
}

/// A connection by TLS.
#[derive(Debug)]
pub(super) struct TlsStream {
    socket: TcpStream,
    session: ClientConnection,
    /// Records from the socket, read in large pieces: from `used` to `filled`.
    records: Vec<u8>,
    used: usize,
    filled: usize,
}

impl TlsStream {
    /// Agrees on TLS with `host`, whose certificate must bear its name.
    ///
    /// # Errors
    /// `Tls` where its certificate is not trusted, `Unreachable` where it ends the connection,
    /// `Timeout`, `Cancelled`.
    pub(super) fn begin(
        socket: TcpStream,
        host: &str,
        config: Arc<ClientConfig>,
        patience: &mut Patience,
    ) -> Result<Self, Failure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::of(Class::Tls, "the host's name is none for a certificate"))?;
        let session = ClientConnection::new(config, name)
            .map_err(|error| Failure::of(Class::Tls, error.to_string()))?;
        let records = vec![0; REMOTE_TLS_BYTES];
        let mut stream = Self { socket, session, records, used: 0, filled: 0 };
        let limit = patience.waits.connect;
        let mut refused = None;
        let agreed = patience.call(limit, "TLS was not agreed on", || {
            stream.agree().inspect_err(|error| {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                refused = inner.map(ToString::to_string);
            })
        });
        match (agreed, refused) {
            (Ok(_), _) => Ok(stream),
            (Err(failure), Some(why)) => {
                Err(Failure { message: why, class: Class::Tls, ..failure })
            }
            (Err(failure), None) if failure.class == Class::Transient => {
                Err(Failure { class: Class::Unreachable, ..failure })
            }
            (Err(failure), None) => Err(failure),
        }
    }

    /// One step of agreeing; `WouldBlock` while more are needed.
    fn agree(&mut self) -> io::Result<usize> {
        self.flush()?;
        if !self.session.is_handshaking() {
            return Ok(1);
        }
        self.take_records()?;
        // What is wrong with the other side is told to it.
        let told = self.flush();
        if self.session.is_handshaking() { Err(io::ErrorKind::WouldBlock.into()) } else { told }
    }

    /// Takes some records in, from the socket where none are left.
    fn take_records(&mut self) -> io::Result<()> {
        if self.used == self.filled {
            (self.used, self.filled) = (0, self.socket.read(&mut self.records)?);
            if self.filled == 0 {
                // Told to the session, which knows whether this end was announced.
                self.session.read_tls(&mut io::empty())?;
                if self.session.is_handshaking() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        let mut rest = self.records.get(self.used..self.filled).unwrap_or_default();
        if !rest.is_empty() {
            self.used += self.session.read_tls(&mut rest)?;
        }
        if let Err(error) = self.session.process_new_packets() {
            drop(self.flush());
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    /// Reads what is there; 0 at an announced end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let room = buffer.get_mut(done..).unwrap_or_default();
            if room.is_empty() {
                return Ok(done);
            }
            match self.session.reader().read(room) {
                Ok(0) => return Ok(done),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What was had is given before anybody waits for more.
                    if done > 0 && self.used == self.filled {
                        return Ok(done);
                    }
                    self.take_records()?;
                }
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the beginning of two pieces.
    pub(super) fn write(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let pieces = [IoSlice::new(first), IoSlice::new(second)];
        let count = self.session.writer().write_vectored(&pieces)?;
        match self.flush() {
            Err(error) if !is_wait(&error) => Err(error),
            _ => Ok(count),
        }
    }

    /// Sends the records that are made.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(0)
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Tells the other side that this one ends; nobody waits for it.
    pub(super) fn end(&mut self) {
        self.session.send_close_notify();
        drop(self.session.write_tls(&mut self.socket));
    }
}
