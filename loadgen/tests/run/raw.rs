//! A TCP server that answers upgrade requests as it is told, one thread for each connection.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use plimsoll::wire::handshake::{head_end, parse_request, write_switching};

/// What each connection gets, by its number from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// These bytes instead of a 101.
    Bytes(&'static [u8]),
    /// A 101, and these bytes behind it.
    Then(&'static [u8]),
    /// A 101 for the first so many, nothing for the others.
    Only(usize),
    /// A 101, then every 250 ms a pong for the last of the pings that came meanwhile.
    LastPing,
    /// FIN at once.
    HangUp,
}

/// Serves until the process ends.
pub(crate) fn serve(answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let Some(head) = read_head(&mut stream) else { return };
                let mut bytes = [0; 1024];
                match answer {
                    Answer::Bytes(bytes) => stream.write_all(bytes).unwrap(),
                    Answer::Then(bytes) => {
                        switch(&mut stream, &head);
                        stream.write_all(bytes).unwrap();
                    }
                    Answer::Only(few) if number < few => switch(&mut stream, &head),
                    Answer::LastPing => {
                        switch(&mut stream, &head);
                        return answer_last_pings(&mut stream);
                    }
                    Answer::Only(_) => {}
                    Answer::HangUp => return,
                }
                // Until the client goes.
                while matches!(stream.read(&mut bytes), Ok(1..)) {}
            });
        }
    });
    address
}

/// Refuses everybody with 404 and hands on their requests, as they came.
pub(crate) fn listen_to_requests() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(head) = read_head(&mut stream) else { continue };
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
            if tell.send(String::from_utf8(head).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

/// `None` if the client goes first.
fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut head, mut bytes) = (Vec::new(), [0; 1024]);
    while head_end(&head, 0).is_none() {
        match stream.read(&mut bytes) {
            Ok(n @ 1..) => head.extend_from_slice(&bytes[..n]),
            Ok(0) | Err(_) => return None,
        }
    }
    Some(head)
}

fn switch(stream: &mut TcpStream, head: &[u8]) {
    let mut out = Vec::new();
    write_switching(&mut out, &parse_request(head).unwrap().accept(), None);
    stream.write_all(&out).unwrap();
}

/// A masked ping of the generator: header, key and nine bytes of data.
const PING: usize = 2 + 4 + 9;

fn answer_last_pings(stream: &mut TcpStream) {
    let mut bytes = [0; 64 * PING];
    loop {
        std::thread::sleep(Duration::from_millis(250));
        let n = stream.read(&mut bytes).unwrap();
        let Some(ping) = n.checked_sub(PING).map(|at| &bytes[at..n]) else { return };
        let (key, data) = (&ping[2..6], &ping[6..]);
        // FIN, opcode 0x9, masked: anything else is the end.
        if !n.is_multiple_of(PING) || ping[..2] != [0x89, 0x80 | 9] {
            return;
        }
        let mut answer = vec![0x8a, 9];
        answer.extend(data.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        stream.write_all(&answer).unwrap();
    }
}
