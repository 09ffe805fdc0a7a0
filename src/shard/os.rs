//! The few calls that no safe crate wraps: private descriptor tables and one socket option.
//!
//! The limit of open files holds for a descriptor table, and a thread may have one of its own. That
//! is how a process with a hard limit of 20,000 holds 100,000 connections: so many per shard.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::thread::UnshareFlags;

/// Gives the calling thread a descriptor table of its own: a copy of the process's as it is now.
///
/// The caller keeps the promise that every later descriptor of this thread stays on this thread.
pub(super) fn part_tables() -> io::Result<()> {
    // SAFETY: CLONE_FILES takes no memory. What goes wrong with it is an owned descriptor used by a
    // thread with another table: shards own their sockets from creation to close, on one thread,
    // and share only wakers, which are made before the tables part and are never closed.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FILES) }.map_err(Into::into)
}

/// Whether `part_tables` is allowed here; containers often deny it. A thread tries it and ends.
pub fn private_tables() -> bool {
    std::thread::spawn(|| part_tables().is_ok()).join().unwrap_or(false)
}

/// Closes, in the calling thread's own table, everything but the standard streams, `own` and
/// eventfds, which are wakers.
///
/// Without it a socket that another thread had open when the tables parted would live on in the
/// copy, and its peer would never see a FIN.
pub(super) fn close_others(own: RawFd) -> io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/thread-self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open {
        let link = std::fs::read_link(format!("/proc/thread-self/fd/{fd}"));
        let waker = link.is_ok_and(|target| target.as_os_str() == "anon_inode:[eventfd]");
        if fd > 2 && fd != own && !waker {
            close(fd);
        }
    }
    Ok(())
}

/// Closes descriptors in the calling thread's table whose owners live in other tables.
pub(super) fn close_copies(copies: &[RawFd]) {
    copies.iter().copied().for_each(close);
}

fn close(fd: RawFd) {
    // SAFETY: after the tables have parted the number names a copy that nothing on this thread
    // owns: the owner closes its own, in its own table. The directory that was read has closed its
    // own number already; closing that again is an error that changes nothing.
    unsafe { libc::close(fd) };
}

/// `IP_BIND_ADDRESS_NO_PORT`: bind a source address and let connect choose the port, by the whole
/// tuple. Without it every port is taken for all destinations, and finding one scans.
pub(super) fn bind_address_no_port(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes one int, and the pointer and its size describe `on`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
