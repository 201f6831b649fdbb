//! One item made under one name from something else: judged, written whole, published.

use crate::endpoint::contract::{Becoming, Intake, ObjectSink, Shape, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::keyed::Receipt;
use crate::limits::CHANGED_ATTEMPTS;
use crate::model::choice::{Carry, Consent, Durable, OnExists};
use crate::model::item::{Attributes, Item};
use crate::model::path::temp_name;
use crate::pipeline::gather::{Gather, Memory};
use crate::plan::conflict::{Decision, decide};
use crate::progress::{Spent, add};

/// What to do where an earlier attempt's own work is in the way.
const LATE: &str = "an attempt that was killed had sent it, and the store wrote it only now: the \
                    same command, sent again, replaces it";

/// What is made, and where.
pub struct Single<'a> {
    /// The job.
    pub job: &'a Job,
    /// What it is made of.
    pub item: &'a Item,
    /// Where it goes: the sink's root.
    pub sink: &'a dyn ObjectSink,
    /// Its name, for errors.
    pub shown: Vec<u8>,
    /// What happens to what stands there.
    pub on_exists: OnExists,
    /// What it takes over from the source.
    pub carry: Carry,
}

/// What was written.
pub struct Made<T> {
    /// Its size.
    pub bytes: u64,
    /// Whether it has all that its source holds.
    pub whole: bool,
    /// The attributes it takes over.
    pub attributes: Attributes,
    /// What the maker has to say.
    pub told: T,
}

/// What became of it.
pub enum Ended<T> {
    /// Made now.
    Now(T),
    /// Made by an earlier attempt of this command: bytes that stand there.
    Before(u64),
    /// Left alone by rule.
    Skipped,
}

impl Single<'_> {
    /// Makes it. `make` writes an intake, and answers `None` when the source changed meanwhile:
    /// then it is called again, at most [`CHANGED_ATTEMPTS`] times in all.
    ///
    /// # Errors
    /// Those of sink and maker; nothing stands under the name that was not there before.
    pub fn run<T>(
        &self,
        mut make: impl FnMut(&dyn Intake) -> Result<Option<Made<T>>>,
    ) -> Result<Ended<T>> {
        let (job, sink) = (self.job, self.sink);
        let (place, name) = sink.root_place()?;
        let found = sink.found(&place, &name)?;
        let receipt = job.ledger().map(|ledger| ledger.receipt(b"")).transpose()?.flatten();
        let mut ours = false;
        let consent = match (&found, receipt) {
            (Some(found), Some(receipt))
                if receipt.wrote(found.mark) && receipt.fits(self.item) =>
            {
                return Ok(Ended::Before(found.size));
            }
            (Some(found), Some(receipt))
                if receipt.wrote(found.mark) || receipt.wrote_earlier(found.mark) =>
            {
                ours = true;
                Consent::Replace(found.mark)
            }
            _ => match decide(self.on_exists, self.item, found.as_ref()) {
                Decision::Skip => return Ok(Ended::Skipped),
                Decision::Write(consent) => consent,
                Decision::Conflict(kind) => {
                    let message = "something stands at the destination";
                    return Err(EngineError::new(kind, message).at(self.shown.clone()));
                }
            },
        };
        let target = Target::new(&name, consent, self.carry);
        for attempt in 1..=CHANGED_ATTEMPTS {
            let temp = temp_name(&job.name, job.next_temp());
            // How large it will be is not known.
            let shape = Shape { durable: true, open: true, ..Shape::default() };
            let becoming = Becoming { target: &target, attributes: &self.item.attributes };
            let intake = sink.begin(&place, &temp, shape, becoming)?;
            let intake = Gather::around(job, intake, Memory::Ahead);
            match make(&*intake) {
                Ok(Some(made)) if !made.whole && !ours && consent != Consent::New => {
                    intake.abort();
                    return Err(self.incomplete());
                }
                Ok(Some(made)) => {
                    let seal = || intake.seal(made.bytes, &made.attributes, &target);
                    let staged = job.progress.timed(Spent::DestinationWrite, seal)?;
                    self.publish(staged, made.whole)?;
                    return Ok(Ended::Now(made.told));
                }
                Ok(None) => {
                    intake.abort();
                    if attempt < CHANGED_ATTEMPTS {
                        add(&job.progress.retries, 1);
                        let message = "changed while it was read; it is read again";
                        job.warn_about(EngineError::new(Kind::SourceChanged, message), b"");
                    }
                }
                Err(error) => {
                    intake.abort();
                    return Err(error);
                }
            }
        }
        Err(EngineError::new(Kind::SourceChanged, "the source kept changing while it was read"))
    }

    /// Gives it its name, its receipt first.
    fn publish(&self, staged: Staged, whole: bool) -> Result<()> {
        let (job, sink) = (self.job, self.sink);
        let lost = staged.lost.clone();
        if let Some(ledger) = job.ledger() {
            let receipt = Receipt::new(self.item, staged.mark, &[]);
            let receipt = if whole { receipt } else { receipt.incomplete() };
            if let Err(error) = ledger.commit(&[(Vec::new(), receipt)]) {
                sink.discard(staged);
                return Err(error);
            }
        }
        let publish = || sink.publish(vec![staged], Durable::PowerLoss);
        let published = job.progress.timed(Spent::Sync, publish).pop().unwrap_or(Ok(()));
        published.map_err(|error| if self.is_late(&error) { error.hint(LATE) } else { error })?;
        job.lose(self.item.path.as_bytes(), &lost);
        Ok(())
    }

    /// Whether what is in the way is what an earlier attempt sent and its store wrote only now: a
    /// store goes on with the requests of the dead. It is not made a second time, since its members
    /// are told of by now.
    fn is_late(&self, error: &EngineError) -> bool {
        let taken = matches!(error.kind(), Kind::DestinationExists | Kind::DestinationChanged);
        let ours = || {
            let receipt = self.job.ledger()?.receipt(b"").ok()??;
            let (place, name) = self.sink.root_place().ok()?;
            let found = self.sink.found(&place, &name).ok()??;
            receipt.wrote_earlier(found.mark).then_some(())
        };
        taken && ours().is_some()
    }

    /// The refusal to give up what stands there for less than all of the source.
    fn incomplete(&self) -> EngineError {
        let message = "some items failed, and what lacks them does not replace what stands there";
        EngineError::new(Kind::DestinationExists, message)
            .at(self.shown.clone())
            .hint("mend or exclude the items that failed, or choose another dst")
    }
}
