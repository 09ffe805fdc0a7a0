//! One publisher and N subscribers, itself among them: a batch is published when all have the last.

use crate::connection::{self, PATIENCE};
use crate::frames::Message;
use crate::measured::{self, Tally};
use crate::options::Options;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::error::Error;
use std::io::{self, Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BUFFER: usize = 64 * 1024;
const EVENTS: usize = 1024;
/// A server may send its 101 before the connection is on the list.
const JOINING: Duration = Duration::from_millis(100);

struct Subscriber {
    stream: TcpStream,
    /// Bytes of the batch that have come.
    received: usize,
}

/// Runs the loop once and prints its figures as one line of JSON, where messages are deliveries.
///
/// # Errors
/// When the server can't be reached, stops delivering, or delivers what was not published.
pub fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let message = Message::new(options, 1);
    let mut streams = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        streams.push(connection::open(options)?);
    }
    sleep(JOINING);
    let mut delivery = 0;
    publish_one(&mut streams, options, &message, &mut delivery)?;

    let mut subscribers = Vec::with_capacity(streams.len());
    for stream in streams {
        stream.set_nonblocking(true)?;
        subscribers.push(Subscriber { stream: TcpStream::from_std(stream), received: 0 });
    }
    let mut tally = Tally::default();
    let batch = Message::batch(options);
    if options.gated {
        measured::gate(options, "\"connected\"")?;
    }
    drive(options, &mut subscribers, &batch, delivery * options.in_flight, &mut tally)?;
    measured::gate(options, &tally.line())?;

    let mut streams = Vec::with_capacity(subscribers.len());
    for subscriber in subscribers {
        let stream = std::net::TcpStream::from(subscriber.stream);
        stream.set_nonblocking(false)?;
        streams.push(stream);
    }
    publish_one(&mut streams, options, &message, &mut delivery)?;
    Ok(())
}

/// Publishes one message and compares what each subscriber gets with it; `delivery` is its bytes.
fn publish_one(
    streams: &mut [std::net::TcpStream],
    options: &Options,
    message: &Message,
    delivery: &mut usize,
) -> io::Result<()> {
    streams[0].write_all(&message.wire)?;
    for stream in streams {
        *delivery = connection::receive(stream, options, message)?;
    }
    Ok(())
}

fn drive(
    options: &Options,
    subscribers: &mut [Subscriber],
    batch: &[u8],
    expected: usize,
    tally: &mut Tally,
) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let mut buffer = vec![0; BUFFER];
    for (at, subscriber) in subscribers.iter_mut().enumerate() {
        poll.registry().register(&mut subscriber.stream, Token(at), Interest::READABLE)?;
    }
    let start = Instant::now();
    while !tally.tick(options, start)? {
        // A batch is some kilobytes into an empty socket: it is taken whole, or the run is void.
        if subscribers[0].stream.write(batch)? != batch.len() {
            return Err("the publisher's socket did not take a batch at once".into());
        }
        let mut waiting = subscribers.len();
        while waiting > 0 {
            poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(format!("{waiting} subscribers got nothing for {PATIENCE:?}").into());
            }
            for event in &events {
                let subscriber = &mut subscribers[event.token().0];
                if receive(subscriber, &mut buffer, expected)? {
                    waiting -= 1;
                }
            }
        }
        for subscriber in subscribers.iter_mut() {
            subscriber.received = 0;
        }
        tally.total += (subscribers.len() * options.in_flight) as u64;
    }
    Ok(())
}

/// Reads what has come; whether that completed the batch.
fn receive(subscriber: &mut Subscriber, buffer: &mut [u8], expected: usize) -> io::Result<bool> {
    let before = subscriber.received;
    loop {
        let n = match subscriber.stream.read(buffer) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) => return Err(e),
        };
        subscriber.received += n;
        if subscriber.received > expected {
            return Err(io::Error::other("the server sent more than was published"));
        }
        if n < buffer.len() {
            break;
        }
    }
    Ok(before < expected && subscriber.received == expected)
}
