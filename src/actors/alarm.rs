//! Many waits with a deadline, on one timer for an arbiter.
//!
//! Fetches wait here for their time to be over. A timer of its own for each would be armed and
//! disarmed with every answer, and to arm one costs a wake-up of the runtime; here the timer stays as
//! it is when a wait ends early, and finds at the worst that nothing is due. Invariant: while anybody
//! waits, the timer fires no later than the earliest deadline; when nobody does, it fires once more
//! at most.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinHandle;

use super::clock::Clock;
use crate::model::Moment;

/// See the module. Clones share the timer.
#[derive(Clone)]
pub struct Alarm {
    clock: Clock,
    waits: Rc<RefCell<Waits>>,
}

#[derive(Default)]
struct Waits {
    by_deadline: BTreeMap<(Moment, u64), Waker>,
    next_number: u64,
    /// When the timer fires, and the task that waits for it.
    armed: Option<(Moment, JoinHandle<()>)>,
}

impl Waits {
    /// Those whose time is over.
    fn take_due(&mut self, now: Moment) -> BTreeMap<(Moment, u64), Waker> {
        let behind = (Moment(now.0.saturating_add(1)), 0);
        let later = self.by_deadline.split_off(&behind);
        std::mem::replace(&mut self.by_deadline, later)
    }

    /// Sets the timer that has fired to the earliest deadline; to none when nobody waits.
    fn rearm(&mut self) -> Option<Moment> {
        let earliest = self.by_deadline.first_key_value();
        let earliest = earliest.map(|((deadline, _), _)| *deadline);
        match (earliest, &mut self.armed) {
            (Some(earliest), Some((armed, _))) => *armed = earliest,
            _ => self.armed = None,
        }
        earliest.filter(|_| self.armed.is_some())
    }
}

impl Alarm {
    /// An alarm that nobody waits for.
    pub fn new(clock: Clock) -> Alarm {
        Alarm {
            clock,
            waits: Rc::default(),
        }
    }

    /// Waits until `deadline`. Must be polled on the arbiter of the alarm.
    pub fn at(&self, deadline: Moment) -> Until {
        Until {
            alarm: self.clone(),
            deadline,
            number: None,
        }
    }

    fn arm(&self, waits: &mut Waits, at: Moment) {
        if let Some((armed, timer)) = &waits.armed {
            if *armed <= at {
                return;
            }
            timer.abort();
        }
        let timer = actix_rt::spawn(self.clone().keep(at));
        waits.armed = Some((at, timer));
    }

    /// Wakes who is due, at `next` and at every earliest deadline there is then.
    async fn keep(self, mut next: Moment) {
        loop {
            tokio::time::sleep(self.clock.until(next)).await;
            let due = self.waits.borrow_mut().take_due(self.clock.now());
            due.into_values().for_each(Waker::wake);
            match self.waits.borrow_mut().rearm() {
                Some(earliest) => next = earliest,
                None => return,
            }
        }
    }
}

/// A wait for a moment.
pub struct Until {
    alarm: Alarm,
    deadline: Moment,
    /// Its number among the waits, once it is one of them.
    number: Option<u64>,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarm.clock.now() >= self.deadline {
            return Poll::Ready(());
        }
        let waits = Rc::clone(&self.alarm.waits);
        let waits = &mut *waits.borrow_mut();
        let number = *self.number.get_or_insert_with(|| {
            waits.next_number += 1;
            waits.next_number
        });
        waits
            .by_deadline
            .entry((self.deadline, number))
            .and_modify(|waker| waker.clone_from(cx.waker()))
            .or_insert_with(|| cx.waker().clone());
        self.alarm.arm(waits, self.deadline);
        Poll::Pending
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let wait = (self.deadline, number);
            let waker = self.alarm.waits.borrow_mut().by_deadline.remove(&wait);
            // Only now: what a waker takes with it may wait here, too.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Timestamp;

    #[actix::test]
    async fn who_waits_is_woken_at_its_deadline_whoever_else_waits() {
        tokio::time::pause();
        let clock = Clock::simulated(Timestamp(0));
        let alarm = Alarm::new(clock);
        let woken = Rc::new(RefCell::new(Vec::new()));
        let deadlines = [500, 200, 900, 200, 350];
        let waits = deadlines.map(|deadline| {
            let (wait, woken) = (alarm.at(Moment(deadline)), Rc::clone(&woken));
            actix_rt::spawn(async move {
                wait.await;
                woken.borrow_mut().push((deadline, clock.now().0));
            })
        });
        for wait in waits {
            wait.await.unwrap();
        }
        let woken = woken.borrow();
        let order: Vec<u64> = woken.iter().map(|(deadline, _)| *deadline).collect();
        assert_eq!(order, [200, 200, 350, 500, 900]);
        // A timer of tokio fires in the millisecond of its deadline or the next one.
        assert!(
            woken.iter().all(|(due, at)| (*due..=*due + 1).contains(at)),
            "{woken:?}"
        );
    }

    #[actix::test]
    async fn waits_that_end_early_leave_the_timer_alone_and_nothing_behind() {
        tokio::time::pause();
        let alarm = Alarm::new(Clock::simulated(Timestamp(0)));
        for deadline in [100, 101, 500] {
            let early = tokio::time::timeout(Duration::from_millis(10), alarm.at(Moment(deadline)));
            early.await.unwrap_err();
            let armed = alarm.waits.borrow().armed.as_ref().map(|(at, _)| *at);
            assert_eq!(armed, Some(Moment(100)));
        }
        assert!(alarm.waits.borrow().by_deadline.is_empty());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(alarm.waits.borrow().armed.is_none());
        alarm.at(Moment(300)).await;
        assert!(alarm.clock.now() >= Moment(300));
    }
}
