//! The real [`Net`]: mio's edge-triggered poll over socket2's sockets, and a timer finer than
//! epoll's.
//!
//! Bytes are moved by bare system calls: each call of the C library is a point where a thread may
//! be cancelled, and to make it one takes four locked instructions for each message.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::net::{Accepted, Net, Ready, Received, Sent, Source};
use super::os;
use super::slab::ConnId;
use crate::conn::ConnectFault;

/// The waker's token, known to whoever makes the mailbox.
pub const MAIL: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
const TIMER: Token = Token(usize::MAX - 2);

/// Reports collected by one poll at most.
const EVENTS: usize = 1024;

/// The same where sends have times to keep: a batch of read turns must not last past them.
const EVENTS_PRECISE: usize = 128;

/// Closer than this a wait is not worth a timer and a sleep: poll without waiting, and come again.
const SPIN: Duration = Duration::from_micros(5);

/// How sockets are made.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// Where to listen; the port is known already. `None` for a client.
    pub listen: Option<SocketAddr>,
    /// Completed connections the kernel may queue.
    pub backlog: i32,
    /// Congestion control by name; `None` leaves the system's.
    pub congestion: Option<String>,
    /// Whether waits must be exact to some microseconds, which costs a timer call each.
    pub precise: bool,
}

/// One shard's sockets.
#[derive(Debug)]
pub struct Sockets {
    poll: Poll,
    events: Events,
    options: SocketOptions,
    listener: Option<TcpListener>,
    timer: Option<Timer>,
}

#[derive(Debug)]
struct Timer {
    fd: OwnedFd,
    armed: Option<Instant>,
}

impl Sockets {
    /// Takes over a poll. Must be called on the thread that will use it, after tables have parted.
    pub fn new(poll: Poll, options: SocketOptions) -> io::Result<Self> {
        let timer = options.precise.then(|| Timer::new(&poll)).transpose()?;
        let reports = if options.precise { EVENTS_PRECISE } else { EVENTS };
        let events = Events::with_capacity(reports);
        Ok(Self { poll, events, options, listener: None, timer })
    }
}

impl Sockets {
    /// Binds for the first time, and remembers the port if the system chose it.
    ///
    /// A shared address would let a second server take half of the first one's connections without
    /// a word: so a bind that does not share is tried before.
    pub fn bind_first(&mut self) -> io::Result<()> {
        let Some(address) = self.options.listen else { return Ok(()) };
        if address.port() != 0 {
            let probe =
                Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            probe.set_reuse_address(true)?;
            probe.bind(&address.into())?;
        }
        self.listen()?;
        if let Some(listener) = &self.listener {
            self.options.listen = Some(listener.local_addr()?);
        }
        Ok(())
    }

    /// The address that is listened on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.options.listen
    }
}

impl Timer {
    fn new(poll: &Poll) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Edge-triggered: each expiry is one report, and nobody has to read the count.
        poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self { fd, armed: None })
    }

    fn arm(&mut self, at: Instant, wait: Duration) -> io::Result<()> {
        if self.armed != Some(at) {
            let value = Timespec {
                tv_sec: wait.as_secs().cast_signed(),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval: zero, it_value: value };
            rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec)?;
            self.armed = Some(at);
        }
        Ok(())
    }
}

impl Net for Sockets {
    type Stream = TcpStream;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn poll(&mut self, ready: &mut Vec<Ready>, until: Option<Instant>) -> io::Result<()> {
        let wait = until.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = match (wait, until, &mut self.timer) {
            (Some(wait), Some(_), _) if wait < SPIN => Some(Duration::ZERO),
            (Some(wait), Some(at), Some(timer)) => {
                timer.arm(at, wait)?;
                None
            }
            (wait, _, _) => wait,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let source = match event.token() {
                TIMER => {
                    if let Some(timer) = &mut self.timer {
                        timer.armed = None;
                    }
                    continue;
                }
                MAIL => Source::Mail,
                LISTENER => Source::Listener,
                Token(bits) => Source::Conn(ConnId::from_bits(bits as u64)),
            };
            let hangup = event.is_read_closed() || event.is_error();
            ready.push(Ready {
                source,
                readable: event.is_readable() || hangup,
                writable: event.is_writable(),
                hangup,
            });
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        let Some(address) = self.options.listen else { return Ok(()) };
        if self.listener.is_none() {
            let mut listener = TcpListener::from_std(bind(address, &self.options)?.into());
            // READABLE alone: a listener is never written to.
            self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
            self.listener = Some(listener);
        }
        Ok(())
    }

    fn unlisten(&mut self) {
        self.listener = None;
    }

    fn accept(&mut self) -> Accepted<TcpStream> {
        let Some(listener) = &self.listener else { return Accepted::Empty };
        match listener.accept() {
            Ok((stream, from)) => Accepted::One(stream, from.ip()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Accepted::Empty,
            Err(e) => match e.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Accepted::Full,
                _ => Accepted::Failed,
            },
        }
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<TcpStream, ConnectFault> {
        begin_connect(to, from, &self.options).map_err(|e| connect_fault(&e))
    }

    fn established(&mut self, stream: &mut TcpStream) -> Result<(), ConnectFault> {
        match stream.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(e)) | Err(e) => Err(connect_fault(&e)),
        }
    }

    fn register(&mut self, stream: &mut TcpStream, id: ConnId, writable: bool) -> io::Result<()> {
        self.poll.registry().register(stream, token(id), interest(writable))
    }

    fn watch_writable(&mut self, stream: &mut TcpStream, id: ConnId) -> io::Result<()> {
        self.poll.registry().reregister(stream, token(id), interest(true))
    }

    #[inline]
    fn read(&mut self, stream: &mut TcpStream, direct: &mut [u8], shared: &mut [u8]) -> Received {
        let room = direct.len() + shared.len();
        let outcome = if direct.is_empty() {
            net::recv(stream, shared, RecvFlags::empty()).map(|(n, _)| n)
        } else {
            rustix::io::readv(stream, &mut [IoSliceMut::new(direct), IoSliceMut::new(shared)])
        };
        match outcome {
            Ok(0) => Received::Eof,
            Ok(n) => Received::Bytes { n, drained: n < room },
            Err(Errno::AGAIN) => Received::Blocked,
            Err(e) => Received::Failed(words(e.kind())),
        }
    }

    #[inline]
    fn write(&mut self, stream: &mut TcpStream, parts: &[&[u8]]) -> Sent {
        let outcome = match parts {
            [one] => net::send(stream, one, SendFlags::NOSIGNAL),
            many => {
                let mut slices = [IoSlice::new(&[]); MAX_PARTS];
                for (slice, part) in slices.iter_mut().zip(many) {
                    *slice = IoSlice::new(part);
                }
                let slices = &slices[..many.len().min(MAX_PARTS)];
                let nothing_else = &mut SendAncillaryBuffer::default();
                net::sendmsg(stream, slices, nothing_else, SendFlags::NOSIGNAL)
            }
        };
        match outcome {
            Ok(n) => Sent::Bytes(n),
            Err(Errno::AGAIN) => Sent::Blocked,
            Err(e) => Sent::Failed(words(e.kind())),
        }
    }

    fn finish(&mut self, stream: &mut TcpStream) {
        // It fails only on a connection that is gone already, which the next read will say.
        let _ = stream.shutdown(Shutdown::Write);
    }

    fn reset(&mut self, stream: &mut TcpStream) {
        // SO_LINGER of 0 s. Where it is refused the peer gets a FIN instead, which ends it as well.
        let _ = net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    }

    fn narrow(&mut self, stream: &mut TcpStream, bytes: usize) {
        // SO_RCVBUF. Where it is refused the kernel only keeps more.
        let _ = net::sockopt::set_socket_recv_buffer_size(stream, bytes);
    }
}

/// Parts that one write carries at most.
pub const MAX_PARTS: usize = 64;

fn token(id: ConnId) -> Token {
    Token(id.to_bits() as usize)
}

/// Writability is asked for only once a write fell short: half a report less for each connection.
fn interest(writable: bool) -> Interest {
    if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

/// Makes a listening socket in the group that shares the address (`SO_REUSEPORT`). What is set here
/// is inherited by accepted sockets.
pub fn bind(address: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(name) = &options.congestion {
        socket.set_tcp_congestion(name.as_bytes()).map_err(|source| congestion_fault(&source))?;
    }
    socket.bind(&address.into())?;
    socket.listen(options.backlog)?;
    Ok(socket)
}

/// `bind` fails with `EPERM` and `ENOENT` for reasons of its own: a congestion control that is not
/// to be had, or is restricted, is told by [`ErrorKind::Unsupported`].
fn congestion_fault(source: &io::Error) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, format!("TCP_CONGESTION: {source}"))
}

fn begin_connect(
    to: SocketAddr,
    from: Option<IpAddr>,
    options: &SocketOptions,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(name) = &options.congestion {
        socket.set_tcp_congestion(name.as_bytes())?;
    }
    if let Some(from) = from {
        os::bind_address_no_port(&socket)?;
        socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    }
    match socket.connect(&to.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn connect_fault(e: &io::Error) -> ConnectFault {
    match e.raw_os_error() {
        Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EAGAIN) => ConnectFault::NoLocalPort,
        Some(libc::EMFILE | libc::ENFILE) => ConnectFault::OpenFileLimit,
        Some(libc::ECONNREFUSED) => ConnectFault::Refused,
        Some(libc::ETIMEDOUT) => ConnectFault::TimedOut,
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => ConnectFault::Unreachable,
        Some(libc::ECONNRESET) => ConnectFault::Reset,
        _ => ConnectFault::Other(words(e.kind())),
    }
}

/// A socket error in words that do not allocate.
fn words(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionReset => "connection reset by the peer",
        ErrorKind::BrokenPipe => "connection closed by the peer",
        ErrorKind::TimedOut => "connection timed out",
        ErrorKind::ConnectionAborted => "connection aborted",
        ErrorKind::HostUnreachable => "host unreachable",
        ErrorKind::NetworkUnreachable => "network unreachable",
        ErrorKind::PermissionDenied => "permission denied (a firewall?)",
        ErrorKind::OutOfMemory => "out of memory for sockets",
        _ => "socket error",
    }
}
