//! Put Block: a part of an upload. No request begins one: it is a nonce that its blocks are named by.

use crate::endpoint::azure::block::{self, BlockName};
use crate::endpoint::azure::container::Container;
use crate::endpoint::azure::put_blob::is_disproved;
use crate::endpoint::store::verbs::{Part, Upload, Whole};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::remote::call::Verb;

const DOING: &str = "failed to write a part of the object";

impl Container {
    /// A new upload. Nothing is sent, so neither rights nor what stands under the key are known.
    pub(super) fn begin_blocks(&self, key: &str) -> Result<Upload> {
        self.blob(Verb::Control, "PUT", key)?;
        Ok(Upload { key: key.to_owned(), id: block::new_nonce() })
    }

    /// Sends a part.
    pub(super) fn put_block(
        &self,
        upload: &Upload,
        index: u32,
        bytes: &[u8],
        digest: Option<Whole>,
    ) -> Result<Part> {
        let crc = self.checksum(bytes, digest)?;
        let name = BlockName { nonce: nonce(upload)?.to_owned(), index, crc }.encoded();
        let request = self.blob(Verb::Write, "PUT", &upload.key)?;
        let mut request = request.query("comp", "block").query("blockid", &*name).body(bytes);
        self.add_key(&mut request);
        self.send_checked(&request, crc).map_err(|failure| {
            if is_disproved(&failure) {
                return EngineError::new(Kind::VerifyMismatch, DOING)
                    .because(failure.message, None);
            }
            let error = self.error(&failure, Verb::Write, DOING);
            if failure.code != "InvalidBlobOrBlock" {
                return error;
            }
            error.hint(
                "blocks of another writer with names of another length wait under this key: \
                 have it commit them, or wait a week, after which they are gone",
            )
        })?;
        let digest = Whole { algorithm: Algorithm::Crc64Nvme, value: crc };
        Ok(Part { index, size: bytes.len() as u64, tag: name, digest: Some(digest) })
    }
}

/// The nonce of an upload.
pub fn nonce(upload: &Upload) -> Result<&str> {
    if block::is_nonce(&upload.id) {
        return Ok(&upload.id);
    }
    Err(EngineError::new(Kind::Internal, "an upload to Azure is named by no nonce of 16 digits"))
}
