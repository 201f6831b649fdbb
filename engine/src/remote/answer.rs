//! An answer, and what it holds until its end: its connection, its slot.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::remote::body::Body;
use crate::remote::call::Failure;
use crate::remote::connection::Connection;
use crate::remote::head::Head;
use crate::remote::headers::Headers;
use crate::remote::patience::Patience;
use crate::remote::pool::Route;
use crate::remote::slots::Slot;
use crate::remote::ties::Meter;
use crate::remote::transport::Transport;

/// An answer whose body is read as it comes. Dropped before its end, it closes its connection.
pub struct Answer {
    /// Its status, 200 to 299 (or 304 never: that is a refusal).
    pub status: u16,
    /// Its fields.
    pub headers: Headers,
    /// Whether an attempt before this one, whose answer was lost, may have been carried out too.
    pub doubtful: bool,
    live: Option<Live>,
}

/// What an answer holds while its body is not at its end.
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) body: Body,
    /// Whether the connection may be used again.
    pub(super) lasts: bool,
    pub(super) patience: Patience,
    pub(super) flight: Flight,
    pub(super) transport: Arc<Transport>,
    pub(super) route: Route,
}

/// A request on its way: its slot, counted.
pub(super) struct Flight {
    slot: Slot,
    pub(super) meter: Arc<Meter>,
}

impl Flight {
    pub(super) fn new(slot: Slot, meter: &Arc<Meter>) -> Self {
        meter.in_flight.fetch_add(1, Relaxed);
        Self { slot, meter: Arc::clone(meter) }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.meter.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Answer {
    pub(super) fn new(head: Head, live: Live) -> Self {
        let mut answer =
            Self { status: head.status, headers: head.headers, doubtful: false, live: Some(live) };
        answer.settle();
        answer
    }

    /// Reads on in the body; 0 at its end. A body that ends before its length is a failure.
    ///
    /// # Errors
    /// `Transient`, `Timeout`, `Garbled`, `Cancelled`. Nobody repeats here: what was read is the
    /// caller's.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let Some(live) = &mut self.live else { return Ok(0) };
        live.flight.slot.mine();
        let before = live.connection.received;
        let read = live.connection.read(&mut live.body, buffer, &mut live.patience);
        let received = live.connection.received - before;
        live.flight.meter.bytes_received.fetch_add(received, Relaxed);
        if read.is_err() {
            self.live = None;
        }
        self.settle();
        read
    }

    /// At its end, its connection rests and its slot is free.
    fn settle(&mut self) {
        let Some(live) = self.live.take_if(|live| live.body == Body::Done) else { return };
        if live.lasts && live.connection.is_clean() {
            live.transport.pool.put(live.route, live.connection);
        }
    }

    /// Reads the body to its end, or until more than `most` bytes came. Whether it ended.
    ///
    /// # Errors
    /// As [`Answer::read`].
    pub(super) fn gather(&mut self, most: usize, body: &mut Vec<u8>) -> Result<bool, Failure> {
        loop {
            let length = body.len();
            let room = (most - length).clamp(1, STEP);
            body.resize(length + room, 0);
            let read = self.read(body.get_mut(length..).unwrap_or_default());
            body.truncate(length + read.as_ref().map_or(0, |count| *count));
            if read? == 0 {
                return Ok(true);
            }
            if body.len() > most {
                body.truncate(most);
                return Ok(false);
            }
        }
    }
}

/// Bytes gathered at once.
const STEP: usize = 16 << 10;
