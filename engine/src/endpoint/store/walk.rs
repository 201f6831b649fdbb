//! Listings read ahead, several prefixes at once, told in order; and flat keys turned into
//! directories that are entered and left.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::endpoint::contract::{Descend, Visitor};
use crate::error::Result;
use crate::limits::{LISTED_AT_ONCE, LISTED_PAGES_AHEAD, LISTED_PREFIXES_MAX};
use crate::model::path::ItemPath;
use crate::model::selection::Selection;

use super::bucket::Bucket;
use super::source::directory;
use super::turns::Turns;
use super::verbs::{Ask, Object, Page, Store};

/// Entries asked for at once: what every store gives.
pub(super) const PAGE_ENTRIES: usize = 1000;

type Objects = Result<Vec<Object>>;

/// Tells all objects beneath a prefix, page by page, in the store's order. Memory is that of a few
/// pages, however many there are.
///
/// # Errors
/// A page that cannot be had, and what `each` answers. Nothing may be concluded from what was told
/// before an error.
pub(super) fn pages(
    store: &dyn Store,
    prefix: &str,
    each: &mut dyn FnMut(Vec<Object>) -> Result<()>,
) -> Result<()> {
    let ask = Ask { prefix, folded: false, next: None, most: PAGE_ENTRIES };
    let Page { objects, next, .. } = store.list(&ask)?;
    let Some(next) = next else {
        return each(objects);
    };
    // More than a page: worth a look whether it falls into a few prefixes.
    let folded = store.list(&Ask { folded: true, ..ask })?;
    let few = (2..=LISTED_PREFIXES_MAX).contains(&folded.prefixes.len());
    if few && folded.next.is_none() {
        return at_once(store, segments(folded), each);
    }
    each(objects)?;
    let (sender, receiver) = bounded(LISTED_PAGES_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || list(store, prefix, Some(next), &sender));
        receiver.into_iter().try_for_each(|objects| each(objects?))
    })
}

/// What a folded page tells, in the order of keys.
enum Segment {
    Objects(Vec<Object>),
    Prefix(String),
}

fn segments(page: Page) -> Vec<Segment> {
    let mut objects = page.objects.into_iter().peekable();
    let mut segments = Vec::new();
    for prefix in page.prefixes {
        let mut before = Vec::new();
        while let Some(object) = objects.next_if(|object| object.key < prefix) {
            before.push(object);
        }
        segments.push(Segment::Objects(before));
        segments.push(Segment::Prefix(prefix));
    }
    segments.push(Segment::Objects(objects.collect()));
    segments
}

/// Lists the prefixes among `segments`, several at once, and tells all in their order.
fn at_once(
    store: &dyn Store,
    segments: Vec<Segment>,
    each: &mut dyn FnMut(Vec<Object>) -> Result<()>,
) -> Result<()> {
    let prefixes: Vec<&str> = segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Prefix(prefix) => Some(prefix.as_str()),
            Segment::Objects(_) => None,
        })
        .collect();
    let (senders, receivers): (Vec<_>, Vec<Receiver<Objects>>) =
        prefixes.iter().map(|_| bounded(LISTED_PAGES_AHEAD)).unzip();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let senders: Vec<_> =
        senders.into_iter().map(|sender| std::sync::Mutex::new(Some(sender))).collect();
    let work = || {
        while !stop.load(Ordering::Acquire) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(prefix), Some(sender)) = (prefixes.get(at), senders.get(at)) else {
                return;
            };
            let sender = sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            if let Some(sender) = sender {
                list(store, prefix, None, &sender);
            }
        }
    };
    let mut receivers = receivers.into_iter();
    std::thread::scope(|scope| {
        for _ in 0..prefixes.len().min(LISTED_AT_ONCE) {
            scope.spawn(work);
        }
        let told = segments.iter().try_for_each(|segment| match segment {
            Segment::Objects(objects) if objects.is_empty() => Ok(()),
            Segment::Objects(objects) => each(objects.clone()),
            Segment::Prefix(_) => {
                let pages = receivers.next().into_iter().flatten();
                pages.into_iter().try_for_each(|objects| each(objects?))
            }
        });
        stop.store(true, Ordering::Release);
        // Whoever waits to hand on a page sees that nobody takes it.
        drop(receivers);
        told
    })
}

/// Lists a prefix to its end, handing on each page. Ends early when nobody takes them any more.
fn list(store: &dyn Store, prefix: &str, from: Option<String>, pages: &Sender<Objects>) {
    let mut turns = Turns::after(from);
    loop {
        let ask = Ask { prefix, folded: false, next: turns.token(), most: PAGE_ENTRIES };
        let went = store.list(&ask).and_then(|page| Ok((turns.go_on(&page)?, page.objects)));
        match went {
            Ok((more, objects)) => {
                if pages.send(Ok(objects)).is_err() || !more {
                    return;
                }
            }
            Err(error) => {
                drop(pages.send(Err(error)));
                return;
            }
        }
    }
}

/// Turns keys into directories entered and left.
pub(super) struct Nested<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) selection: &'a Selection,
    pub(super) visitor: &'a mut dyn Visitor,
    /// What all keys begin with.
    pub(super) prefix: String,
    /// Whether the root was entered, and whether it was left out.
    pub(super) begun: bool,
    pub(super) left_out: bool,
    open: Vec<Vec<u8>>,
    skipped: Option<Vec<Vec<u8>>>,
}

impl<'a> Nested<'a> {
    pub(super) fn new(
        bucket: &'a Bucket,
        selection: &'a Selection,
        visitor: &'a mut dyn Visitor,
    ) -> Self {
        Self {
            bucket,
            selection,
            visitor,
            prefix: bucket.beneath(),
            begun: false,
            left_out: false,
            open: Vec::new(),
            skipped: None,
        }
    }

    /// Enters the directories above `path`; false where one of them is left out.
    pub(super) fn open_parents(&mut self, path: &ItemPath) -> Result<bool> {
        if !self.begin()? {
            return Ok(false);
        }
        let parts: Vec<&[u8]> = path.parts().collect();
        let parents = parts.get(..parts.len().saturating_sub(1)).unwrap_or_default();
        let is_below = |skipped: &Vec<Vec<u8>>| {
            skipped.len() <= parents.len() && skipped.iter().zip(parents).all(|(a, b)| a == b)
        };
        if self.skipped.as_ref().is_some_and(is_below) {
            return Ok(false);
        }
        let same = self.open.iter().zip(parents).take_while(|(a, b)| a == *b).count();
        self.close_to(same)?;
        for part in parents.iter().skip(same) {
            self.open.push(part.to_vec());
            let inside = ItemPath::parse(&self.open.join(&b'/'))?;
            if self.visitor.enter(directory(inside))? == Descend::Skip {
                self.skipped = Some(self.open.clone());
                self.open.pop();
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn close_to(&mut self, depth: usize) -> Result<()> {
        while self.open.len() > depth {
            self.open.pop();
            self.visitor.leave()?;
        }
        Ok(())
    }
}
