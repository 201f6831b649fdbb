//! A bucket as a sink of items.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use crate::endpoint::contract::{
    Becoming, Caps, Doomed, EachEntry, EachMarked, Intake, LeaseCell, ObjectSink, Place, Shape,
    Staged, Target,
};
use crate::error::{EngineError, Kind, Result};
use crate::model::choice::{Carry, Consent, Durable};
use crate::model::digest::Digest;
use crate::model::extended::Extended;
use crate::model::found::{Found, Mark};
use crate::model::item::{Attributes, Handle, ItemKind};
use crate::model::loss::Loss;
use crate::model::version::Version;

use super::bucket::Bucket;
use super::intake::{ObjectIntake, Sealed, Sealing, State, abandon, token_of};
use super::lease::ObjectLease;
use super::parts::Cut;
use super::source::Home;
use super::token::{Token, write_number};
use super::turns::Turns;
use super::verbs::{Ask, Condition, From, Object, Put, Rules};
use super::walk::PAGE_ENTRIES;
use super::{metadata, parts};

/// The parts of what the store copies by itself: 5 GiB are 40 requests, and each is over soon enough
/// to be sent again.
const SERVED_PART_BYTES: u64 = 128 << 20;

/// The prefix of a place: empty, or with a slash at its end.
fn prefix_in(place: &Place) -> Result<String> {
    let key = place.handle.get::<String>().map(|key| (*key).clone());
    key.ok_or_else(|| EngineError::new(Kind::Internal, "not a place of an object store"))
}

/// Whether what failed so may go well in the next attempt, with the same parts.
fn passes(kind: Kind) -> bool {
    use Kind::{
        Cancelled, CredentialsExpired, RemoteAnswer, RemoteTimeout, RemoteUnavailable, Throttled,
    };
    matches!(
        kind,
        Cancelled
            | CredentialsExpired
            | RemoteAnswer
            | RemoteTimeout
            | RemoteUnavailable
            | Throttled
    )
}

fn found(object: &Object) -> Found {
    let said = metadata::mtime_of(object);
    Found {
        kind: ItemKind::File,
        size: object.size,
        mtime: said.unwrap_or(object.modified),
        mark: Mark {
            ino: metadata::write_of(object),
            size: object.size,
            mtime: said.unwrap_or_default(),
            version: object.version,
            ..Mark::default()
        },
        link: None,
        folded: false,
        special: None,
    }
}

impl Bucket {
    fn intake(
        &self,
        at: &Place,
        write: u64,
        shape: Shape,
        becoming: Becoming<'_>,
    ) -> Result<ObjectIntake> {
        let bytes = shape.bytes;
        let rules = self.store.rules();
        let Becoming { target, attributes } = becoming;
        let key = self.names.key(&prefix_in(at)?, &target.name)?;
        let (metadata, lost) = metadata::of(&self.options, attributes, target, write);
        let condition = self.condition(target.consent)?;
        let by_name = || super::content_type::of_name(&key).map(Cow::Borrowed);
        let told = target.extended.content_type.clone().map(Cow::Owned);
        let content_type = told.or_else(by_name);
        let fields = target.extended.fields.clone();
        let intake = ObjectIntake {
            store: Arc::clone(&self.store),
            rules,
            key,
            put: Put { condition, metadata, content_type, fields, digest: None },
            lost,
            // The location's own tags take their place.
            tagged: target.extended.tagged && self.options.tags.is_empty(),
            write,
            cut: Mutex::new(self.cut(&rules, shape)),
            resumes: shape.resumes,
            left: Arc::clone(&self.left),
            over: Arc::clone(&self.over),
            state: Mutex::new(State::default()),
        };
        intake.reserve(bytes)?;
        Ok(intake)
    }

    fn cut(&self, rules: &Rules, shape: Shape) -> Cut {
        match (shape.open, shape.served) {
            (true, _) => Cut::growing(rules, self.part_bytes_of(0), self.memory_bytes),
            (false, false) => Cut::equal(rules, self.part_bytes_of(shape.bytes)),
            (false, true) => {
                let wanted = self.options.part_bytes.or(Some(SERVED_PART_BYTES));
                Cut::equal(rules, parts::part_bytes(rules, wanted, 0, shape.bytes))
            }
        }
    }

    fn part_bytes_of(&self, bytes: u64) -> u64 {
        parts::part_bytes(&self.store.rules(), self.options.part_bytes, self.memory_bytes, bytes)
    }

    /// What a consent means to the store. One that cannot hold a condition is used only where that
    /// was allowed: it looks right before it writes.
    fn condition(&self, consent: Consent) -> Result<Condition> {
        let rules = self.store.rules();
        let (holds, condition) = match consent {
            Consent::New => (rules.creates_only, Condition::Absent),
            Consent::Replace(seen) => (rules.replaces_only, Condition::Is(seen.version)),
        };
        if holds || self.options.allow_racy {
            return Ok(condition);
        }
        let message = "the store cannot tell whether a name is taken when it is given";
        Err(EngineError::new(Kind::NoAtomicNoreplace, message)
            .hint("allow_racy:true of the location writes all the same"))
    }

    fn give(&self, staged: Staged) -> Result<()> {
        let Ok(sealing) = staged.inner.downcast::<Sealing>() else {
            return Err(EngineError::new(Kind::Internal, "not an item of an object store"));
        };
        let given = self.given(&sealing);
        let taken = |error: &EngineError| error.kind() == Kind::DestinationExists;
        if given.as_ref().is_err_and(taken) {
            self.listings.came(&sealing.key);
        }
        match &given {
            Err(error) if sealing.resumes && passes(error.kind()) => self.left.keep(),
            Err(_) => self.drop_upload(&sealing),
            Ok(_) => self.end(&sealing),
        }
        given.map(drop)
    }

    fn given(&self, sealing: &Sealing) -> Result<Version> {
        let Sealing { key, content, put, .. } = sealing;
        let given = self.put(content, key, put);
        let is = matches!(put.condition, Condition::Is(_));
        let changed = |error: &EngineError| error.kind() == Kind::DestinationChanged;
        if is && given.as_ref().is_err_and(changed) && self.store.look(key)?.is_none() {
            // What was to be replaced is gone: the name is free, and taken only as long as it is.
            let put = Put { condition: Condition::Absent, ..put.clone() };
            return self.put(content, key, &put);
        }
        given
    }

    fn put(&self, content: &Sealed, key: &str, put: &Put) -> Result<Version> {
        match content {
            Sealed::Copied(from) => self.copied(from, key, put),
            Sealed::Whole(bytes) => self.store.put(key, (**bytes).as_ref(), put),
            Sealed::Parts(upload, parts) => self.store.complete(upload, parts, put),
        }
    }

    /// Has the store copy an object of its own, and compares what it says of both.
    fn copied(&self, from: &From, key: &str, put: &Put) -> Result<Version> {
        let declined = |why: &str| EngineError::new(Kind::CopyDeclined, why.to_owned());
        let copied = match self.store.copy(from, key, put) {
            Ok(copied) => copied.ok_or_else(|| declined("the store does not copy the object"))?,
            // It is read as it is now, from its beginning each time that it changes.
            Err(error) if error.kind() == Kind::SourceChanged => {
                return Err(declined("the object was replaced before it was copied"));
            }
            Err(error) => return Err(error),
        };
        let same = |digest: &Digest| {
            let theirs = copied.digests.iter().find(|d| d.algorithm == digest.algorithm);
            theirs.is_none_or(|theirs| theirs == digest)
        };
        if copied.size != from.object.size || !from.object.digests.iter().all(same) {
            let message = "the store's copy is not what it was made of";
            return Err(EngineError::new(Kind::VerifyMismatch, message));
        }
        Ok(copied.version)
    }

    fn drop_upload(&self, sealing: &Sealing) {
        if let Sealed::Parts(upload, _) = &sealing.content {
            abandon(&*self.store, sealing.write, upload, &self.left, &self.over);
        }
    }

    /// An upload that became an object needs no record any more.
    fn end(&self, sealing: &Sealing) {
        if let Sealed::Parts(upload, _) = &sealing.content {
            self.over.add(token_of(&*self.store, sealing.write, upload));
        }
    }
}

impl ObjectSink for Bucket {
    fn caps(&self) -> Caps {
        Self::caps(self.store.scheme())
    }

    fn root_place(&self) -> Result<(Place, Vec<u8>)> {
        if self.root.is_empty() {
            let message = "the destination is a bucket, and the source is not a tree";
            return Err(EngineError::new(Kind::DestinationType, message)
                .hint("name a key in the bucket, or end dst in a slash"));
        }
        let at = self.root.rfind('/').map_or(0, |at| at + 1);
        let (prefix, name) = self.root.split_at_checked(at).unwrap_or(("", &self.root));
        let (prefix, name) = (prefix.to_owned(), name.to_owned());
        Ok((self.place(prefix, false), name.into_bytes()))
    }

    fn root_directory(&self) -> Result<Place> {
        let made = !self.has_any(&self.beneath())?;
        Ok(self.place(self.beneath(), made))
    }

    fn enter(&self, place: &Place, name: &[u8]) -> Result<Place> {
        let prefix = prefix_in(place)?;
        let key = self.names.key(&prefix, name)?;
        if !place.made
            && !self.listings.lacks(&*self.store, &self.meter, &prefix, &key)?
            && self.store.look(&key)?.is_some()
        {
            let message = "another kind of thing stands at the destination";
            return Err(EngineError::new(Kind::DestinationType, message));
        }
        Ok(self.place(key + "/", place.made))
    }

    fn enter_prefix(&self, place: &Place, name: &[u8]) -> Result<Place> {
        let key = self.names.key(&prefix_in(place)?, name)?;
        Ok(self.place(key + "/", place.made))
    }

    fn found(&self, place: &Place, name: &[u8]) -> Result<Option<Found>> {
        let prefix = prefix_in(place)?;
        let key = self.names.key(&prefix, name)?;
        if self.listings.lacks(&*self.store, &self.meter, &prefix, &key)? {
            return Ok(None);
        }
        Ok(self.store.look(&key)?.as_ref().map(found))
    }

    fn copies(&self, from: &Handle) -> bool {
        let from = from.get::<Home>();
        from.is_some_and(|from| from.service == self.store.service())
    }

    fn part_bytes(&self, bytes: u64) -> Option<u64> {
        Some(self.part_bytes_of(bytes))
    }

    fn begin(
        &self,
        place: &Place,
        temp: &[u8],
        shape: Shape,
        becoming: Becoming<'_>,
    ) -> Result<Box<dyn Intake>> {
        Ok(Box::new(self.intake(place, write_number(temp), shape, becoming)?))
    }

    fn adopt(
        &self,
        place: &Place,
        old: &[u8],
        _: &[u8],
        _: Mark,
        shape: Shape,
        becoming: Becoming<'_>,
    ) -> Result<Option<Box<dyn Intake>>> {
        let Some(token) = Token::decode(old) else {
            return Ok(None);
        };
        // Its metadata went with its beginning, and the number of that write with it.
        let intake = self.intake(place, token.write, shape, becoming)?;
        if token.bucket != self.store.identity() || token.upload.key != intake.key {
            return Ok(None);
        }
        let Some(parts) = self.store.parts(&token.upload)? else {
            return Ok(None);
        };
        let state = State::adopted(token.upload, parts);
        Ok(Some(Box::new(ObjectIntake { state: Mutex::new(state), ..intake })))
    }

    fn link(&self, _: &Place, _: &[u8], _: &[u8], _: &Attributes, _: &Target) -> Result<Staged> {
        Err(EngineError::new(Kind::Unsupported, "object stores keep no links").hint(
            "symlinks:\"follow\" copies what they lead to, symlinks:\"skip\" leaves them out",
        ))
    }

    fn publish(&self, batch: Vec<Staged>, _durable: Durable) -> Vec<Result<()>> {
        batch.into_iter().map(|staged| self.give(staged)).collect()
    }

    fn discard(&self, staged: Staged) {
        if let Ok(sealing) = staged.inner.downcast::<Sealing>() {
            match sealing.resumes {
                true => self.left.keep(),
                false => self.drop_upload(&sealing),
            }
        }
    }

    fn leave(&self, _: &Place, _: &Attributes, _: &Extended, _: Carry) -> Result<Vec<Loss>> {
        Ok(Vec::new())
    }

    fn standing(&self) -> Result<Option<Place>> {
        Ok(Some(self.place(self.beneath(), false)))
    }

    fn inside(&self, place: &Place, name: &[u8]) -> Result<Option<Place>> {
        let beneath = self.names.key(&prefix_in(place)?, name)? + "/";
        Ok(self.has_any(&beneath)?.then(|| self.place(beneath, false)))
    }

    fn list(&self, place: &Place, each: &mut EachEntry<'_>) -> Result<()> {
        self.list_marked(place, &mut |name, (kind, _)| each(name, kind))
    }

    fn list_marked(&self, place: &Place, each: &mut EachMarked<'_>) -> Result<()> {
        let prefix = prefix_in(place)?;
        let mut turns = Turns::default();
        loop {
            let next = turns.token();
            let ask = Ask { prefix: &prefix, folded: true, next, most: PAGE_ENTRIES };
            let page = self.store.list(&ask)?;
            for folder in &page.prefixes {
                let name = folder.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix('/'));
                each(&self.part(name, folder)?, (Some(ItemKind::Directory), None))?;
            }
            for object in &page.objects {
                let name = object.key.strip_prefix(&prefix);
                // A marker of the prefix itself is nothing in it.
                if name == Some("") && object.size == 0 {
                    continue;
                }
                let Object { size, version, .. } = *object;
                let mark = Mark { size, version, ..Mark::default() };
                let mark = (!version.is_none()).then_some(mark);
                each(&self.part(name, &object.key)?, (Some(ItemKind::File), mark))?;
            }
            if !turns.go_on(&page)? {
                return Ok(());
            }
        }
    }

    fn remove(&self, place: &Place, name: &[u8], kind: ItemKind, seen: &Mark) -> Result<bool> {
        if kind != ItemKind::File {
            return Ok(false);
        }
        let key = self.names.key(&prefix_in(place)?, name)?;
        if !seen.version.is_none() && seen.ino == 0 {
            // Nothing but its version is known of it, which the store compares.
            return self.store.remove(&key, seen.version);
        }
        // Equal contents may have equal versions: whose write it was tells them apart.
        match self.store.look(&key)? {
            Some(object) if found(&object).mark == *seen => self.store.remove(&key, seen.version),
            _ => Ok(false),
        }
    }

    fn removes_at_once(&self, root: &Place) -> Result<usize> {
        self.store.removes_at_once(&self.names.key(&prefix_in(root)?, b"x")?)
    }

    fn remove_many(&self, doomed: &[Doomed<'_>]) -> Vec<Result<bool>> {
        // Of these nothing but the version is known, which the store compares.
        let object = |it: &Doomed<'_>| {
            let bound = it.kind == ItemKind::File && !it.seen.version.is_none() && it.seen.ino == 0;
            let key = || self.names.key(&prefix_in(it.place)?, it.name);
            bound.then(|| key().ok().map(|key| (key, it.seen.version))).flatten()
        };
        let objects: Vec<_> = doomed.iter().map(object).collect();
        let bound: Vec<_> = objects.iter().flatten().cloned().collect();
        let mut outcomes = self.store.remove_many(&bound).into_iter();
        let outcome = |(it, object): (&Doomed<'_>, Option<_>)| {
            let together = object.and_then(|_| outcomes.next());
            together.unwrap_or_else(|| self.remove(it.place, it.name, it.kind, it.seen))
        };
        doomed.iter().zip(objects).map(outcome).collect()
    }

    fn lease(&self, place: &Place) -> Result<Box<dyn LeaseCell>> {
        Ok(Box::new(ObjectLease::of(Arc::clone(&self.store), &prefix_in(place)?)))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

impl Bucket {
    /// The name of an entry right beneath a prefix.
    fn part(&self, name: Option<&str>, key: &str) -> Result<Vec<u8>> {
        let name = name.ok_or_else(|| {
            let message = "the listing tells a key outside of what was asked for";
            EngineError::new(Kind::RemoteAnswer, message).at(key)
        })?;
        Ok(self.names.path(name)?.as_bytes().to_vec())
    }
}
