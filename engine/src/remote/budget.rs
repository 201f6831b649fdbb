//! What the whole process may repeat: bounded, so that an outage is not answered by a storm.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::limits::{REMOTE_BUDGET_RETRY, REMOTE_BUDGET_TIMEOUT, REMOTE_BUDGET_TOKENS};
use crate::remote::call::Class;

/// Tokens for repetitions. Good answers give some back.
#[derive(Debug)]
pub(super) struct Budget(AtomicI64);

impl Budget {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(REMOTE_BUDGET_TOKENS))
    }

    /// Takes what a repetition after such a failure costs; false when there is not enough left.
    pub(super) fn take(&self, class: Class) -> bool {
        let cost =
            if class == Class::Timeout { REMOTE_BUDGET_TIMEOUT } else { REMOTE_BUDGET_RETRY };
        let less = |tokens: i64| (tokens >= cost).then(|| tokens - cost);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }

    /// A request was answered well.
    pub(super) fn give(&self) {
        let more = |tokens: i64| (tokens < REMOTE_BUDGET_TOKENS).then_some(tokens + 1);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_end_with_the_tokens_and_good_answers_give_more() {
        let budget = Budget::new();
        let mut taken = 0;
        while budget.take(Class::Transient) {
            taken += 1;
        }
        assert_eq!(taken, 100);
        (0..5).for_each(|_| budget.give());
        assert!(!budget.take(Class::Timeout));
        assert!(budget.take(Class::Throttled));
        (0..10_000).for_each(|_| budget.give());
        assert_eq!(budget.0.load(Ordering::SeqCst), REMOTE_BUDGET_TOKENS);
    }
}
