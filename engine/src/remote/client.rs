//! Sends requests until they are answered, within the rates and bounds of their service.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::limits::REMOTE_REFUSAL_BYTES;
use crate::platform::clock;
use crate::remote::body::Body;
use crate::remote::call::{Class, Failure, Repeat, Request, Verb};
use crate::remote::connection::Connection;
use crate::remote::dialect::{Dialect, Signer};
use crate::remote::headers::Headers;
use crate::remote::patience::Patience;
use crate::remote::settings::Settings;
use crate::remote::stream::Stream;
use crate::remote::ties::Ties;
use crate::remote::{connect, head, resolve};

/// An answer whose body is read as it comes.
pub struct Answer {
    /// Its status, 200 to 299 (or 304 never: that is a refusal).
    pub status: u16,
    /// Its fields.
    pub headers: Headers,
    connection: Option<Connection>,
    body: Body,
    patience: Patience,
    ties: Ties,
}

impl Answer {
    /// Reads on in the body; 0 at its end. A body that ends before its length is a failure.
    ///
    /// # Errors
    /// `Transient`, `Timeout`, `Cancelled`. Nobody repeats here: what was read is the caller's.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let Some(connection) = &mut self.connection else { return Ok(0) };
        let count = connection.read(&mut self.body, buffer, &mut self.patience)?;
        self.ties.meter.bytes_received.fetch_add(count as u64, Relaxed);
        if self.body == Body::Done {
            self.connection = None;
        }
        Ok(count)
    }
}

/// Sends requests to one kind of service.
#[derive(Clone)]
pub struct Client {
    signer: Arc<dyn Signer>,
    dialect: Arc<dyn Dialect>,
    ties: Ties,
    settings: Arc<Settings>,
}

impl Client {
    /// A client that signs and reads so, for one job.
    #[must_use]
    pub fn new(signer: Arc<dyn Signer>, dialect: Arc<dyn Dialect>, ties: Ties) -> Self {
        Self::with(signer, dialect, ties, Settings::default())
    }

    /// As [`Client::new`], with these settings.
    #[must_use]
    pub fn with(
        signer: Arc<dyn Signer>,
        dialect: Arc<dyn Dialect>,
        ties: Ties,
        settings: Settings,
    ) -> Self {
        Self { signer, dialect, ties, settings: Arc::new(settings) }
    }

    /// Sends a request, again as far as that helps. The answer's body is read by the caller.
    ///
    /// # Errors
    /// The last failure.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let mut signed = request.clone();
        self.signer.sign(&mut signed, clock::now()).map_err(|error| Failure::signing(&error))?;
        let bytes = head::write(&signed)?;
        let mut connection = self.connect(&signed)?;
        let content = matches!(request.verb, Verb::Read | Verb::List);
        let mut patience = Patience::new(&self.ties.switch, self.settings.waits, content);
        self.ties.meter.requests.fetch_add(1, Relaxed);
        let unsure = |failure| Failure { unsure: request.repeat == Repeat::Never, ..failure };
        connection.send(&bytes, request.body, &mut patience).map_err(unsure)?;
        let (head, body, _) = connection.answer(request.method, &mut patience).map_err(unsure)?;
        let mut answer = Answer {
            status: head.status,
            headers: head.headers,
            connection: Some(connection),
            body,
            patience,
            ties: self.ties.clone(),
        };
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let mut text = Vec::new();
        drop(gather(&mut answer, REMOTE_REFUSAL_BYTES, &mut text));
        let refusal = self.dialect.refusal(answer.status, &answer.headers, &text);
        Err(Failure::refused(answer.status, refusal))
    }

    /// Sends a request and reads the whole body, at most `most` bytes, again as far as that helps.
    ///
    /// # Errors
    /// The last failure; `Garbled` for a longer body.
    pub fn fetch(&self, request: &Request<'_>, most: usize) -> Result<(Answer, Vec<u8>), Failure> {
        let mut answer = self.send(request)?;
        let mut body = Vec::new();
        if !gather(&mut answer, most, &mut body)? {
            return Err(Failure::garbled("the answer is too long"));
        }
        if let Some(refusal) = self.dialect.hidden(&body) {
            return Err(Failure::refused(answer.status, refusal));
        }
        Ok((answer, body))
    }

    fn connect(&self, request: &Request<'_>) -> Result<Connection, Failure> {
        let (waits, switch) = (self.settings.waits, &self.ties.switch);
        let origin = &request.origin;
        let mut addresses = resolve::resolve(&origin.host, origin.port, waits.connect, switch)?;
        if !self.settings.imds {
            addresses.retain(|address| !connect::is_metadata(address.ip()));
        }
        let socket = connect::connect(&addresses, 0, waits.connect, switch)?;
        if origin.tls {
            return Err(Failure::of(Class::Tls, "TLS is not spoken"));
        }
        Ok(Connection::new(Stream::Plain(socket)))
    }
}

/// Reads a body to its end, or until `most` bytes were had and more came. Whether it ended.
fn gather(answer: &mut Answer, most: usize, body: &mut Vec<u8>) -> Result<bool, Failure> {
    loop {
        let length = body.len();
        let room = (most - length).min(64 << 10).max(1);
        body.resize(length + room, 0);
        let read = answer.read(body.get_mut(length..).unwrap_or_default());
        body.truncate(length + read.as_ref().map_or(0, |count| *count));
        match read? {
            0 => return Ok(true),
            _ if body.len() > most => {
                body.truncate(most);
                return Ok(false);
            }
            _ => {}
        }
    }
}
