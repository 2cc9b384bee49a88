//! Many answers gathered into one: what a request over many partitions waits on.
//!
//! The front desk makes one gathering per request and hands a [`Slot`] with each question. Slots
//! cross arbiters. Invariant: a gathering always completes, because a slot that is dropped without
//! an answer (its actor is gone) counts as `None`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

struct Gathering<T> {
    answers: Mutex<Vec<Option<T>>>,
    missing: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<Vec<Option<T>>>>>,
}

impl<T> Gathering<T> {
    fn settle(&self, index: usize, answer: Option<T>) {
        if let Some(answer) = answer {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers[index] = Some(answer);
        }
        // The last one to settle sees what all others wrote.
        if self.missing.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let answers =
            std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner));
        let done = self
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(done) = done {
            // The asker may have hung up; that is its right.
            let _ = done.send(answers);
        }
    }
}

enum Target<T> {
    One(oneshot::Sender<Vec<Option<T>>>),
    Many(Arc<Gathering<T>>, usize),
}

/// Where one answer goes.
pub struct Slot<T>(Option<Target<T>>);

impl<T> Slot<T> {
    /// Gives the answer.
    pub fn answer(mut self, answer: T) {
        self.settle(Some(answer));
    }

    fn settle(&mut self, answer: Option<T>) {
        match self.0.take() {
            Some(Target::One(done)) => {
                // The asker may have hung up; that is its right.
                let _ = done.send(vec![answer]);
            }
            Some(Target::Many(gathering, index)) => gathering.settle(index, answer),
            None => {}
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.settle(None);
    }
}

/// All answers to come, in the order of the slots; `None` where nobody was there to answer.
pub struct Gathered<T>(oneshot::Receiver<Vec<Option<T>>>);

impl<T> Gathered<T> {
    /// Waits for the last answer. The asker brings the deadline: parked writes and reads have one.
    pub async fn all(self) -> Vec<Option<T>> {
        self.0.await.unwrap_or_default()
    }
}

/// Makes `count` slots and the place where their answers meet.
pub fn gather<T>(count: usize) -> (Vec<Slot<T>>, Gathered<T>) {
    let (done, gathered) = oneshot::channel();
    if count == 1 {
        return (vec![Slot(Some(Target::One(done)))], Gathered(gathered));
    }
    if count == 0 {
        let _ = done.send(Vec::new());
        return (Vec::new(), Gathered(gathered));
    }
    let gathering = Arc::new(Gathering {
        answers: Mutex::new((0..count).map(|_| None).collect()),
        missing: AtomicUsize::new(count),
        done: Mutex::new(Some(done)),
    });
    let slots = (0..count)
        .map(|index| Slot(Some(Target::Many(Arc::clone(&gathering), index))))
        .collect();
    (slots, Gathered(gathered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_come_in_the_order_of_the_slots_and_a_dropped_slot_is_none() {
        let (mut slots, gathered) = gather::<u8>(3);
        slots.pop().unwrap().answer(3);
        drop(slots.pop());
        slots.pop().unwrap().answer(1);
        assert_eq!(gathered.all().await, [Some(1), None, Some(3)]);
    }

    #[tokio::test]
    async fn one_and_none_need_no_gathering() {
        let (mut slots, gathered) = gather::<u8>(1);
        slots.pop().unwrap().answer(9);
        assert_eq!(gathered.all().await, [Some(9)]);
        assert_eq!(gather::<u8>(0).1.all().await, []);
    }
}
