//! Put Block List: makes an object of the blocks of one upload, and looks that it did.

use crate::endpoint::azure::block::BlockName;
use crate::endpoint::azure::block_list::Block;
use crate::endpoint::azure::container::{Container, garbled};
use crate::endpoint::azure::{checks, properties, put_block};
use crate::endpoint::contract::destination_changed;
use crate::endpoint::store::verbs::{Condition, Part, Put, Upload};
use crate::error::{EngineError, Kind, Result};
use crate::model::crc_join::CRC64_NVME;
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Verb};

const DOING: &str = "failed to complete the object";
const LOOKING: &str = "failed to see what the completed object is made of";

impl Container {
    /// Commits the parts, which are in order and without gaps.
    pub(super) fn put_block_list(
        &self,
        upload: &Upload,
        parts: &[Part],
        put: &Put,
    ) -> Result<Version> {
        let blocks = in_order(put_block::nonce(upload)?, parts)?;
        compare_whole(parts, put)?;
        let body = document(&blocks);
        let request = self.blob(Verb::Control, "PUT", &upload.key)?;
        let mut request = request.query("comp", "blocklist").body(body.as_bytes());
        request.headers.set("content-type", "application/xml");
        self.written.add(&mut request, put)?;
        self.add_key(&mut request);
        let version = match self.send_checked(&request, checks::crc64(body.as_bytes())) {
            Ok(answer) => {
                let version = answer.headers.get("etag").and_then(properties::version);
                version.ok_or_else(|| garbled(DOING, "its version is missing"))?
            }
            Err(failure) => self.settle_blocks(&upload.key, put, &failure)?,
        };
        self.confirm(&upload.key, version, &blocks)?;
        Ok(version)
    }

    /// As [`Container::settle`]. Blocks are gone when anybody committed something under the key,
    /// this very upload included.
    fn settle_blocks(&self, key: &str, put: &Put, failure: &Failure) -> Result<Version> {
        let error = match self.settle(key, put, failure, DOING) {
            Ok(object) => return Ok(object.version),
            Err(error) => error,
        };
        if failure.class != Class::NoUpload {
            return Err(error);
        }
        let standing = self.properties(key)?.map(|object| object.version);
        Err(match (&put.condition, standing) {
            (Condition::Absent, Some(_)) => {
                EngineError::new(Kind::DestinationExists, "the destination exists")
            }
            (Condition::Is(version), standing) if standing != Some(*version) => {
                destination_changed()
            }
            _ => error,
        })
    }

    /// The service checks no checksum of the whole: what it made is compared with what was sent,
    /// block by block. What it should not have made is taken away again. What cannot be looked at
    /// stands there all the same, and is told.
    fn confirm(&self, key: &str, version: Version, sent: &[Block]) -> Result<()> {
        let made = match self.committed(key) {
            Ok(made) => made,
            Err(error) if error.kind() == Kind::ObjectArchived => {
                return self.confirm_size(key, version, sent);
            }
            Err(error) => {
                self.ties.left.doubt(error.at(key));
                return Ok(());
            }
        };
        let Some(made) = made.filter(|made| made.version == Some(version)) else {
            return Err(replaced());
        };
        if made.blocks == sent {
            return Ok(());
        }
        Err(self.take_away(key, version))
    }

    /// As [`Container::confirm`], of what went to the archive tier as soon as it was there.
    fn confirm_size(&self, key: &str, version: Version, sent: &[Block]) -> Result<()> {
        let size = sent.iter().map(|block| block.size).sum::<u64>();
        let standing = match self.properties(key) {
            Ok(standing) => standing,
            Err(error) => {
                self.ties.left.doubt(error.at(key));
                return Ok(());
            }
        };
        match standing {
            Some(made) if (made.version, made.size) == (version, size) => Ok(()),
            Some(made) if made.version == version => Err(self.take_away(key, version)),
            _ => Err(replaced()),
        }
    }

    fn take_away(&self, key: &str, version: Version) -> EngineError {
        let kept =
            if self.delete(key, version).unwrap_or(false) { "removed" } else { "left there" };
        let why = format!("the object is not made of the blocks that were sent, and was {kept}");
        EngineError::new(Kind::VerifyMismatch, why)
    }
}

fn replaced() -> EngineError {
    let why = "it was replaced or removed as soon as it was there";
    destination_changed().because(format!("{LOOKING}: {why}"), None)
}

/// The blocks to be committed. What is not this upload's, or not in order, is never committed.
fn in_order(nonce: &str, parts: &[Part]) -> Result<Vec<Block>> {
    let wrong = |why: &str| EngineError::new(Kind::Internal, why.to_owned());
    let mut blocks = Vec::with_capacity(parts.len());
    for (at, part) in (0_u32..).zip(parts) {
        let name = BlockName::decode(&part.tag).filter(|name| name.nonce == nonce);
        let name = name.ok_or_else(|| wrong("a part is no block of its upload"))?;
        if name.index != at || part.index != at {
            return Err(wrong("parts are not in order, or some are missing"));
        }
        blocks.push(Block { name: part.tag.clone(), size: part.size });
    }
    Ok(blocks)
}

/// The checksum of the whole, joined from its blocks', against the one that was computed.
fn compare_whole(parts: &[Part], put: &Put) -> Result<()> {
    let Some(wanted) = checks::known(put.digest) else { return Ok(()) };
    let crcs = parts.iter().map(|part| Some((BlockName::decode(&part.tag)?.crc, part.size)));
    let join = |whole, (crc, size)| CRC64_NVME.join(whole, crc, size);
    let joined = crcs.flatten().fold(0, join);
    if joined == wanted {
        return Ok(());
    }
    let why = "the blocks do not make the content: its checksum is another one";
    Err(EngineError::new(Kind::VerifyMismatch, why))
}

fn document(blocks: &[Block]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>");
    for block in blocks {
        // Base64 needs no escapes. Only blocks that wait are meant: a block of that name which is
        // part of the blob already is none of this upload.
        text.extend(["<Uncommitted>", &block.name, "</Uncommitted>"]);
    }
    text + "</BlockList>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::store::verbs::Whole;
    use crate::model::digest::Algorithm;

    const NONCE: &str = "0123456789abcdef";

    fn part(index: u32, bytes: &[u8]) -> Part {
        let crc = checks::crc64(bytes);
        let tag = BlockName { nonce: NONCE.to_owned(), index, crc }.encoded();
        Part { index, size: bytes.len() as u64, tag, digest: None }
    }

    #[test]
    fn only_all_blocks_of_the_upload_in_their_order_are_committed() {
        let parts = [part(0, b"a"), part(1, b"b")];
        let blocks = in_order(NONCE, &parts).unwrap();
        let text = document(&blocks);
        assert!(text.find(&parts[0].tag) < text.find(&parts[1].tag));
        assert!(!text.contains("<Latest>"));
        for wrong in [
            vec![part(1, b"b"), part(0, b"a")],
            vec![part(0, b"a"), part(2, b"c")],
            vec![part(0, b"a"), part(0, b"a")],
            vec![Part { index: 1, ..part(0, b"a") }],
            vec![Part { tag: "QQ==".into(), ..part(0, b"a") }],
        ] {
            assert_eq!(in_order(NONCE, &wrong).unwrap_err().kind(), Kind::Internal);
        }
        assert!(in_order("fedcba9876543210", &parts).is_err());
    }

    #[test]
    fn blocks_that_do_not_make_the_content_are_not_committed() {
        let parts = [part(0, b"Hello "), part(1, b""), part(2, b"Azure!")];
        let put = |value| Put {
            condition: Condition::Any,
            metadata: Vec::new(),
            content_type: None,
            fields: Vec::new(),
            digest: Some(Whole { algorithm: Algorithm::Crc64Nvme, value }),
        };
        let right = put(checks::crc64(b"Hello Azure!"));
        compare_whole(&parts, &right).unwrap();
        let error = compare_whole(&[part(0, b"Azure!"), part(1, b"Hello ")], &right).unwrap_err();
        assert_eq!(error.kind(), Kind::VerifyMismatch);
    }
}
