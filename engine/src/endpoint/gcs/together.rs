//! Does the small things of one upload several at a time: each is one request that takes its while.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests at once.
const AT_ONCE: usize = 8;

/// Does `work` for every item; its results come in the items' order.
///
/// # Errors
/// One of those of `work`: after it, nothing more is begun.
pub(super) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return Ok(()) };
            match work(item) {
                Ok(result) => {
                    done.lock().unwrap_or_else(|lock| lock.into_inner()).push((at, result))
                }
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let others = AT_ONCE.min(items.len()).saturating_sub(1);
        let threads: Vec<_> = (0..others).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        let all = threads.into_iter().filter_map(|thread| thread.join().ok());
        all.fold(own, |so_far, other| so_far.and(other))
    })?;
    let mut done = done.into_inner().unwrap_or_else(|lock| lock.into_inner());
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_all() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(each(&items, |n| Ok::<_, ()>(n * 2)).unwrap().get(99), Some(&198));
        assert!(each(&[0u8; 0], |_| Ok::<_, ()>(())).unwrap().is_empty());
        let begun = AtomicUsize::new(0);
        let failed = each(&items, |n| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *n == 3 { Err(()) } else { Ok(()) }
        });
        assert!(failed.is_err());
        assert!(begun.into_inner() <= 100);
    }
}
