//! Sends requests until they are answered, within the rates and bounds of their service.

use std::sync::Arc;

use crate::remote::call::{Class, Failure, Request};
use crate::remote::dialect::{Dialect, Signer};
use crate::remote::headers::Headers;
use crate::remote::ties::Ties;

/// An answer whose body is read as it comes.
pub struct Answer {
    /// Its status, 200 to 299 (or 304 never: that is a refusal).
    pub status: u16,
    /// Its fields.
    pub headers: Headers,
}

impl Answer {
    /// Reads on in the body; 0 at its end. A body that ends before its length is a failure.
    ///
    /// # Errors
    /// `Transient`, `Timeout`, `Cancelled`. Nobody repeats here: what was read is the caller's.
    pub fn read(&mut self, _buffer: &mut [u8]) -> Result<usize, Failure> {
        Ok(0)
    }
}

/// Sends requests to one kind of service.
#[derive(Clone)]
pub struct Client {
    _signer: Arc<dyn Signer>,
    _dialect: Arc<dyn Dialect>,
    _ties: Ties,
}

impl Client {
    /// A client that signs and reads so, for one job.
    #[must_use]
    pub fn new(signer: Arc<dyn Signer>, dialect: Arc<dyn Dialect>, ties: Ties) -> Self {
        Self { _signer: signer, _dialect: dialect, _ties: ties }
    }

    /// Sends a request, again as far as that helps. The answer's body is read by the caller.
    ///
    /// # Errors
    /// The last failure.
    pub fn send(&self, _request: &Request<'_>) -> Result<Answer, Failure> {
        Err(Failure {
            class: Class::Unsupported,
            status: None,
            code: String::new(),
            message: String::new(),
            errno: None,
            unsure: false,
            retry_after: None,
        })
    }

    /// Sends a request and reads the whole body, at most `most` bytes, again as far as that helps.
    ///
    /// # Errors
    /// The last failure; `Garbled` for a longer body.
    pub fn fetch(&self, request: &Request<'_>, _most: usize) -> Result<(Answer, Vec<u8>), Failure> {
        self.send(request).map(|answer| (answer, Vec::new()))
    }
}
