//! The bytes of a connection, plain or by TLS.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::remote::patience::is_wait;
use crate::remote::tls::TlsStream;

/// A connected socket whose calls block for a step at most.
#[derive(Debug)]
pub(super) enum Stream {
    /// Bytes as they are.
    Plain(TcpStream),
    /// Bytes in records.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Reads what is there into `buffer`; 0 at the peer's end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Writes the beginning of two pieces, in one call.
    pub(super) fn write(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => {
                let wrote = match (first.is_empty(), second.is_empty()) {
                    (false, true) => socket.write(first),
                    (true, false) => socket.write(second),
                    _ => socket.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
                };
                match wrote {
                    // It takes no more, and has said why.
                    Err(error) if is_wait(&error) && is_readable(socket) => {
                        Err(io::ErrorKind::ConnectionAborted.into())
                    }
                    wrote => wrote,
                }
            }
            Self::Tls(stream) => stream.write(first, second),
        }
    }

    /// Sends what is still held.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        match self {
            Self::Plain(_) => Ok(0),
            Self::Tls(stream) => stream.flush(),
        }
    }

    /// The socket beneath.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// Whether bytes, or the end, wait to be read.
    pub(super) fn is_readable(&self) -> bool {
        is_readable(self.socket())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Self::Tls(stream) = self {
            stream.end();
        }
    }
}

fn is_readable(socket: &TcpStream) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(0))
}
