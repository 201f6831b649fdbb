//! What is printed beside results: items of `checksum`, or the ends of many commands.

use migration_protocol::event::{Item, ItemStatus};
use migration_protocol::fault::printable;

use crate::cli::screen::{Colour, Screen};
use crate::cli::view::{fault, words};
use crate::pipeline::manifest::sums_line;

/// What is printed beside results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Nothing: the one result says it all.
    Nothing,
    /// Which command each result is of.
    Commands,
    /// `hex  name`, as `sha256sum` prints and reads it.
    Sums,
    /// `algorithm:hex` for each digest, then the name.
    Columns,
    /// `name: ok` or `name: FAILED`.
    Verdicts,
}

impl Listing {
    /// Whether every item is shown.
    #[must_use]
    pub fn shows_items(self) -> bool {
        matches!(self, Self::Sums | Self::Columns | Self::Verdicts)
    }

    /// Whether the items are all that is printed.
    #[must_use]
    pub fn is_items_only(self) -> bool {
        matches!(self, Self::Sums | Self::Columns)
    }
}

/// Prints an item.
pub fn print(screen: &Screen, listing: Listing, item: &Item) {
    match (listing, item.status) {
        (Listing::Nothing | Listing::Commands, _)
        | (_, ItemStatus::Skipped | ItemStatus::Deleted) => {}
        (Listing::Verdicts, ItemStatus::Ok) => {
            let word = screen.paint_out(Colour::Green, "ok");
            screen.line(format!("{}: {word}", words::name(&item.path)));
        }
        (Listing::Verdicts, ItemStatus::Failed) => {
            let word = screen.paint_out(Colour::Red, "FAILED");
            let why = item.error.as_ref().map(|error| printable(&error.message));
            let why = why.unwrap_or_default();
            screen.line(format!("{}: {word} ({why})", words::name(&item.path)));
        }
        (_, ItemStatus::Failed) => {
            if let Some(error) = &item.error {
                screen.note(&fault::short(error.code, &item.path, &error.message));
            }
        }
        (_, ItemStatus::Ok) => screen.line(digest_line(screen, listing, item)),
    }
}

fn digest_line(screen: &Screen, listing: Listing, item: &Item) -> Vec<u8> {
    let digests = item.digests.iter().map(|(algorithm, hex)| match listing {
        Listing::Columns => format!("{algorithm}:{hex}"),
        _ => hex.clone(),
    });
    let digests = digests.collect::<Vec<_>>().join("  ");
    if screen.out_is_terminal() {
        return format!("{digests}  {}", words::name(&item.path)).into_bytes();
    }
    let mut line = sums_line(&item.path.bytes().unwrap_or_default(), &digests);
    line.pop();
    line
}
