//! One attempt at a request: its turn, its connection, its answer, and what that says of the
//! service.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::limits::REMOTE_REFUSAL_BYTES;
use crate::remote::answer::{Answer, Flight, Live};
use crate::remote::body::Body;
use crate::remote::breaker::Leave;
use crate::remote::call::{Class, Failure, Repeat, Request, Verb};
use crate::remote::client::Client;
use crate::remote::connection::Connection;
use crate::remote::head::{self, Head};
use crate::remote::origin::Origin;
use crate::remote::patience::Patience;
use crate::remote::pool::Route;
use crate::remote::service::{Service, Way, http_date};
use crate::remote::{redirect, retry};
use crate::resource::cancel::Leash;

/// What is known of a request that got no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not carried out.
    Undone,
    /// Nobody knows.
    Unknown,
    /// It was answered.
    Answered,
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) failure: Failure,
    pub(super) fate: Fate,
    /// Whether the service's clock was learned, so that another signature may do.
    pub(super) clock: bool,
    /// Whether the same request, sent before on a connection at rest, may have been carried out.
    earlier: bool,
}

impl Lost {
    fn new(failure: Failure, fate: Fate) -> Self {
        Self { failure, fate, clock: false, earlier: false }
    }

    pub(super) fn undone(failure: Failure) -> Self {
        Self::new(failure, Fate::Undone)
    }

    pub(super) fn answered(failure: Failure) -> Self {
        Self::new(failure, Fate::Answered)
    }

    /// Whether the service asked for patience, so that nothing was carried out.
    pub(super) fn asks_patience(&self) -> bool {
        let throttled = self.failure.class == Class::Throttled;
        self.fate == Fate::Answered && (throttled || matches!(self.failure.status, Some(429 | 503)))
    }

    /// Whether it may have been carried out.
    pub(super) fn is_open(&self) -> bool {
        let open = matches!(self.failure.status, Some(408 | 500 | 502 | 504));
        let failed = open || self.failure.class == Class::Transient;
        // What follows a success was said when the work had been begun.
        let begun = matches!(self.failure.status, Some(200..=299));
        let answered = begun || (failed && !self.asks_patience());
        self.earlier || self.fate == Fate::Unknown || (self.fate == Fate::Answered && answered)
    }

    pub(super) fn unknown(failure: Failure) -> Self {
        Self::new(failure, Fate::Unknown)
    }
}

/// What came of an attempt.
pub(super) enum Came {
    /// A good answer.
    Answer(Box<Answer>),
    /// Another place, which may be followed.
    Elsewhere(Origin, String),
}

/// An answer's head, and its connection.
struct Heard {
    head: Head,
    body: Body,
    lasts: bool,
    connection: Connection,
    /// From the request's end to the answer's first bytes, seconds.
    seconds: f64,
}

/// An attempt under way.
pub(super) struct Exchange<'a> {
    pub(super) client: &'a Client,
    pub(super) request: &'a Request<'a>,
    /// Whether it is signed.
    pub(super) signs: bool,
    /// When waiting for a turn ends.
    pub(super) deadline: Instant,
}

impl Exchange<'_> {
    /// Tries once.
    pub(super) fn run(&self) -> Result<Came, Box<Lost>> {
        let service = self.client.transport.service(&self.request.origin);
        let way = service.way(self.request.verb);
        let (leave, flight) = self.turn(&service, way)?;
        let (head, signed) = self.sign(&service)?;
        let head = self.addressed(head)?;
        let sent = Instant::now();
        let mut patience = self.patience();
        let mut earlier = false;
        let heard = match self.hear(&head, &mut patience, &mut earlier) {
            Ok(heard) => heard,
            Err(mut lost) => {
                lost.earlier = earlier;
                self.judge(leave, lost.failure.class);
                return Err(lost);
            }
        };
        let route = Route::new(&self.request.origin, &self.client.settings);
        let (status, seconds) = (heard.head.status, heard.seconds);
        let Heard { head, body, lasts, connection, .. } = heard;
        let transport = Arc::clone(&self.client.transport);
        let live = Live { connection, body, lasts, patience, flight, transport, route };
        let mut answer = Answer::new(head, live);
        answer.doubtful = earlier;
        if (200..300).contains(&status) {
            leave.good();
            way.pace.passed();
            way.slots.came(seconds);
            return Ok(Came::Answer(Box::new(answer)));
        }
        self.refused(answer, &service, leave, sent, seconds, signed).map_err(|mut lost| {
            lost.earlier = earlier;
            lost
        })
    }

    /// Waits for the service to be well, for its rate, for a slot.
    fn turn<'s>(&self, service: &'s Service, way: &Way) -> Result<(Leave<'s>, Flight), Box<Lost>> {
        let ties = &self.client.ties;
        let start = Instant::now();
        let taken = || {
            let leave = service.breaker.pass(&ties.switch, self.deadline)?;
            way.pace.take(&ties.switch, self.deadline)?;
            let slot = way.slots.take(&ties.switch, self.deadline)?;
            Ok((leave, Flight::new(slot, &ties.meter)))
        };
        let turn = Leash::rest(taken);
        ties.meter.allowed.store(way.slots.allowed(), Relaxed);
        count_time(&ties.meter.throttled_ns, start.elapsed());
        turn.map_err(|failure| Box::new(Lost::undone(failure)))
    }

    /// The head, signed by the service's clock, and whether it proves who asks.
    fn sign(&self, service: &Service) -> Result<(Vec<u8>, bool), Box<Lost>> {
        let undone = |failure| Box::new(Lost::undone(failure));
        if !self.signs {
            return Ok((head::write(self.request).map_err(undone)?, false));
        }
        let mut signed = self.request.clone();
        let done = self.client.signer.sign(&mut signed, service.now());
        done.map_err(|error| undone(Failure::signing(&error)))?;
        let proves = signed.headers.iter().count() != self.request.headers.iter().count()
            || signed.query.len() != self.request.query.len();
        Ok((head::write(&signed).map_err(undone)?, proves))
    }

    /// The head as whoever takes it wants it: a proxy of plain HTTP the whole URL.
    fn addressed(&self, head: Vec<u8>) -> Result<Vec<u8>, Box<Lost>> {
        let (origin, settings) = (&self.request.origin, &self.client.settings);
        let proxy = self.client.transport.proxy(origin, settings);
        Ok(match proxy.map_err(|failure| Box::new(Lost::undone(failure)))? {
            Some(proxy) if !origin.tls => proxy.through(origin, &head),
            _ => head,
        })
    }

    fn patience(&self) -> Patience {
        let content = matches!(self.request.verb, Verb::Read | Verb::List | Verb::Look);
        Patience::new(&self.client.ties.switch, self.client.settings.waits, content)
    }

    /// Sends on a connection at rest, or a new one where there is none or it turns out to be dead;
    /// `earlier` is set when what was sent on that may have been carried out all the same.
    fn hear(
        &self,
        head: &[u8],
        patience: &mut Patience,
        earlier: &mut bool,
    ) -> Result<Heard, Box<Lost>> {
        let Client { transport, settings, ties, .. } = self.client;
        let origin = &self.request.origin;
        if let Some(rested) = transport.pool.take(&Route::new(origin, settings)) {
            match self.on(rested, head, patience) {
                Err((lost, dead)) if dead && self.may_again(&lost) => *earlier = lost.is_open(),
                heard => return heard.map_err(|(lost, _)| lost),
            }
        }
        let connected = transport.connect(origin, settings, &ties.switch);
        let connection = connected.map_err(|failure| Box::new(Lost::undone(failure)))?;
        self.on(connection, head, patience).map_err(|(lost, _)| lost)
    }

    fn may_again(&self, lost: &Lost) -> bool {
        self.request.repeat == Repeat::Freely || lost.fate == Fate::Undone
    }

    /// Sends on this connection. With a failure, whether the connection ended without a byte of
    /// answer, as one does that was closed while it rested.
    fn on(
        &self,
        mut connection: Connection,
        head: &[u8],
        patience: &mut Patience,
    ) -> Result<Heard, (Box<Lost>, bool)> {
        let (request, meter) = (self.request, &self.client.ties.meter);
        meter.requests.fetch_add(1, Relaxed);
        let start = Instant::now();
        let mut ended = start;
        let (front, behind) = &request.frame;
        let pieces = [head, front, request.body, behind];
        let heard = connection.send(&pieces, patience).and_then(|()| {
            ended = Instant::now();
            connection.answer(request.method, patience)
        });
        meter.bytes_sent.fetch_add(connection.sent, Relaxed);
        meter.bytes_received.fetch_add(connection.received, Relaxed);
        count_time(&meter.waited_ns, start.elapsed());
        let whole = connection.sent == head.len() as u64 + request.body_bytes();
        match heard {
            Ok((head, ..)) if !whole && head.status < 300 => {
                let message = "the answer came before the request was sent";
                Err((Box::new(Lost::unknown(Failure::of(Class::Transient, message))), false))
            }
            Ok((head, body, lasts)) => {
                // What is written has a share in the time until it is answered.
                let seconds = ended.elapsed().as_secs_f64() / weight(request.body.len());
                Ok(Heard { head, body, lasts: lasts && whole, connection, seconds })
            }
            Err(failure) => {
                let fate = if connection.sent == 0 { Fate::Undone } else { Fate::Unknown };
                let dead = failure.class == Class::Transient && connection.received == 0;
                Err((Box::new(Lost::new(failure, fate)), dead))
            }
        }
    }

    /// Reads a refusal, and what it says of the service.
    fn refused(
        &self,
        mut answer: Answer,
        service: &Service,
        leave: Leave<'_>,
        sent: Instant,
        seconds: f64,
        signed: bool,
    ) -> Result<Came, Box<Lost>> {
        let mut text = Vec::new();
        // A body that is cut off leaves the status to go by.
        drop(answer.gather(REMOTE_REFUSAL_BYTES, &mut text));
        let (status, headers) = (answer.status, &answer.headers);
        if !signed || self.client.dialect.follows() {
            let place = redirect::place(self.request, status, headers);
            if let Some((origin, path)) =
                place.map_err(|failure| Box::new(Lost::answered(failure)))?
            {
                leave.good();
                return Ok(Came::Elsewhere(origin, path));
            }
        }
        let refusal = self.client.dialect.refusal(status, headers, &text);
        let mut lost = Lost::answered(Failure::refused(status, refusal));
        lost.failure.retry_after = headers.get("retry-after").and_then(retry::after);
        let class = lost.failure.class;
        lost.clock = class == Class::Clock && service.learn(headers.get("date"));
        if lost.asks_patience() {
            slowed(self.client, self.request, sent, lost.failure.retry_after);
        } else {
            service.way(self.request.verb).slots.came(seconds);
        }
        self.judge(leave, class);
        Err(Box::new(lost))
    }

    /// What an attempt's end says of the service's health.
    fn judge(&self, leave: Leave<'_>, class: Class) {
        match class {
            Class::Transient | Class::Timeout | Class::Unreachable => {
                leave.bad(self.client.settings.tries.rest);
            }
            Class::Cancelled => drop(leave),
            _ => leave.good(),
        }
    }
}

/// How a body's length weighs in the time of its answer: each 256 KiB as much as an empty one.
fn weight(bytes: usize) -> f64 {
    1.0 + bytes as f64 / f64::from(256 << 10)
}

pub(super) fn count_time(counter: &AtomicU64, time: Duration) {
    counter.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
}

/// A service asked for patience: fewer requests, later.
pub(super) fn slowed(
    client: &Client,
    request: &Request<'_>,
    sent: Instant,
    wait: Option<Duration>,
) {
    let service = client.transport.service(&request.origin);
    let way = service.way(request.verb);
    way.pace.refused(sent, wait);
    way.slots.refused();
    client.ties.meter.slowed.fetch_add(1, Relaxed);
}

/// How long until a date that a service names.
pub(super) fn until(date: &str) -> Option<Duration> {
    let left = http_date(date)?.0 - crate::platform::clock::now().0;
    Some(Duration::from_nanos(u64::try_from(left.max(0)).unwrap_or(u64::MAX)))
}
