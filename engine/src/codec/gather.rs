//! Collects a header that may lie across several inputs.

/// Bytes of a thing whose end is not there yet.
#[derive(Debug, Default)]
pub struct Gather(Vec<u8>);

impl Gather {
    /// Moves bytes from `input` until `need` are held. Answers how many were taken, and whether
    /// all are there now.
    pub fn fill(&mut self, input: &[u8], need: usize) -> (usize, bool) {
        let missing = need.saturating_sub(self.0.len());
        let part = input.get(..missing.min(input.len())).unwrap_or_default();
        self.0.extend_from_slice(part);
        (part.len(), self.0.len() >= need)
    }

    /// What is held.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Forgets what is held.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number in little-endian order at this place, as far as it is there.
pub fn little(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(len)?)?;
    Some(part.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
