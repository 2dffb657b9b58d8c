//! Turns of calls that compute for long, so that they never have all processors together.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a call keeps its turn where others wait for one.
const TURN: Duration = Duration::from_millis(100);

/// So many calls at once, in the order in which they ask.
pub(crate) struct Turns {
    at_once: usize,
    state: Mutex<State>,
    next_came: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: VecDeque<u64>,
    tickets: u64,
}

/// The right to compute on; given back on drop.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    since: Instant,
}

impl Turns {
    pub(crate) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { at_once: at_once.max(1), state: Mutex::default(), next_came: Condvar::new() })
    }

    /// Waits for a turn; none where it does not come before the deadline.
    pub(crate) fn take(self: &Arc<Self>, deadline: Instant) -> Option<Turn> {
        let mut state = self.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.push_back(ticket);
        while state.running >= self.at_once || state.waiting.front() != Some(&ticket) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waiting.retain(|waiting| *waiting != ticket);
                self.next_came.notify_all();
                return None;
            }
            state = self.next_came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting.pop_front();
        state.running += 1;
        // More than one turn may be free.
        self.next_came.notify_all();
        Some(Turn { turns: Arc::clone(self), since: Instant::now() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether the turn has been long, and others wait for it.
    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed() >= TURN && !self.turns.lock().waiting.is_empty()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().running -= 1;
        self.turns.next_came.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn never_more_at_once_than_there_may_be_and_all_of_them_in_the_end() {
        const AT_ONCE: usize = 3;
        let (turns, running, done) = (Turns::new(AT_ONCE), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let turn = turns.take(soon()).expect("a turn");
                        assert!(running.fetch_add(1, Ordering::SeqCst) < AT_ONCE);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        drop(turn);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(done.into_inner(), 16);
    }

    #[test]
    fn who_waits_in_vain_leaves_the_line() {
        let turns = Turns::new(1);
        let first = turns.take(soon()).expect("a turn");
        assert!(turns.take(Instant::now()).is_none());
        assert!(turns.lock().waiting.is_empty() && !first.is_over());
        drop(first);
        assert!(turns.take(Instant::now()).is_some());
    }

    #[test]
    fn turns_come_in_the_order_in_which_they_are_asked_for() {
        let turns = Turns::new(1);
        let order = Mutex::new(Vec::new());
        let first = turns.take(soon()).expect("a turn");
        thread::scope(|scope| {
            for number in 0..8 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let turn = turns.take(soon()).expect("a turn");
                    order.lock().expect("nobody panicked").push(number);
                    drop(turn);
                });
                while turns.lock().waiting.len() <= number {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(order.into_inner().expect("nobody panicked"), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
