//! Standard input → events of the session. Ends with the input, with its own echo, or when
//! nobody reads the answers any more.

use std::io::Read;

use crossbeam_channel::Sender;
use migration_protocol::LINE_IN_MAX_BYTES;
use migration_protocol::fault::{Code, Fault};
use migration_protocol::frame::{self, LineSplitter, Piece};
use migration_protocol::message::{BadRequest, Request};

use crate::limits::ECHOED_LINES_MAX;
use crate::serve::admission::Admission;
use crate::serve::dispatch::{Event, Line};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Reads until the input ends, sending every line that must be answered. `is_hung_up` tells whether
/// the input's other end is closed, without reading it.
pub fn run(
    mut input: impl Read,
    is_hung_up: fn() -> bool,
    events: &Sender<Event>,
    admission: &Admission,
) {
    let mut lines =
        Lines { events, admission, number: 0, echoed: 0, open: true, hung_up: false, is_hung_up };
    let mut splitter = LineSplitter::new();
    let mut buffer = vec![0; READ_BYTES];
    while lines.open {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                splitter.push(bytes, |piece| lines.take(&piece));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if lines.open {
        splitter.end(|piece| lines.take(&piece));
    }
    let _ = events.send(if lines.is_echo() { Event::Echo } else { Event::EndOfInput });
}

struct Lines<'a> {
    events: &'a Sender<Event>,
    admission: &'a Admission,
    number: u64,
    /// Lines in a row that are events of an engine.
    echoed: usize,
    open: bool,
    hung_up: bool,
    is_hung_up: fn() -> bool,
}

impl Lines<'_> {
    fn is_echo(&self) -> bool {
        self.echoed >= ECHOED_LINES_MAX
    }

    /// While no line may be read, the end of the input would go unseen.
    fn look_for_the_end(&mut self) -> bool {
        if !self.hung_up && (self.is_hung_up)() {
            self.hung_up = true;
            return self.events.send(Event::HungUp).is_ok();
        }
        true
    }

    fn take(&mut self, piece: &Piece<'_>) {
        self.number += 1;
        if !self.open {
            return;
        }
        let line = match piece {
            Piece::TooLong => {
                let message = format!("the line is longer than {LINE_IN_MAX_BYTES} bytes");
                Line::Broken(Fault::new(Code::LineTooLong, message))
            }
            Piece::Line(bytes) => match frame::parse(bytes) {
                Ok(None) => return,
                Ok(Some(map)) => {
                    let echo = map.contains_key("type") && map.contains_key("seq");
                    self.echoed = if echo { self.echoed + 1 } else { 0 };
                    match Request::split(map) {
                        Ok(request) => Line::Request(Box::new(request)),
                        Err(BadRequest { id: Some(id), fault }) => Line::Refused(id, *fault),
                        Err(BadRequest { id: None, fault }) => Line::Broken(*fault),
                    }
                }
                Err(fault) => Line::Broken(fault),
            },
        };
        self.admission.take(1);
        let sent = self.events.send(Event::Line(self.number, line)).is_ok();
        self.open = sent && !self.is_echo() && {
            let admission = self.admission;
            admission.wait(|| self.look_for_the_end())
        };
    }
}
