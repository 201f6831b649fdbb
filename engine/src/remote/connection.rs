//! One connection of HTTP/1.1: a request out, its answer in, one after the other.
//!
//! Bodies go from the caller's buffer to the socket and from the socket into the caller's buffer;
//! only what came together with a head is copied once more.

use std::net::TcpStream;
use std::time::Instant;

use crate::limits::{REMOTE_AHEAD_BYTES, REMOTE_HEAD_BYTES_MAX, REMOTE_INTERIM_MAX};
use crate::remote::body::{Body, Chunk};
use crate::remote::call::{Class, Failure};
use crate::remote::head::{self, Head};
use crate::remote::patience::Patience;
use crate::remote::stream::Stream;

/// A connection, between two requests or with one on its way.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// Read from the socket and not yet used: from `used` on.
    ahead: Vec<u8>,
    used: usize,
    /// Bytes of the present exchange.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// When it was last at rest.
    pub(super) rested: Instant,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, ahead: Vec::new(), used: 0, sent: 0, received: 0, rested: Instant::now() }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Its socket, once nothing but what others say of it is to follow.
    ///
    /// # Errors
    /// `Garbled` where something came already, or where it is no plain socket's.
    pub(super) fn into_socket(self) -> Result<TcpStream, Failure> {
        if !self.rest().is_empty() {
            return Err(Failure::garbled("the proxy says more than that it lets through"));
        }
        let socket = self.stream.socket().try_clone();
        socket.map_err(|error| Failure::io(&error, "failed to go on with a connection"))
    }

    /// Sends a request. When the peer stops taking it, whatever the reason, it may have answered
    /// already: then this succeeds with what was sent until there.
    ///
    /// # Errors
    /// `Transient`, `Timeout`, `Cancelled`.
    pub(super) fn send(
        &mut self,
        pieces: &[&[u8]],
        patience: &mut Patience,
    ) -> Result<(), Failure> {
        (self.sent, self.received) = (0, 0);
        patience.anew();
        let total = pieces.iter().map(|piece| piece.len()).sum();
        let mut done = 0;
        while done < total {
            let mut from = done;
            let rests = pieces.iter().map(|piece| {
                let skipped = from.min(piece.len());
                from -= skipped;
                piece.get(skipped..).unwrap_or_default()
            });
            let mut rests = rests.filter(|rest| !rest.is_empty());
            let first = rests.next().unwrap_or_default();
            let second = rests.next().unwrap_or_default();
            let stream = &mut self.stream;
            let wrote = patience.flow("failed to send", || stream.write(first, second));
            match wrote {
                Ok(count) => done += count,
                Err(failure) => return self.answered_early(failure),
            }
            self.sent = done as u64;
        }
        let stream = &mut self.stream;
        match patience.call(patience.waits.silence, "failed to send", || stream.flush()) {
            Ok(_) => Ok(()),
            Err(failure) => self.answered_early(failure),
        }
    }

    /// A request that could not be sent to its end: is there an answer all the same?
    fn answered_early(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.class == Class::Cancelled {
            return Err(failure);
        }
        match self.fill() {
            Ok(count) if count > 0 => Ok(()),
            _ => Err(failure),
        }
    }

    /// Reads the head of the answer, and how its body is framed; whether the connection lasts.
    ///
    /// # Errors
    /// `Transient`, `Timeout`, `Garbled`, `Cancelled`.
    pub(super) fn answer(
        &mut self,
        method: &str,
        patience: &mut Patience,
    ) -> Result<(Head, Body, bool), Failure> {
        let sent = Instant::now();
        for _ in 0..REMOTE_INTERIM_MAX {
            let head = loop {
                if let Some((head, length)) = head::read(self.rest())? {
                    self.skip(length);
                    break head;
                }
                if self.rest().len() >= REMOTE_HEAD_BYTES_MAX {
                    return Err(Failure::garbled("the head of the answer is too long"));
                }
                let limit = patience.waits.answer.saturating_sub(sent.elapsed());
                if limit.is_zero() {
                    // Bytes that come one by one, each in time, make no head in time.
                    return Err(Failure::of(Class::Timeout, "the answer's head took too long"));
                }
                if patience.call(limit, "no answer", || self.fill())? == 0 {
                    return Err(ended("the connection ended before the answer"));
                }
            };
            if head.status == 101 {
                return Err(Failure::garbled("the answer is in another protocol"));
            }
            if head.status >= 200 {
                let (body, lasts) = Body::of(&head, method)?;
                patience.anew();
                return Ok((head, body, lasts));
            }
        }
        Err(Failure::garbled("too many interim answers"))
    }

    /// Reads on in a body; 0 at its end, and then `body` is [`Body::Done`].
    ///
    /// # Errors
    /// `Transient` for one that ends too early, `Timeout`, `Garbled`, `Cancelled`.
    pub(super) fn read(
        &mut self,
        body: &mut Body,
        buffer: &mut [u8],
        patience: &mut Patience,
    ) -> Result<usize, Failure> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let most = match *body {
                Body::Done => return Ok(0),
                Body::Close => u64::MAX,
                Body::Length(left) | Body::Chunked(Chunk::Data(left)) => left,
                Body::Chunked(chunk) => {
                    self.pass_line(body, chunk, patience)?;
                    continue;
                }
            };
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
            let count = self.take(buffer.get_mut(..most).unwrap_or_default(), patience)?;
            let count_u64 = count as u64;
            *body = match *body {
                Body::Close if count == 0 => Body::Done,
                _ if count == 0 => return Err(ended("the answer ended in the middle")),
                Body::Length(left) if left == count_u64 => Body::Done,
                Body::Length(left) => Body::Length(left - count_u64),
                Body::Chunked(Chunk::Data(left)) if left == count_u64 => Body::Chunked(Chunk::End),
                Body::Chunked(Chunk::Data(left)) => Body::Chunked(Chunk::Data(left - count_u64)),
                other => other,
            };
            if count > 0 && matches!(body, Body::Chunked(Chunk::End)) {
                self.finish_chunks(body)?;
            }
            return Ok(count);
        }
    }

    /// What is read ahead behind a chunk is gone through, so that an end that is there is seen.
    fn finish_chunks(&mut self, body: &mut Body) -> Result<(), Failure> {
        while let Body::Chunked(chunk) = *body
            && !matches!(chunk, Chunk::Data(_))
            && let Some((next, used)) = chunk.next(self.rest())?
        {
            self.skip(used);
            *body = next.map_or(Body::Done, Body::Chunked);
        }
        Ok(())
    }

    fn pass_line(
        &mut self,
        body: &mut Body,
        chunk: Chunk,
        patience: &mut Patience,
    ) -> Result<(), Failure> {
        loop {
            if let Some((next, used)) = chunk.next(self.rest())? {
                self.skip(used);
                *body = next.map_or(Body::Done, Body::Chunked);
                return Ok(());
            }
            if patience.flow("failed to receive", || self.fill())? == 0 {
                return Err(ended("the answer ended in the middle"));
            }
        }
    }

    /// Takes what was read ahead, else reads from the socket straight into `buffer`.
    fn take(&mut self, buffer: &mut [u8], patience: &mut Patience) -> Result<usize, Failure> {
        let rest = self.rest();
        if rest.is_empty() {
            let stream = &mut self.stream;
            let count = patience.flow("failed to receive", || stream.read(buffer))?;
            self.received += count as u64;
            return Ok(count);
        }
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.skip(count);
        Ok(count)
    }

    /// Reads ahead once.
    fn fill(&mut self) -> std::io::Result<usize> {
        if self.used > 0 {
            self.ahead.drain(..self.used);
            self.used = 0;
        }
        let length = self.ahead.len();
        self.ahead.resize(length + REMOTE_AHEAD_BYTES, 0);
        let read = self.stream.read(self.ahead.get_mut(length..).unwrap_or_default());
        self.ahead.truncate(length + read.as_ref().map_or(0, |count| *count));
        if let Ok(count) = read {
            self.received += count as u64;
        }
        read
    }

    fn rest(&self) -> &[u8] {
        self.ahead.get(self.used..).unwrap_or_default()
    }

    fn skip(&mut self, count: usize) {
        self.used += count;
        if self.used >= self.ahead.len() {
            self.ahead.clear();
            self.used = 0;
        }
    }

    /// Whether nothing is left over that no request asked for.
    pub(super) fn is_clean(&self) -> bool {
        self.rest().is_empty()
    }
}

fn ended(what: &str) -> Failure {
    Failure::of(Class::Transient, what)
}
