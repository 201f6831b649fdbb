//! Keeps what was found, and renews it before its end: one thread does, others go on with the old
//! one while it is valid, and wait where there is none.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{EngineError, Kind, Result};
use crate::limits::{CREDENTIALS_FAILED_MS, CREDENTIALS_RENEW_MS, CREDENTIALS_YOUNG_MS};
use crate::model::item::Timestamp;
use crate::remote::sign::source::Source;

/// Something found.
pub(super) struct Lent<T> {
    pub(super) value: T,
    /// When it ends; `None` for what has no end, or none that is known.
    pub(super) expires: Option<Timestamp>,
    /// Whether looking again may give another one.
    pub(super) renewable: bool,
}

impl<T> Lent<T> {
    /// What stays as it is.
    pub(super) fn fixed(value: T) -> Self {
        Self { value, expires: None, renewable: false }
    }

    /// What may be another one the next time.
    pub(super) fn until(value: T, expires: Option<Timestamp>) -> Self {
        Self { value, expires, renewable: true }
    }

    /// The same, made of it.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> Lent<U> {
        let Self { value, expires, renewable } = self;
        Lent { value: make(value), expires, renewable }
    }
}

struct Held<T> {
    value: Arc<T>,
    got: Instant,
    stale: Option<Timestamp>,
    expires: Option<Timestamp>,
    renewable: bool,
}

impl<T> Held<T> {
    fn new(lent: Lent<T>, now: Timestamp) -> Result<Self> {
        let Lent { value, expires, renewable } = lent;
        if expires.is_some_and(|expires| expires <= now) {
            let why = "the credentials that were found are no longer valid by this machine's clock";
            return Err(EngineError::new(Kind::CredentialsExpired, why));
        }
        let most = i128::from(CREDENTIALS_RENEW_MS) * 1_000_000;
        let stale = expires.map(|end| Timestamp(end.0 - most.min((end.0 - now.0) / 4)));
        Ok(Self { value: Arc::new(value), got: Instant::now(), stale, expires, renewable })
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.stale.is_none_or(|stale| now < stale)
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

struct State<T> {
    held: Option<Held<T>>,
    busy: bool,
    /// The last failure, and when that is no longer the answer.
    failed: Option<(Timestamp, EngineError)>,
}

type Find<T> = Box<dyn Fn(Timestamp) -> Result<Lent<T>> + Send + Sync>;

/// What was found last.
pub(super) struct Cached<T> {
    find: Find<T>,
    state: Mutex<State<T>>,
    done: Condvar,
    young: Duration,
}

impl<T> Cached<T> {
    /// Keeps what `find` gives.
    pub(super) fn new(find: impl Fn(Timestamp) -> Result<Lent<T>> + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State { held: None, busy: false, failed: None });
        let young = Duration::from_millis(CREDENTIALS_YOUNG_MS);
        Self { find: Box::new(find), state, done: Condvar::new(), young }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for another one, for all who wait. The state is not locked meanwhile.
    fn find(&self, now: Timestamp) -> Result<Arc<T>> {
        let turn = Turn(self);
        let found = (self.find)(now).and_then(|lent| Held::new(lent, now));
        let mut state = self.lock();
        let answer = match found {
            Ok(held) => {
                state.failed = None;
                Ok(state.held.insert(held).value.clone())
            }
            Err(error) => {
                if error.kind() != Kind::Cancelled {
                    let until = Timestamp(now.0 + i128::from(CREDENTIALS_FAILED_MS) * 1_000_000);
                    state.failed = Some((until, error.clone()));
                }
                let held = state.held.as_ref().filter(|held| held.is_valid(now));
                held.map(|held| held.value.clone()).ok_or(error)
            }
        };
        drop(state);
        drop(turn);
        answer
    }
}

/// The one thread that looks. Others are woken also where it panics.
struct Turn<'a, T>(&'a Cached<T>);

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.0.lock().busy = false;
        self.0.done.notify_all();
    }
}

impl<T: Send + Sync> Source<T> for Cached<T> {
    fn get(&self, now: Timestamp) -> Result<Arc<T>> {
        let mut state = self.lock();
        loop {
            let failed = state.failed.as_ref().filter(|(until, _)| now < *until);
            if let Some(held) = &state.held
                && held.is_valid(now)
                && (held.is_fresh(now) || state.busy || failed.is_some())
            {
                return Ok(held.value.clone());
            }
            if !state.busy {
                if let Some((_, error)) = failed {
                    return Err(error.clone());
                }
                state.busy = true;
                drop(state);
                return self.find(now);
            }
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn renew(&self) -> bool {
        let mut state = self.lock();
        match &state.held {
            Some(held) if !held.renewable => false,
            Some(held) if held.got.elapsed() < self.young => true,
            _ => {
                state.held = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    /// Gives 1, 2, 3…, each for 1,000 seconds, but fails while `broken`.
    fn counted(broken: Arc<AtomicU64>) -> (Cached<u64>, Arc<AtomicU64>) {
        let calls = Arc::new(AtomicU64::new(0));
        let count = calls.clone();
        let cached = Cached::new(move |now: Timestamp| {
            let call = count.fetch_add(1, SeqCst) + 1;
            if broken.load(SeqCst) > 0 {
                return Err(EngineError::new(Kind::RemoteUnavailable, "down"));
            }
            Ok(Lent::until(call, Some(at(now.seconds() + 1_000))))
        });
        (cached, calls)
    }

    #[test]
    fn renewed_before_the_end_and_kept_while_that_fails() {
        let broken = Arc::new(AtomicU64::new(0));
        let (cached, calls) = counted(broken.clone());
        assert_eq!((*cached.get(at(0)).unwrap(), *cached.get(at(749)).unwrap()), (1, 1));
        assert_eq!(*cached.get(at(750)).unwrap(), 2);
        broken.store(1, SeqCst);
        assert_eq!(*cached.get(at(1_700)).unwrap(), 2);
        assert_eq!(*cached.get(at(1_704)).unwrap(), 2);
        assert_eq!(calls.load(SeqCst), 3, "a failed renewal is not repeated at once");
        assert_eq!(*cached.get(at(1_706)).unwrap(), 2);
        assert_eq!(calls.load(SeqCst), 4);
        assert_eq!(cached.get(at(1_751)).unwrap_err().kind(), Kind::RemoteUnavailable);
        assert!(cached.get(at(1_752)).is_err());
        assert_eq!(calls.load(SeqCst), 5);
        broken.store(0, SeqCst);
        assert_eq!(*cached.get(at(1_757)).unwrap(), 6);
    }

    #[test]
    fn one_thread_looks_and_all_get_what_it_found() {
        for fails in [false, true] {
            let calls = Arc::new(AtomicU64::new(0));
            let count = calls.clone();
            let cached = Cached::new(move |_| {
                count.fetch_add(1, SeqCst);
                std::thread::sleep(Duration::from_millis(100));
                if fails {
                    return Err(EngineError::new(Kind::CredentialsRefused, "no"));
                }
                Ok(Lent::fixed(7))
            });
            std::thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(|| cached.get(at(0)))).collect();
                for one in all {
                    assert_eq!(one.join().unwrap().ok().as_deref(), (!fails).then_some(&7));
                }
            });
            assert_eq!(calls.load(SeqCst), 1);
        }
    }

    #[test]
    fn a_stale_one_serves_while_another_is_had() {
        let (gate, wait) = crossbeam_channel::bounded::<()>(0);
        let cached = Cached::new(move |now: Timestamp| {
            if now > at(0) {
                wait.recv().unwrap();
            }
            Ok(Lent::until(now.seconds(), Some(at(now.seconds() + 1_000))))
        });
        assert_eq!(*cached.get(at(0)).unwrap(), 0);
        std::thread::scope(|scope| {
            let renewing = scope.spawn(|| *cached.get(at(900)).unwrap());
            while !cached.lock().busy {
                std::thread::yield_now();
            }
            assert_eq!(*cached.get(at(900)).unwrap(), 0);
            gate.send(()).unwrap();
            assert_eq!(renewing.join().unwrap(), 900);
        });
    }

    #[test]
    fn what_was_refused_is_forgotten_unless_it_is_new_or_the_only_one() {
        let (mut cached, calls) = counted(Arc::default());
        cached.get(at(0)).unwrap();
        assert!(cached.renew());
        cached.get(at(0)).unwrap();
        assert_eq!(calls.load(SeqCst), 1, "another thread renewed it just now");
        cached.young = Duration::ZERO;
        assert!(cached.renew());
        assert_eq!(*cached.get(at(0)).unwrap(), 2);
        let only = Cached::new(|_| Ok(Lent::fixed(1)));
        only.get(at(0)).unwrap();
        assert!(!only.renew());
    }

    #[test]
    fn a_panic_wakes_the_others_and_old_ones_are_no_find() {
        let cached: Cached<u64> = Cached::new(|_| panic!("a defect"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cached.get(at(0))));
        assert!(panicked.is_err() && !cached.lock().busy);
        let old = Cached::new(|now| Ok(Lent::until(1, Some(now))));
        assert_eq!(old.get(at(5)).unwrap_err().kind(), Kind::CredentialsExpired);
    }
}
