//! Masks of other crates, as far as they can be called.
//!
//! sockudo-ws and fastwebsockets publish theirs. tungstenite's and tokio-websockets' are private:
//! they are timed as the difference between two runs of the public frame API over the same
//! payloads, one with masked frames and one without. What both runs do cancels out.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use plimsoll::wire::mask::Key;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader, FrameSocket};

use crate::packed::{Lengths, Packed};

static PAYLOAD: [u8; 1 << 20] = [b'x'; 1 << 20];

/// Takes what is written and keeps nothing.
struct Sink;

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// tungstenite's sending side: a payload is copied behind its header and masked there.
pub(crate) struct Tungstenite(FrameSocket<Sink>);

impl Tungstenite {
    pub(crate) fn new() -> Self {
        Self(FrameSocket::new(Sink))
    }

    /// Formats one frame of `len` bytes, masked if there is a key.
    #[inline]
    pub(crate) fn format(&mut self, len: usize, key: Option<Key>) {
        let header = FrameHeader {
            opcode: OpCode::Data(Data::Binary),
            mask: key.map(|key| key.0),
            ..FrameHeader::default()
        };
        let frame = Frame::from_payload(header, Bytes::from_static(&PAYLOAD[..len]));
        assert!(self.0.write(frame).is_ok());
    }
}

/// An endless stream of one frame, over and over.
struct Feed {
    frame: Vec<u8>,
    at: usize,
}

impl AsyncRead for Feed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while to.remaining() > 0 {
            let rest = &self.frame[self.at..];
            let take = rest.len().min(to.remaining());
            to.put_slice(&rest[..take]);
            self.at = (self.at + take) % self.frame.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Feed {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// tokio-websockets' receiving side: a server's unmasks, a client's does not.
pub(crate) struct TokioWebsockets(tokio_websockets::WebSocketStream<Feed>);

impl TokioWebsockets {
    pub(crate) fn new(len: usize, masked: bool) -> Self {
        let frame = Packed::new(Lengths::Fixed(len)).wire_of_one(masked);
        let feed = Feed { frame, at: 0 };
        let limits = tokio_websockets::Limits::unlimited();
        Self(if masked {
            tokio_websockets::ServerBuilder::new().limits(limits).serve(feed)
        } else {
            tokio_websockets::ClientBuilder::new().limits(limits).take_over(feed)
        })
    }

    /// Receives one message.
    pub(crate) fn receive(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let message = Pin::new(&mut self.0).poll_next(&mut context);
        assert!(matches!(message, Poll::Ready(Some(Ok(_)))));
    }
}
