//! The bytes of a connection, plain or by TLS.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

/// A connected socket whose calls block for a step at most.
#[derive(Debug)]
pub(super) enum Stream {
    /// Bytes as they are.
    Plain(TcpStream),
}

impl Stream {
    /// Reads what is there into `buffer`; 0 at the peer's end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
        }
    }

    /// Writes the beginning of two pieces, in one call.
    pub(super) fn write(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => match (first.is_empty(), second.is_empty()) {
                (false, true) => socket.write(first),
                (true, false) => socket.write(second),
                _ => socket.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
            },
        }
    }

    /// Sends what is still held.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        match self {
            Self::Plain(_) => Ok(0),
        }
    }

    /// The socket beneath.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
        }
    }
}
