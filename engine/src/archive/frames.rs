//! A tar in members of a compressed file whose sizes are known: read in any order, by several
//! threads, the frames met last kept.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use crate::archive::plain::Plain;
use crate::codec::contract::MemberDecoder;
use crate::codec::{
    Caps, Codec, Extent, Frame, Packing, SEEK_TABLE_FOOTER_BYTES, SKIPPABLE_HEAD_BYTES, SeekTable,
    Table, is_skippable,
};
use crate::endpoint::contract::Reader;
use crate::error::{EngineError, Kind, Result};
use crate::limits::FRAME_TABLE_BYTES;

/// Where a frame begins, stored and plain.
#[derive(Clone, Copy, Debug)]
struct Place {
    stored: u64,
    plain: u64,
    frame: Frame,
}

/// A frame's content, decoded by whoever comes first.
type Cell = Arc<OnceLock<Result<Vec<u8>>>>;

/// A compressed tar with a table of its frames.
pub struct Frames {
    reader: Box<dyn Reader>,
    codec: &'static Codec,
    places: Vec<Place>,
    /// Frames kept or being decoded, the one met last in front.
    kept: Mutex<VecDeque<(usize, Cell)>>,
    decoded: Condvar,
    kept_max: usize,
    decoders: Mutex<Vec<Box<dyn MemberDecoder>>>,
}

/// The frames of a file; `None` where they cannot be told or are not what their table says, or where tables of them would take more
/// memory than `table_bytes`. Frames without plain bytes may be of any length.
///
/// # Errors
/// Those of the reader.
pub fn table(reader: &dyn Reader, codec: &Codec, table_bytes: u64) -> Result<Option<Vec<Frame>>> {
    let most = table_bytes / FRAME_TABLE_BYTES;
    let frames = match codec.table {
        Table::Seek => by_seek_table(reader, most)?,
        Table::Headers => by_headers(reader, codec, most)?,
        Table::Untold => None,
    };
    let Packing::Members { block_bytes, bound, .. } = codec.packing else {
        return Ok(None);
    };
    let small = |frame: &Frame| {
        frame.plain == 0
            || (frame.plain as usize <= block_bytes && frame.stored as usize <= bound(block_bytes))
    };
    Ok(frames.filter(|frames| frames.iter().all(small)))
}

fn by_seek_table(reader: &dyn Reader, most: u64) -> Result<Option<Vec<Frame>>> {
    let (size, _) = reader.facts();
    let mut footer = [0; SEEK_TABLE_FOOTER_BYTES];
    let Some(at) = size.checked_sub(footer.len() as u64) else {
        return Ok(None);
    };
    read_exactly(reader, at, &mut footer)?;
    let table = SeekTable::of_footer(&footer).filter(|table| table.frames() <= most);
    let table = table.map(|table| (table, table.bytes()));
    let Some((table, bytes)) = table.filter(|(_, bytes)| *bytes <= size) else {
        return Ok(None);
    };
    let mut stored = vec![0; bytes as usize];
    read_exactly(reader, size - bytes, &mut stored)?;
    let frames = table.entries(&stored);
    let sum = |frames: &Vec<Frame>| frames.iter().map(|frame| u64::from(frame.stored)).sum::<u64>();
    let Some(frames) = frames.filter(|frames| sum(frames) == size - bytes) else {
        return Ok(None);
    };
    Ok(hides_nothing(reader, &frames)?.then_some(frames))
}

/// Whether the frames that a table gives no plain bytes have none: they are never decoded, and
/// what a table hides so would still be there for whoever reads the file in order.
fn hides_nothing(reader: &dyn Reader, frames: &[Frame]) -> Result<bool> {
    let mut at = 0;
    for frame in frames {
        if frame.plain == 0 {
            let mut head = [0; SKIPPABLE_HEAD_BYTES];
            if (frame.stored as usize) < head.len() {
                return Ok(false);
            }
            read_exactly(reader, at, &mut head)?;
            if !is_skippable(&head, frame.stored) {
                return Ok(false);
            }
        }
        at += u64::from(frame.stored);
    }
    Ok(true)
}

/// Goes from header to header: our own gzip members tell their sizes.
fn by_headers(reader: &dyn Reader, codec: &Codec, most: u64) -> Result<Option<Vec<Frame>>> {
    let (size, _) = reader.facts();
    let (mut at, mut frames) = (0, Vec::new());
    let mut head = [0; 64];
    while at < size {
        let count = (size - at).min(head.len() as u64) as usize;
        let head = head.get_mut(..count).unwrap_or_default();
        read_exactly(reader, at, head)?;
        match (codec.extent)(head) {
            Ok(Extent::Known(frame)) if frame.stored > 0 => {
                frames.push(frame);
                at += u64::from(frame.stored);
            }
            // Zeros behind the last member are padding.
            _ if !frames.is_empty() && head.iter().all(|byte| *byte == 0) => break,
            _ => return Ok(None),
        }
        if frames.len() as u64 > most {
            return Ok(None);
        }
    }
    Ok((at <= size).then_some(frames))
}

/// Reads all of a range.
///
/// # Errors
/// `SourceCorrupt` when the file ends before it.
pub fn read_exactly(reader: &dyn Reader, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match reader.read_at(offset + count as u64, rest)? {
            0 => return Err(damaged("it ends too early", offset + count as u64)),
            more => count += more,
        }
    }
    Ok(())
}

/// A damaged archive, at this stored offset.
pub fn damaged(why: &str, offset: u64) -> EngineError {
    EngineError::new(Kind::SourceCorrupt, why).offset(offset)
}

impl Frames {
    /// A compressed tar with these frames, of which `kept_max` are in memory at most.
    ///
    /// # Errors
    /// `OutputLimit`.
    pub fn new(
        reader: Box<dyn Reader>,
        codec: &'static Codec,
        frames: &[Frame],
        kept_max: usize,
        caps: Caps,
    ) -> Result<Self> {
        let (mut stored, mut plain) = (0, 0);
        let mut places = Vec::with_capacity(frames.len());
        for frame in frames {
            if frame.plain > 0 {
                places.push(Place { stored, plain, frame: *frame });
            }
            stored += u64::from(frame.stored);
            plain += u64::from(frame.plain);
        }
        caps.check(stored, plain)?;
        Ok(Self {
            reader,
            codec,
            places,
            kept: Mutex::default(),
            decoded: Condvar::new(),
            kept_max: kept_max.max(1),
            decoders: Mutex::default(),
        })
    }

    /// The frame that holds this plain offset.
    fn find(&self, offset: u64) -> Option<(usize, Place)> {
        let behind = self.places.partition_point(|place| place.plain <= offset);
        let index = behind.checked_sub(1)?;
        let place = *self.places.get(index)?;
        (offset < place.plain + u64::from(place.frame.plain)).then_some((index, place))
    }

    /// A frame's cell, taking the room of one that nobody decodes.
    fn cell(&self, index: usize) -> Cell {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = kept.iter().position(|(other, _)| *other == index) {
                let entry = kept.remove(at).unwrap_or_default();
                let cell = Arc::clone(&entry.1);
                kept.push_front(entry);
                return cell;
            }
            if kept.len() >= self.kept_max {
                let Some(at) = kept.iter().rposition(|(_, cell)| cell.get().is_some()) else {
                    kept = self.decoded.wait(kept).unwrap_or_else(PoisonError::into_inner);
                    continue;
                };
                kept.remove(at);
            }
            kept.push_front((index, Cell::default()));
        }
    }

    fn decode(&self, place: Place) -> Result<Vec<u8>> {
        let mut stored = vec![0; place.frame.stored as usize];
        read_exactly(&*self.reader, place.stored, &mut stored)?;
        let mut plain = vec![0; place.frame.plain as usize];
        let spare = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = spare.map_or_else(self.codec.member_decoder, Ok)?;
        let unpacked = decoder.unpack(&stored, &mut plain);
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
        unpacked.map_err(|error| error.offset(place.stored))?;
        Ok(plain)
    }
}

impl Plain for Frames {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let Some((index, place)) = self.find(offset) else {
            return Ok(0);
        };
        let cell = self.cell(index);
        let decoded = cell.get_or_init(|| self.decode(place));
        // Under the lock, so that nobody looks for room just before and waits just after.
        drop(self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        self.decoded.notify_all();
        let plain = decoded.as_ref().map_err(Clone::clone)?;
        let rest = plain.get((offset - place.plain) as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn unchanged(&self) -> Result<bool> {
        self.reader.unchanged()
    }
}
