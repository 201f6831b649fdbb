//! Sends requests until they are answered, within the rates and bounds of their service.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::REMOTE_PARTING_MS;

pub use crate::remote::answer::Answer;
use crate::remote::call::{Failure, Request};
use crate::remote::dialect::{Dialect, Signer};
use crate::remote::exchange::Lost;
use crate::remote::retry::Course;
use crate::remote::settings::{Settings, Tries, Waits};
use crate::remote::ties::Ties;
use crate::remote::transport::Transport;
use crate::resource::cancel::Switch;

/// Sends requests to one kind of service. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) ties: Ties,
    pub(super) settings: Arc<Settings>,
    pub(super) transport: Arc<Transport>,
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
        let settings = Arc::new(settings);
        Self { signer, dialect, ties, settings, transport: Transport::shared() }
    }

    /// The same, sharing connections, rates and the retry budget with nobody but those given the
    /// same transport.
    #[must_use]
    pub fn over(mut self, transport: &Arc<Transport>) -> Self {
        self.transport = Arc::clone(transport);
        self
    }

    /// The same for what is cleared away behind a job: its cancel does not stop that, and it may not
    /// take long.
    #[must_use]
    pub fn parting(&self) -> Self {
        let most = Duration::from_millis(REMOTE_PARTING_MS);
        let Settings { waits, tries, .. } = &*self.settings;
        let settings = Settings {
            waits: Waits {
                connect: waits.connect.min(most),
                answer: waits.answer.min(most),
                silence: waits.silence.min(most),
                ..*waits
            },
            tries: Tries { total: tries.total.min(most), ..*tries },
            ..(*self.settings).clone()
        };
        let ties = Ties { switch: Switch::default(), ..self.ties.clone() };
        Self { ties, settings: Arc::new(settings), ..self.clone() }
    }

    /// Sends a request, again as far as that helps. The answer's body is read by the caller.
    ///
    /// # Errors
    /// The last failure.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        Course::new(self, request).run(Ok)
    }

    /// Sends a request and reads the whole body, at most `most` bytes, again as far as that helps.
    ///
    /// # Errors
    /// The last failure; `Garbled` for a longer body.
    pub fn fetch(&self, request: &Request<'_>, most: usize) -> Result<(Answer, Vec<u8>), Failure> {
        let read = |mut answer: Answer| {
            let mut body = Vec::new();
            // Answered well and then lost on its way: it was carried out.
            let lost = |failure| Box::new(Lost::unknown(failure));
            let ended = answer.gather(most, &mut body).map_err(lost)?;
            match self.dialect.hidden(&body).filter(|_| ended) {
                Some(refusal) => {
                    Err(Box::new(Lost::answered(Failure::refused(answer.status, refusal))))
                }
                None => Ok((answer, ended.then_some(body))),
            }
        };
        match Course::new(self, request).run(read)? {
            (answer, Some(body)) => Ok((answer, body)),
            // The same again would be as long.
            (_, None) => Err(Failure::garbled("the answer is too long")),
        }
    }
}
