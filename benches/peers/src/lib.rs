//! What the servers on other libraries have in common: one thread, a listener, the two loops.
//!
//! Each binary is one library, set up as its own documentation advises for speed: one thread, no
//! compression, messages up to [`MAX_MESSAGE`]. `/` echoes, `/broadcast` sends every message to
//! everyone there, the sender included.
//!
//! A loop takes all messages that have come before it answers, and flushes once: the habit of a
//! careful user, and what makes a library's own write buffer worth having.

pub mod sockudo;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::collections::VecDeque;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Longest message that a server must take: the largest row of the bench is 1 MiB.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Messages taken before they are answered.
const BATCH: usize = 64;
/// Where messages are broadcast; every other path echoes.
pub const BROADCAST: &str = "/broadcast";

/// Serves on one thread until it is killed: `connection` runs for each accepted socket.
///
/// The address is the first argument, 127.0.0.1 and any port without one.
pub fn serve<F, Done>(connection: F) -> ExitCode
where
    F: Fn(TcpStream) -> Done,
    Done: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    run(Builder::new_current_thread().enable_io(), connection)
}

/// The same, for a library that may not be used without the runtime's timers.
pub fn serve_with_timers<F, Done>(connection: F) -> ExitCode
where
    F: Fn(TcpStream) -> Done,
    Done: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    run(Builder::new_current_thread().enable_all(), connection)
}

fn run<F, Done>(runtime: &mut Builder, connection: F) -> ExitCode
where
    F: Fn(TcpStream) -> Done,
    Done: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    match listen(runtime, connection) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn listen<F, Done>(runtime: &mut Builder, connection: F) -> Result<(), Box<dyn Error>>
where
    F: Fn(TcpStream) -> Done,
    Done: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let addr: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:0").parse()?;
    runtime.build()?.block_on(async {
        let listener = TcpListener::bind(addr).await?;
        println!("listening on ws://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // Unconstrained, as the examples of these libraries do: no task starves another here.
            // A connection that ends badly is the client's to report.
            drop(tokio::spawn(tokio::task::unconstrained(connection(stream))));
        }
    })
}

/// Sends back every message that `keep` lets through.
///
/// # Errors
/// What the library says when reading or writing fails.
pub async fn echo<S, M, E>(socket: S, keep: impl Fn(&M) -> bool) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
{
    answer(socket, keep, |_| {}, |taken, _| taken.pop_front()).await
}

/// What is left after a look at the socket.
enum Taken {
    /// More may have come.
    Some,
    /// Nothing; the task is woken when there is.
    All,
    /// Nothing, and nothing will.
    End,
}

/// Takes the messages that have come, [`BATCH`] at most.
fn take<S, M, E>(
    socket: &mut S,
    context: &mut Context<'_>,
    batch: &mut VecDeque<M>,
    keep: impl Fn(&M) -> bool,
) -> Result<Taken, E>
where
    S: Stream<Item = Result<M, E>> + Unpin,
{
    while batch.len() < BATCH {
        match socket.poll_next_unpin(context) {
            Poll::Ready(Some(message)) => batch.extend(Some(message?).filter(&keep)),
            Poll::Ready(None) => return Ok(Taken::End),
            Poll::Pending => return Ok(Taken::All),
        }
    }
    Ok(Taken::Some)
}

/// Writes what is published to this connection, and publishes what it sends.
///
/// # Errors
/// What the library says when reading or writing fails.
pub async fn relay<S, M, E>(
    socket: S,
    mut inbox: UnboundedReceiver<M>,
    keep: impl Fn(&M) -> bool,
    publish: impl Fn(&M),
) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
{
    let publish_all =
        |taken: &mut VecDeque<M>| taken.drain(..).for_each(|message| publish(&message));
    let next = |_: &mut VecDeque<M>, context: &mut Context<'_>| match inbox.poll_recv(context) {
        // Whoever publishes holds the other end for as long as this runs.
        Poll::Ready(message) => message,
        Poll::Pending => None,
    };
    answer(socket, keep, publish_all, next).await
}

/// Takes what has come, shows it to `see`, writes what `next` gives, flushes once; until the end.
async fn answer<S, M, E>(
    mut socket: S,
    keep: impl Fn(&M) -> bool,
    mut see: impl FnMut(&mut VecDeque<M>),
    mut next: impl FnMut(&mut VecDeque<M>, &mut Context<'_>) -> Option<M>,
) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
{
    let mut batch = VecDeque::new();
    // By hand, since `next().await` would try to read once more after each flush.
    poll_fn(|context| {
        loop {
            let taken = take(&mut socket, context, &mut batch, &keep)?;
            see(&mut batch);
            loop {
                ready!(socket.poll_ready_unpin(context))?;
                let Some(message) = next(&mut batch, context) else { break };
                socket.start_send_unpin(message)?;
            }
            ready!(socket.poll_flush_unpin(context))?;
            match taken {
                Taken::Some => {}
                Taken::All => return Poll::Pending,
                Taken::End => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}

/// Everyone who gets what is published, for libraries that have no such thing themselves.
pub struct Room<M>(Arc<Mutex<Vec<UnboundedSender<M>>>>);

impl<M> Clone for Room<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Default for Room<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Clone> Room<M> {
    /// A new member's inbox. It is a member until the inbox is dropped.
    #[must_use]
    pub fn join(&self) -> UnboundedReceiver<M> {
        let (sender, inbox) = unbounded_channel();
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| !member.is_closed());
        members.push(sender);
        inbox
    }

    /// Hands `message` to every member; its payload is shared, not copied.
    pub fn publish(&self, message: &M) {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for member in members.iter() {
            // One who has just left gets nothing.
            let _ = member.send(message.clone());
        }
    }
}
