//! The opening handshake of the two sockudo-ws servers, as its examples have it.

use bytes::{Buf, BytesMut};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads the request and answers it; returns its path and what came after it.
///
/// # Errors
/// When the request is none, or the socket fails.
pub async fn upgrade(stream: &mut TcpStream) -> sockudo_ws::Result<(String, BytesMut)> {
    let mut head = BytesMut::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(sockudo_ws::Error::ConnectionClosed);
        }
        let Some((request, size)) = parse_request(&head)? else { continue };
        let path = request.path.to_string();
        let answer = build_response(&generate_accept_key(request.key), None, None);
        stream.write_all(&answer).await?;
        head.advance(size);
        return Ok((path, head));
    }
}
