//! Why a connection ended, in words that a report can count: what happened and, where it is known,
//! what to do about it.

use std::borrow::Cow;

use plimsoll::conn::End;

/// The cause of an end.
pub(super) fn cause(end: &End) -> Cow<'static, str> {
    match end {
        End::Connect(fault) => Cow::Owned(fault.to_string()),
        End::Rejected(rejection) => Cow::Owned(rejection.to_string()),
        End::Violation(violation) => {
            Cow::Owned(format!("the server broke the protocol: {violation}"))
        }
        End::ClosedByPeer(code) => Cow::Owned(format!("the server closed with code {}", code.0)),
        End::ClosedByUs(code) => Cow::Owned(format!("closed with code {}", code.0)),
        End::Socket(what) => Cow::Owned(format!("the connection broke: {what}")),
        End::Eof => Cow::Borrowed("the server ended TCP without a close frame"),
        End::HandshakeTimeout => {
            Cow::Borrowed("no 101 in time: the server is overloaded, or raise --timeout")
        }
        End::CloseTimeout => Cow::Borrowed("the server did not answer the close frame in time"),
        End::PongTimeout | End::IdleTimeout => Cow::Borrowed("the server fell silent"),
        End::Slow => Cow::Borrowed("the server did not take its bytes"),
        End::Memory => Cow::Borrowed("the generator ran short of memory for unsent bytes"),
        End::Refused(why) => Cow::Owned(format!("refused: {why}")),
        End::Shutdown => Cow::Borrowed("the generator's thread stopped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll::conn::ConnectFault;
    use plimsoll::wire::close::CloseCode;
    use plimsoll::wire::handshake::Rejection;

    #[test]
    fn causes_are_words() {
        let table = [
            (End::Connect(ConnectFault::Refused), "connection refused"),
            (End::Connect(ConnectFault::NoLocalPort), "no local port left"),
            (End::Rejected(Rejection::Status(401)), "server answered 401"),
            (End::Rejected(Rejection::WrongAccept), "Sec-WebSocket-Accept"),
            (End::ClosedByPeer(CloseCode(1008)), "the server closed with code 1008"),
            (End::HandshakeTimeout, "no 101 in time"),
            (End::Eof, "without a close frame"),
        ];
        for (end, words) in table {
            let text = cause(&end);
            assert!(text.contains(words), "{end:?}: {text}");
        }
    }
}
