//! A connection for protocols other than HTTP: bytes both ways, TLS begun when both sides said so.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;

use crate::limits::{SOCKET_KEEPALIVE_S, SOCKET_WRITE_MS};
use crate::remote::call::{Class, Failure};
use crate::remote::origin::Origin;
use crate::remote::patience::Patience;
use crate::remote::settings::Settings;
use crate::remote::stream::Stream;
use crate::remote::tls::TlsStream;
use crate::remote::transport::Transport;
use crate::resource::cancel::Switch;

/// A connected socket. Its calls end with the job that it is made for.
#[derive(Debug)]
pub struct Socket {
    /// Absent only while TLS is agreed on, and after that failed.
    stream: Option<Stream>,
    patience: Patience,
    host: Arc<str>,
    settings: Settings,
}

impl Socket {
    /// Connects, without TLS.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`.
    pub fn connect(
        host: &str,
        port: u16,
        settings: &Settings,
        switch: &Switch,
    ) -> Result<Self, Failure> {
        let origin = Origin { tls: false, host: host.into(), port };
        let socket = Transport::shared().connect_plain(&origin, settings, switch)?;
        let alive = || -> rustix::io::Result<()> {
            sockopt::set_socket_keepalive(&socket, true)?;
            sockopt::set_tcp_keepidle(&socket, Duration::from_secs(SOCKET_KEEPALIVE_S.0))?;
            sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(SOCKET_KEEPALIVE_S.1))?;
            sockopt::set_tcp_keepcnt(&socket, SOCKET_KEEPALIVE_S.2)
        };
        alive().map_err(|error| Failure::io(&error.into(), "failed to set up a connection"))?;
        let patience = Patience::new(switch, settings.waits, false);
        let (host, settings) = (Arc::clone(&origin.host), settings.clone());
        Ok(Self { stream: Some(Stream::Plain(socket)), patience, host, settings })
    }

    /// Goes on by TLS, with a certificate that bears the host's name.
    ///
    /// # Errors
    /// `Tls`, `Unreachable`, `Timeout`, `Cancelled`. The connection is of no use then.
    pub fn secure(&mut self) -> Result<(), Failure> {
        let Some(Stream::Plain(socket)) = self.stream.as_ref() else {
            return Err(Failure::of(Class::Tls, "TLS was begun already"));
        };
        let socket =
            socket.try_clone().map_err(|error| Failure::io(&error, "failed to begin TLS"))?;
        let mut config = (*Transport::shared().trust(&self.settings)?).clone();
        config.alpn_protocols.clear();
        self.stream = None;
        let stream = TlsStream::begin(socket, &self.host, Arc::new(config), &mut self.patience)?;
        self.stream = Some(Stream::Tls(Box::new(stream)));
        Ok(())
    }

    /// Whether TLS was begun.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self.stream, Some(Stream::Tls(_)))
    }

    /// Reads what is there into `buffer`, waiting for it for at most `limit`; 0 at the peer's end.
    ///
    /// # Errors
    /// `Timeout`, `Cancelled`, `Transient` where the connection broke.
    pub fn read(&mut self, buffer: &mut [u8], limit: Duration) -> Result<usize, Failure> {
        let Self { stream: Some(stream), patience, .. } = self else { return Err(gone()) };
        patience.call(limit, "failed to read from the server", || stream.read(buffer))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As [`Socket::read`].
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        const DOING: &str = "failed to write to the server";
        let limit = Duration::from_millis(SOCKET_WRITE_MS);
        let Self { stream: Some(stream), patience, .. } = self else { return Err(gone()) };
        while !bytes.is_empty() {
            let count = patience.call(limit, DOING, || match stream {
                Stream::Plain(socket) => socket.write(bytes),
                Stream::Tls(stream) => stream.write(bytes, &[]),
            })?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        while matches!(stream, Stream::Tls(_)) {
            if patience.call(limit, DOING, || stream.flush())? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Whether bytes, or the end, wait to be read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_readable)
    }
}

fn gone() -> Failure {
    Failure::of(Class::Unreachable, "the connection is gone")
}
