//! Where events go: standard output as lines, or a screen.

use migration_protocol::event::Event;

/// Takes events in the order they are to be seen. No call waits for a reader.
pub trait Output: Send + Sync {
    /// Takes an event. Those of droppable kinds may be replaced by newer ones or dropped and
    /// counted when the reader is slow; the rest is kept.
    fn send(&self, event: Event);

    /// Waits until everything kept was written, or the reader is gone.
    fn finish(&self);

    /// Commands answered so far, by lines that were written: what bounds the input.
    fn answered(&self) -> u64;

    /// Whether the reader is gone.
    fn is_lost(&self) -> bool;
}
