//! sockudo-ws, its protocol alone over a socket of one's own: the answers to one read are gathered
//! and written at once. Text is not validated on this path, so no row of it is one of validation.

use bytes::{Bytes, BytesMut};
use peers::MAX_MESSAGE;
use sockudo_ws::frame::encode_frame_header;
use sockudo_ws::protocol::Protocol;
use sockudo_ws::{OpCode, RawMessage, Role};
use std::error::Error;
use std::process::ExitCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A payload of this size and above is written where it lies, as the library's own cork does.
const NO_COPY: usize = sockudo_ws::cork::ZERO_COPY_MIN;

fn main() -> ExitCode {
    peers::serve(echo)
}

async fn echo(mut stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (_, mut received) = peers::sockudo::upgrade(&mut stream).await?;
    let mut protocol = Protocol::new(Role::Server, MAX_MESSAGE, MAX_MESSAGE);
    let mut messages = Vec::new();
    let mut out = BytesMut::new();
    loop {
        received.reserve(sockudo_ws::RECV_BUFFER_SIZE);
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        protocol.process_raw_into(&mut received, &mut messages)?;
        for message in messages.drain(..) {
            match message {
                RawMessage::Text(data) => put(&mut stream, &mut out, OpCode::Text, data).await?,
                RawMessage::Binary(data) => {
                    put(&mut stream, &mut out, OpCode::Binary, data).await?;
                }
                RawMessage::Ping(data) => put(&mut stream, &mut out, OpCode::Pong, data).await?,
                RawMessage::Pong(_) => {}
                RawMessage::Close(_) => return Ok(()),
            }
        }
        if !out.is_empty() {
            stream.write_all_buf(&mut out).await?;
        }
    }
}

/// Appends a frame to `out`, or sends it after what is there.
async fn put(
    stream: &mut TcpStream,
    out: &mut BytesMut,
    opcode: OpCode,
    data: Bytes,
) -> std::io::Result<()> {
    encode_frame_header(out, opcode, data.len(), true, None);
    if data.len() < NO_COPY {
        out.extend_from_slice(&data);
        return Ok(());
    }
    // `Chain` hands both parts to one vectored write.
    let mut both = bytes::Buf::chain(out.split(), data);
    stream.write_all_buf(&mut both).await
}
