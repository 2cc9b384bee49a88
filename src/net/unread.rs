//! How much memory the answers of all connections take that their clients have not read.
//!
//! A small request can have a large answer, so the credits for requests do not bound it. Every
//! connection tells here what it holds beyond what each may; above the limit of all together those
//! who hold much must take it at once or are closed. Invariant: what is counted is the sum of what
//! the open connections told last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count; clones share it.
#[derive(Debug, Clone)]
pub struct UnreadAnswers {
    held: Arc<AtomicUsize>,
    max: usize,
}

/// What one connection holds; dropping it holds nothing.
#[derive(Debug)]
pub(crate) struct Held {
    all: UnreadAnswers,
    bytes: usize,
}

impl UnreadAnswers {
    /// A count that should stay below so many bytes.
    pub fn new(max: usize) -> UnreadAnswers {
        UnreadAnswers {
            held: Arc::default(),
            max,
        }
    }

    /// How many bytes are held now.
    pub fn bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn nothing(&self) -> Held {
        Held {
            all: self.clone(),
            bytes: 0,
        }
    }
}

impl Held {
    /// Tells what the connection holds now; free when it is what it was.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes == self.bytes {
            return;
        }
        // Added first: the sum is never below what is held.
        self.all.held.fetch_add(bytes, Ordering::Relaxed);
        self.all.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// Whether this connection is among those that must give way.
    pub(crate) fn is_too_much(&self) -> bool {
        self.bytes > 0 && self.all.bytes() > self.all.max
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_what_all_hold_and_only_who_holds_something_gives_way() {
        let all = UnreadAnswers::new(100);
        let (mut a, mut b, c) = (all.nothing(), all.nothing(), all.nothing());
        a.set(60);
        assert!(!a.is_too_much());
        b.set(50);
        assert!(a.is_too_much() && b.is_too_much() && !c.is_too_much());
        b.set(40);
        assert_eq!(all.bytes(), 100);
        assert!(!a.is_too_much());
        drop(a);
        assert_eq!(all.bytes(), 40);
    }
}
