//! The only door between threads: a bounded queue and a waker, one per shard.
//!
//! Wakes are one per batch. A sender queues its mail, then raises a flag, and wakes the shard only
//! if the flag was down; the shard takes the flag down before it drains. Whichever order these
//! interleave in, mail is never left in the queue with the flag down and the shard asleep: a model
//! checker tries them all (`cfg(loom)` below).

#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};

/// The flag of the protocol.
#[derive(Debug)]
pub struct WakeFlag(AtomicBool);

impl Default for WakeFlag {
    fn default() -> Self {
        Self(AtomicBool::new(false))
    }
}

impl WakeFlag {
    /// Sender, after queueing: true if the shard must be woken.
    #[inline]
    pub fn raise(&self) -> bool {
        // AcqRel: the mail queued before must be visible to whoever takes the flag down.
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Receiver, before draining.
    #[inline]
    pub fn lower(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

pub use door::{Command, Mailbox, Post};

mod door {
    use std::mem::ManuallyDrop;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

    use crossbeam::queue::ArrayQueue;
    use mio::Waker;

    use super::WakeFlag;

    /// What the program's main thread may tell a shard. Kept beside the queue: a full mailbox never
    /// delays a shutdown.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    #[repr(u8)]
    pub enum Command {
        /// Go on.
        Run,
        /// Take no more connections, close each with 1001, end when the last is gone.
        Drain,
        /// End now.
        Stop,
    }

    /// One shard's mailbox.
    #[derive(Debug)]
    pub struct Mailbox<M> {
        queue: ArrayQueue<M>,
        flag: WakeFlag,
        command: AtomicU8,
        /// Nobody reads it any more.
        ended: AtomicBool,
        // Never closed: its number stands in every shard's table, where it could be another's by
        // then.
        waker: ManuallyDrop<Waker>,
    }

    impl<M> Mailbox<M> {
        /// Room for `bound` mails.
        pub fn new(bound: usize, waker: Waker) -> Self {
            let command = AtomicU8::new(Command::Run as u8);
            let waker = ManuallyDrop::new(waker);
            let (flag, ended) = (WakeFlag::default(), AtomicBool::new(false));
            Self { queue: ArrayQueue::new(bound), flag, command, ended, waker }
        }

        /// Queues a mail, or gives it back when there is no room. One to a shard that has ended
        /// is dropped.
        #[inline]
        pub fn send(&self, mail: M) -> Result<(), M> {
            self.queue.push(mail)?;
            // Either the mail is seen by `end`, or `ended` is seen here.
            fence(Ordering::SeqCst);
            if self.ended.load(Ordering::Relaxed) {
                self.empty();
            } else {
                self.wake();
            }
            Ok(())
        }

        /// Receiver, at its end: drops what is in the box, now and later. What a mail keeps alive
        /// would else be kept as long as anybody has this group's boxes.
        pub fn end(&self) {
            self.ended.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.empty();
        }

        fn empty(&self) {
            while self.queue.pop().is_some() {}
        }

        /// Tells the shard; a stronger command is never taken back.
        pub fn command(&self, command: Command) {
            self.command.fetch_max(command as u8, Ordering::Release);
            self.wake();
        }

        fn wake(&self) {
            if self.flag.raise() {
                // An eventfd write fails only when its counter is full: then the shard is awake.
                let _ = self.waker.wake();
            }
        }

        /// Receiver: before draining.
        #[inline]
        pub fn begin(&self) {
            self.flag.lower();
        }

        /// Receiver: the next mail.
        #[inline]
        pub fn next(&self) -> Option<M> {
            self.queue.pop()
        }

        /// Receiver: the strongest command so far.
        #[inline]
        pub fn commanded(&self) -> Command {
            match self.command.load(Ordering::Acquire) {
                0 => Command::Run,
                1 => Command::Drain,
                _ => Command::Stop,
            }
        }
    }

    /// Every mailbox of a group of shards.
    #[derive(Debug)]
    pub struct Post<M>(Arc<[Mailbox<M>]>);

    impl<M> Clone for Post<M> {
        fn clone(&self) -> Self {
            Self(Arc::clone(&self.0))
        }
    }

    impl<M> Post<M> {
        /// One mailbox per waker.
        pub fn new(bound: usize, wakers: Vec<Waker>) -> Self {
            Self(wakers.into_iter().map(|waker| Mailbox::new(bound, waker)).collect())
        }

        /// The mailbox that a shard empties.
        #[inline]
        pub fn mailbox(&self, shard: usize) -> &Mailbox<M> {
            &self.0[shard]
        }

        /// Shards that can be written to.
        pub fn shards(&self) -> usize {
            self.0.len()
        }

        /// Queues a mail for one shard, or gives it back when its mailbox is full.
        #[inline]
        pub fn send(&self, shard: usize, mail: M) -> Result<(), M> {
            self.0[shard].send(mail)
        }

        /// Tells every shard.
        pub fn command(&self, command: Command) {
            self.0.iter().for_each(|mailbox| mailbox.command(command));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod at_the_end {
    use std::sync::Arc;

    use mio::{Poll, Token, Waker};

    use super::Mailbox;

    #[test]
    fn a_mailbox_that_ended_keeps_nothing_alive() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(4, Waker::new(poll.registry(), Token(0)).unwrap());
        let block = Arc::new(());
        mailbox.send(Arc::clone(&block)).unwrap();
        mailbox.end();
        assert_eq!(Arc::strong_count(&block), 1, "what was in it is dropped");
        for _ in 0..9 {
            mailbox.send(Arc::clone(&block)).unwrap();
        }
        assert_eq!(Arc::strong_count(&block), 1, "and what comes later, without an end of room");
    }
}

#[cfg(all(test, loom))]
mod tests {
    use std::collections::VecDeque;

    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use super::WakeFlag;

    /// The queue and the eventfd as loom can see them.
    #[derive(Default)]
    struct Shim {
        queue: Mutex<VecDeque<u32>>,
        flag: WakeFlag,
        wakes: Mutex<u32>,
        woken: Condvar,
    }

    impl Shim {
        fn send(&self, mail: u32) {
            self.queue.lock().unwrap().push_back(mail);
            if self.flag.raise() {
                *self.wakes.lock().unwrap() += 1;
                self.woken.notify_one();
            }
        }

        fn sleep(&self) {
            let mut wakes = self.wakes.lock().unwrap();
            while *wakes == 0 {
                wakes = self.woken.wait(wakes).unwrap();
            }
            *wakes = 0;
        }
    }

    /// Two senders, one receiver that sleeps whenever it found nothing: every mail arrives. A lost
    /// wake would be a deadlock, which loom reports.
    #[test]
    fn no_mail_is_left_behind() {
        loom::model(|| {
            let shim = Arc::new(Shim::default());
            let senders: Vec<_> = [1, 2]
                .map(|mail| {
                    let shim = Arc::clone(&shim);
                    thread::spawn(move || shim.send(mail))
                })
                .into_iter()
                .collect();
            let mut got = 0;
            while got < 2 {
                shim.sleep();
                shim.flag.lower();
                while shim.queue.lock().unwrap().pop_front().is_some() {
                    got += 1;
                }
            }
            senders.into_iter().for_each(|s| s.join().unwrap());
        });
    }
}
