//! Questions to the shards, and their answers.
//!
//! A shard answers into a channel that parks on a futex (see [`crate::calls`]). A thread of this
//! plane takes the answers out and hands each to the task that waits for it: it shares this plane's
//! descriptors, and so may wake its runtime.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::calls::{Answer, Answered, Ask, Call, Denied, Outcome, Reply, home};
use crate::limits;

/// Puts a call into a shard's mailbox, or gives it back when that is full.
pub(crate) type Mailer = Arc<dyn Fn(usize, Call) -> Result<(), Call> + Send + Sync>;

/// The way to the shards.
#[derive(Clone)]
pub struct Shards {
    /// How many there are, at least 1.
    pub count: usize,
    /// Sends a call to one of them.
    pub send: Mailer,
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Tasks that wait, by the number of their question.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, oneshot::Sender<Outcome>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Outcome>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, (number, outcome): Answered) {
        let waiting = self.lock().remove(&number);
        if let Some(task) = waiting {
            // It may have given up meanwhile.
            let _ = task.send(outcome);
        }
    }
}

/// Asks the shards.
pub(super) struct Desk {
    shards: Shards,
    answers: Sender<Answered>,
    waiting: Arc<Waiting>,
    numbers: AtomicU64,
    patience: Duration,
}

/// A question on its way.
pub(super) struct Pending {
    number: u64,
    answer: oneshot::Receiver<Outcome>,
    until: Instant,
    waiting: Arc<Waiting>,
}

impl Desk {
    /// With a thread that takes the answers; it ends when the desk and every call are gone.
    pub(super) fn new(shards: Shards) -> io::Result<Self> {
        Self::with_patience(shards, limits::CALL_TIMEOUT)
    }

    fn with_patience(shards: Shards, patience: Duration) -> io::Result<Self> {
        let (answers, answered): (_, Receiver<Answered>) = mpsc::channel();
        let waiting = Arc::new(Waiting::default());
        let tasks = Arc::clone(&waiting);
        let take = move || answered.into_iter().for_each(|answer| tasks.answer(answer));
        thread::Builder::new().name("answers".into()).spawn(take)?;
        Ok(Self { shards, answers, waiting, numbers: AtomicU64::new(0), patience })
    }

    /// Shards that can be asked.
    pub(super) fn shards(&self) -> usize {
        self.shards.count
    }

    /// Until when an answer to what is asked now is waited for.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Asks the shard that a room is at home on.
    pub(super) async fn ask_home(&self, channel: &str, ask: Ask) -> Outcome {
        self.post_home(channel, ask, self.deadline()).await.outcome().await
    }

    /// Sends a question to the shard that a room is at home on. Questions to one shard arrive in
    /// their order.
    pub(super) async fn post_home(&self, channel: &str, ask: Ask, until: Instant) -> Pending {
        self.post(home(channel, self.shards.count), ask, until).await
    }

    /// Asks every shard; the answers by shard, or the first refusal.
    pub(super) async fn ask_all(&self, ask: Ask) -> Result<Vec<Answer>, Denied> {
        let until = self.deadline();
        let mut asked = Vec::with_capacity(self.shards.count);
        for shard in 0..self.shards.count {
            asked.push(self.post(shard, ask.clone(), until).await);
        }
        let mut answers = Vec::with_capacity(asked.len());
        for pending in asked {
            answers.push(pending.outcome().await?);
        }
        Ok(answers)
    }

    /// Sends a question. A full mailbox is tried again as long as an answer is waited for.
    async fn post(&self, shard: usize, ask: Ask, until: Instant) -> Pending {
        let number = self.numbers.fetch_add(1, Relaxed);
        let (task, answer) = oneshot::channel();
        self.waiting.lock().insert(number, task);
        let waiting = Arc::clone(&self.waiting);
        let pending = Pending { number, answer, until, waiting };
        let mut call = Call { ask, reply: Reply::new(number, self.answers.clone()) };
        while let Err(back) = (self.shards.send)(shard, call) {
            if Instant::now() >= until {
                break;
            }
            call = back;
            sleep(limits::MAIL_RETRY).await;
        }
        pending
    }
}

impl Pending {
    /// The answer, or [`Denied::Internal`] if it does not come in time.
    pub(super) async fn outcome(mut self) -> Outcome {
        match timeout_at(self.until, &mut self.answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(Denied::Internal),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(task: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(task)
    }

    fn shards(
        count: usize,
        send: impl Fn(usize, Call) -> Result<(), Call> + Send + Sync + 'static,
    ) -> Shards {
        Shards { count, send: Arc::new(send) }
    }

    /// Shards that answer with their own number, from a thread of their own.
    fn counting(count: usize) -> Shards {
        shards(count, |shard, call| {
            thread::spawn(move || call.reply.send(Ok(Answer::Reached(shard as u64))));
            Ok(())
        })
    }

    #[test]
    fn a_room_is_asked_for_at_home_and_users_everywhere() {
        let desk = Desk::new(counting(5)).unwrap();
        let at_home = run(desk.ask_home("chat:1", Ask::Info));
        assert_eq!(at_home, Ok(Answer::Reached(home("chat:1", 5) as u64)));
        let all = run(desk.ask_all(Ask::Info)).unwrap();
        assert_eq!(all, (0..5).map(Answer::Reached).collect::<Vec<_>>());
        assert!(desk.waiting.lock().is_empty());
    }

    #[test]
    fn a_silent_shard_is_an_internal_error_and_leaves_nothing_behind() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&kept);
        let silent = shards(1, move |_, call| {
            keep.lock().unwrap().push(call);
            Ok(())
        });
        let desk = Desk::with_patience(silent, Duration::from_millis(20)).unwrap();
        assert_eq!(run(desk.ask_all(Ask::Info)), Err(Denied::Internal));
        assert!(desk.waiting.lock().is_empty());
        // Its answer comes at last: to nobody, and the next question has its own.
        let late = kept.lock().unwrap().pop().unwrap();
        late.reply.send(Ok(Answer::Done));
        assert_eq!(run(desk.ask_home("a", Ask::Info)), Err(Denied::Internal));
    }

    #[test]
    fn a_shard_that_drops_the_call_is_known_at_once() {
        let desk = Desk::with_patience(shards(1, |_, _| Ok(())), Duration::from_mins(10)).unwrap();
        assert_eq!(run(desk.ask_home("a", Ask::Info)), Err(Denied::Internal));
    }

    #[test]
    fn a_full_mailbox_is_tried_again_and_then_given_up() {
        let tries = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&tries);
        let busy = shards(1, move |_, call| {
            if counted.fetch_add(1, Relaxed) < 3 {
                return Err(call);
            }
            call.reply.send(Ok(Answer::Done));
            Ok(())
        });
        let desk = Desk::with_patience(busy, Duration::from_mins(10)).unwrap();
        assert_eq!(run(desk.ask_home("a", Ask::Info)), Ok(Answer::Done));
        assert_eq!(tries.load(Relaxed), 4);
        let full = Desk::with_patience(shards(1, |_, call| Err(call)), Duration::from_millis(5));
        assert_eq!(run(full.unwrap().ask_home("a", Ask::Info)), Err(Denied::Internal));
    }
}
