//! Begins uploads in parts, sends parts, and tells those that the store has.

use crate::endpoint::store::turns::Turns;
use crate::endpoint::store::verbs::{Ask, Condition, Part, Put, Upload, Whole};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::remote::call::{Failure, Verb};

use super::bucket::Bucket;
use super::resource::{Fields, Resource, crc, nonce};
use super::temporary::{self, PARTS_MAX, Temporary};

impl Bucket {
    /// Nothing is sent: the upload is the nonce of its write.
    pub(super) fn begin(&self, key: &str, put: &Put) -> Result<Upload> {
        let id = nonce(put).filter(|nonce| temporary::parsed(nonce).is_some());
        let Some(id) = id else {
            return Err(EngineError::new(Kind::Internal, "an upload was begun without a nonce"));
        };
        Ok(Upload { key: key.to_owned(), id: id.to_owned() })
    }

    /// Whatever stands under the part's name is of this upload: its nonce is in the name.
    pub(super) fn put_part(
        &self,
        upload: &Upload,
        index: u32,
        bytes: &[u8],
        digest: Option<Whole>,
    ) -> Result<Part> {
        let name = Temporary::of(upload)?.part(index);
        let crc = crc(bytes, digest);
        let mut fields = Fields::default().named(&name, crc);
        fields.metadata.insert(temporary::KEY.to_owned(), upload.key.clone());
        let made = self
            .send(&fields, &upload.id, bytes, Condition::Any)
            .map_err(|f| self.failed(&f, Verb::Write, "failed to write a part"))?;
        self.proven(&name, &made, crc, bytes.len() as u64)?;
        Ok(part(index, &made))
    }

    pub(super) fn parts(&self, upload: &Upload) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        let names = Temporary::of(upload)?;
        let listed = self.every(names.prefix(), None, &mut |found| {
            if let Some((id, Some(index))) = temporary::read(&found.name)
                && id == upload.id
            {
                if parts.len() as u64 == PARTS_MAX {
                    let why = "the service tells more parts than an upload can have";
                    return Err(EngineError::new(Kind::RemoteAnswer, why));
                }
                parts.push(part(index, &found));
            }
            Ok(())
        });
        listed?;
        parts.sort_unstable_by_key(|part| part.index);
        Ok(parts)
    }

    /// Tells every object whose name begins so, page by page.
    pub(super) fn every(
        &self,
        prefix: &str,
        glob: Option<&str>,
        each: &mut dyn FnMut(Resource) -> Result<()>,
    ) -> Result<()> {
        let mut turns = Turns::default();
        loop {
            let next = turns.token();
            let ask = Ask { prefix, folded: false, next, most: usize::MAX };
            let listed = self.listed(&ask, glob);
            let listed = listed.map_err(|failure: Failure| self.unlisted(&failure))?;
            let is_empty = listed.items.is_empty();
            listed.items.into_iter().try_for_each(&mut *each)?;
            if !turns.leads(listed.next_page_token.as_ref(), is_empty)? {
                return Ok(());
            }
        }
    }
}

fn part(index: u32, made: &Resource) -> Part {
    let digest =
        made.crc32c().map(|crc| Whole { algorithm: Algorithm::Crc32c, value: u64::from(crc) });
    Part { index, size: made.size, tag: made.generation.clone(), digest }
}
