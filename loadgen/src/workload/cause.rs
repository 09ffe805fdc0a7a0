//! Why a connection ended, in words that a report can count: what happened and, where it is known,
//! what to do about it.

use std::borrow::Cow;

use plimsoll::conn::{ConnectFault, End};

/// The cause of an end before the 101; `connected` if TCP was there.
pub(super) fn opening_cause(end: &End, connected: bool) -> Cow<'static, str> {
    match end {
        End::HandshakeTimeout if !connected => Cow::Owned(ConnectFault::TimedOut.to_string()),
        End::Eof => Cow::Borrowed("the server closed TCP before it answered the upgrade"),
        _ => cause(end),
    }
}

/// The cause of an end after the run; `asked` if the generator's close frame was sent.
pub(super) fn closing_cause(end: &End, asked: bool) -> Cow<'static, str> {
    match end {
        End::Shutdown if asked => Cow::Borrowed("not answered in time"),
        End::Shutdown => Cow::Borrowed("time was up before the close frame was sent"),
        _ => cause(end),
    }
}

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

    #[test]
    fn what_stage_an_opening_was_in() {
        let mute = opening_cause(&End::HandshakeTimeout, true);
        assert!(mute.contains("no 101 in time"), "{mute}");
        let filtered = opening_cause(&End::HandshakeTimeout, false);
        assert!(filtered.contains("filtered") && !filtered.contains("101"), "{filtered}");
        let eof = opening_cause(&End::Eof, true);
        assert!(eof.contains("before it answered the upgrade"), "{eof}");
        assert_eq!(opening_cause(&End::IdleTimeout, true), cause(&End::IdleTimeout));
    }

    #[test]
    fn a_close_that_was_cut() {
        assert_eq!(closing_cause(&End::Shutdown, true), "not answered in time");
        assert!(closing_cause(&End::Shutdown, false).contains("before the close frame was sent"));
        assert_eq!(closing_cause(&End::CloseTimeout, true), cause(&End::CloseTimeout));
    }
}
