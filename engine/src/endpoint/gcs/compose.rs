//! Makes an object of its parts, 32 at a time.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;

use crate::endpoint::store::verbs::{Condition, Part, Put, Upload, Whole};
use crate::error::{EngineError, Kind, Result};
use crate::model::crc_join::CRC32C;
use crate::model::digest::Algorithm;
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Verb};

use super::bucket::{Bucket, conditioned, garbled};
use super::put::COMPOSE;
use super::resource::{FIELDS, Fields, Resource};
use super::temporary::{self, Temporary};
use super::together;

/// Most objects that one compose takes.
const SOURCES_MAX: usize = 32;

/// An object that is to become a piece of another.
#[derive(Clone)]
struct Piece {
    name: String,
    generation: String,
    size: u64,
    crc: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compose<'a> {
    source_objects: Vec<Source<'a>>,
    destination: &'a Fields,
}

#[derive(Serialize)]
struct Source<'a> {
    name: &'a str,
    generation: &'a str,
}

impl Bucket {
    pub(super) fn complete(&self, upload: &Upload, parts: &[Part], put: &Put) -> Result<Version> {
        let names = Temporary::of(upload)?;
        let pieces = parts.iter().map(|part| piece(&names, part)).collect::<Result<Vec<_>>>()?;
        let (size, crc) = joined(&pieces);
        if let Some(Whole { algorithm: Algorithm::Crc32c, value }) = put.digest
            && value != u64::from(crc)
        {
            return Err(mismatch("the parts that the store has are not what was sent"));
        }
        let sent = self.gathered(upload, &names, pieces).and_then(|pieces| {
            self.compose(&upload.key, &pieces, &Fields::of(&self.options, put), put.condition)
        });
        let made = self.settled(sent, &upload.key, put, "failed to put the parts together")?;
        let version = self.proven(&upload.key, &made, crc, size)?;
        // What could not be removed stays in the list of uploads, and is cleaned up from there.
        let _ = self.abandon(upload);
        Ok(version)
    }

    /// Composes pieces until they are few enough for the last compose. What that makes is checked
    /// with the whole, which is made of it.
    fn gathered(
        &self,
        upload: &Upload,
        names: &Temporary,
        mut pieces: Vec<Piece>,
    ) -> Result<Vec<Piece>, Failure> {
        let composed = AtomicU32::new(0);
        let mut fields = Fields::default();
        fields.metadata.insert(temporary::KEY.to_owned(), upload.key.clone());
        while pieces.len() > SOURCES_MAX {
            let groups: Vec<&[Piece]> = pieces.chunks(SOURCES_MAX).collect();
            let made = together::each(&groups, |group| {
                let name = names.composed(composed.fetch_add(1, Ordering::Relaxed));
                let (size, crc) = joined(group);
                let made = self.compose(&name, group, &fields, Condition::Any)?;
                Ok(Piece { name, generation: made.generation, size, crc })
            })?;
            pieces = made;
        }
        Ok(pieces)
    }

    fn compose(
        &self,
        name: &str,
        pieces: &[Piece],
        fields: &Fields,
        condition: Condition,
    ) -> Result<Resource, Failure> {
        let sources = pieces.iter();
        let source_objects =
            sources.map(|piece| Source { name: &piece.name, generation: &piece.generation });
        let body = Compose { source_objects: source_objects.collect(), destination: fields };
        let body = serde_json::to_vec(&body);
        let body = body.map_err(|_| garbled(None, "the metadata cannot be written"))?;
        let path = format!("{}/compose", self.object("", name));
        let request = self
            .written(self.request(Verb::Control, "POST", path), COMPOSE)
            .query("fields", FIELDS)
            .header("content-type", "application/json")
            .body(&body);
        match self.ask(&conditioned(request, condition)) {
            // What is not there is a part: it was removed by others, or by an attempt that ended.
            Err(failure) if failure.class == Class::NotFound => {
                Err(Failure { class: Class::NoUpload, ..failure })
            }
            answer => answer,
        }
    }
}

fn piece(names: &Temporary, part: &Part) -> Result<Piece> {
    let crc = match part.digest {
        Some(Whole { algorithm: Algorithm::Crc32c, value }) => value as u32,
        _ => return Err(mismatch("the store does not tell the checksum of a part")),
    };
    let name = names.part(part.index);
    Ok(Piece { name, generation: part.tag.clone(), size: part.size, crc })
}

/// Size and CRC-32C of pieces behind each other.
fn joined(pieces: &[Piece]) -> (u64, u32) {
    let (size, crc) = pieces.iter().fold((0, 0), |(size, crc), piece| {
        (size + piece.size, CRC32C.join(crc, u64::from(piece.crc), piece.size))
    });
    (size, crc as u32)
}

fn mismatch(message: &str) -> EngineError {
    EngineError::new(Kind::VerifyMismatch, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::resource::crc;
    use super::*;

    #[test]
    fn checksums_of_pieces_join_in_their_order() {
        let bytes: Vec<u8> = (0..5_000u32).map(|n| (n * 7) as u8).collect();
        let piece = |bytes: &[u8]| Piece {
            name: String::new(),
            generation: String::new(),
            size: bytes.len() as u64,
            crc: crc(bytes, None),
        };
        let pieces: Vec<Piece> = bytes.chunks(777).map(piece).collect();
        assert_eq!(joined(&pieces), (5_000, crc(&bytes, None)));
        assert_eq!(joined(&[]), (0, crc(b"", None)));
    }
}
