//! Finds uploads that are not completed, and gives them up.

use crate::endpoint::store::verbs::{Begun, Object, Upload};
use crate::error::Result;

use super::bucket::Bucket;
use super::resource::Resource;
use super::temporary::{self, Temporary};
use super::together;

impl Bucket {
    /// Removes what there is of an upload.
    pub(super) fn abandon(&self, upload: &Upload) -> Result<()> {
        let (last, mut found) = (self.parting(), Vec::new());
        last.every(Temporary::of(upload)?.prefix(), None, &mut |resource| {
            if temporary::read(&resource.name).is_some_and(|(id, _)| id == upload.id) {
                found.push((resource.name, resource.generation));
            }
            Ok(())
        })?;
        together::each(&found, |(name, generation)| last.discard(name, generation)).map(drop)
    }

    /// An upload is what temporary objects say of themselves. Those of one lie beside each other,
    /// so no more than one is kept in mind.
    pub(super) fn uploads(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Begun) -> Result<()>,
    ) -> Result<()> {
        let mut last: Option<Begun> = None;
        self.every(temporary::folder(prefix), Some(temporary::GLOB), &mut |resource| {
            let Some(found) = begun(resource).filter(|b| b.upload.key.starts_with(prefix)) else {
                return Ok(());
            };
            match &mut last {
                Some(last) if last.upload == found.upload => {
                    last.begun = last.begun.min(found.begun);
                    Ok(())
                }
                last => last.replace(found).map_or(Ok(()), &mut *each),
            }
        })?;
        last.map_or(Ok(()), each)
    }
}

/// The upload that a temporary object is of.
fn begun(mut resource: Resource) -> Option<Begun> {
    let (id, _) = temporary::read(&resource.name)?;
    let key = resource.metadata.remove(temporary::KEY)?;
    // It lies beside the object that it is for, or it is not what its name says.
    let is_beside = temporary::folder(&key) == temporary::folder(&resource.name);
    let Object { modified, .. } = resource.object();
    is_beside.then_some(Begun { upload: Upload { key, id }, begun: modified })
}
