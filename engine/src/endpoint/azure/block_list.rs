//! Get Block List: what a blob is made of, and what waits to be committed.

use serde::Deserialize;

use crate::endpoint::azure::block::BlockName;
use crate::endpoint::azure::container::{Container, garbled};
use crate::endpoint::azure::{properties, put_block, xml};
use crate::endpoint::store::verbs::{Part, Upload, Whole};
use crate::error::Result;
use crate::model::digest::Algorithm;
use crate::model::version::Version;
use crate::remote::call::{Class, Verb};

const DOING: &str = "failed to list the object's blocks";
/// Longest list, bytes: 50,000 blocks that are committed and 100,000 that are not, of some 130
/// bytes each.
const LIST_BYTES_MAX: usize = 32 << 20;

/// A block as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Block {
    /// Its name, in base64.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Blocks {
    #[serde(rename = "Block", default)]
    all: Vec<Block>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "BlockList", rename_all = "PascalCase")]
struct Lists {
    committed_blocks: Option<Blocks>,
    uncommitted_blocks: Option<Blocks>,
}

/// The blocks that a blob is made of.
pub struct Committed {
    /// In their order.
    pub blocks: Vec<Block>,
    /// The version that is made of them.
    pub version: Option<Version>,
}

impl Container {
    /// The blocks that a blob is made of; `None` where there is none.
    pub(super) fn committed(&self, key: &str) -> Result<Option<Committed>> {
        let Some((lists, version)) = self.block_list(key, "committed")? else { return Ok(None) };
        let blocks = lists.committed_blocks.ok_or_else(|| garbled(DOING, "a list is missing"))?;
        Ok(Some(Committed { blocks: blocks.all, version }))
    }

    /// Every upload's blocks under a key that wait to be committed, those of other writers left out.
    pub(super) fn waiting(&self, key: &str) -> Result<Vec<(BlockName, u64)>> {
        let Some((lists, _)) = self.block_list(key, "uncommitted")? else { return Ok(Vec::new()) };
        let blocks = lists.uncommitted_blocks.ok_or_else(|| garbled(DOING, "a list is missing"))?;
        let named = |block: Block| Some((BlockName::decode(&block.name)?, block.size));
        Ok(blocks.all.into_iter().filter_map(named).collect())
    }

    fn block_list(&self, key: &str, which: &str) -> Result<Option<(Lists, Option<Version>)>> {
        let request = self.blob(Verb::Look, "GET", key)?;
        let request = request.query("comp", "blocklist").query("blocklisttype", which);
        let (answer, body) = match self.client.fetch(&request, LIST_BYTES_MAX) {
            Ok(answer) => answer,
            Err(failure) if failure.class == Class::NotFound => return Ok(None),
            Err(failure) => return Err(self.error(&failure, Verb::Look, DOING)),
        };
        let lists = xml::read(&body).ok_or_else(|| garbled(DOING, "it is no list of blocks"))?;
        Ok(Some((lists, answer.headers.get("etag").and_then(properties::version))))
    }

    /// The parts of an upload. None at all is told as gone: committed, expired and never sent look
    /// the same.
    pub(super) fn blocks_of(&self, upload: &Upload) -> Result<Option<Vec<Part>>> {
        let nonce = put_block::nonce(upload)?;
        let waiting = self.waiting(&upload.key)?;
        let parts = parts(waiting.into_iter().filter(|(name, _)| name.nonce == nonce).collect());
        Ok(Some(parts).filter(|parts| !parts.is_empty()))
    }
}

/// Parts by index. An index that two different blocks stand for is left out: nobody knows which of
/// them was meant to stay.
fn parts(mut blocks: Vec<(BlockName, u64)>) -> Vec<Part> {
    blocks.sort_by_key(|(name, _)| name.index);
    let same = |left: &(BlockName, u64), right: &(BlockName, u64)| left.0.index == right.0.index;
    let single = blocks.chunk_by(same).filter_map(|chunk| match chunk {
        [(name, size)] => Some((name, *size)),
        _ => None,
    });
    let part = |(name, size): (&BlockName, u64)| Part {
        index: name.index,
        size,
        tag: name.encoded(),
        digest: Some(Whole { algorithm: Algorithm::Crc64Nvme, value: name.crc }),
    };
    single.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_strictly() {
        let list = b"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>\
            <CommittedBlocks><Block><Name>QQ==</Name><Size>3</Size></Block></CommittedBlocks>\
            <UncommittedBlocks /></BlockList>";
        let lists: Lists = xml::read(list).unwrap();
        let committed = lists.committed_blocks.unwrap().all;
        assert_eq!(committed, [Block { name: "QQ==".into(), size: 3 }]);
        assert!(lists.uncommitted_blocks.unwrap().all.is_empty());
        for cut in [list.len() - 1, 150, 100, 0] {
            assert!(xml::read::<Lists>(&list[..cut]).is_none(), "{cut}");
        }
        let hostile = [
            "<BlockList><CommittedBlocks><Block><Name>a</Name></Block></CommittedBlocks></BlockList>",
            "<BlockList><CommittedBlocks><Block><Name>a</Name><Size>-1</Size></Block>\
             </CommittedBlocks></BlockList>",
            "<!DOCTYPE a [<!ENTITY x \"1\">]><BlockList><CommittedBlocks><Block><Name>a</Name>\
             <Size>&x;</Size></Block></CommittedBlocks></BlockList>",
        ];
        for text in hostile {
            assert!(xml::read::<Lists>(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn an_index_that_two_blocks_stand_for_is_sent_again() {
        let block = |index, crc| (BlockName { nonce: "0".repeat(16), index, crc }, 5);
        let parts = parts(vec![block(2, 1), block(0, 1), block(1, 1), block(1, 2)]);
        let found: Vec<_> = parts.iter().map(|part| (part.index, part.size)).collect();
        assert_eq!(found, [(0, 5), (2, 5)]);
        assert_eq!(parts[0].digest.unwrap().value, 1);
    }
}
