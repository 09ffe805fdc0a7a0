//! A TCP server that answers upgrade requests as it is told, one thread for each connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use plimsoll::wire::handshake::{head_end, parse_request, write_switching};

/// What each connection gets, by its number from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// These bytes instead of a 101.
    Bytes(&'static [u8]),
    /// A 101 for the first so many, nothing for the others.
    Only(usize),
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
                let mut head = Vec::new();
                let mut bytes = [0; 1024];
                while head_end(&head, 0).is_none() {
                    match stream.read(&mut bytes) {
                        Ok(n @ 1..) => head.extend_from_slice(&bytes[..n]),
                        Ok(0) | Err(_) => return,
                    }
                }
                match answer {
                    Answer::Bytes(bytes) => stream.write_all(bytes).unwrap(),
                    Answer::Only(few) if number < few => {
                        let mut out = Vec::new();
                        write_switching(&mut out, &parse_request(&head).unwrap().accept(), None);
                        stream.write_all(&out).unwrap();
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
