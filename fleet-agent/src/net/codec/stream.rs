//! One frame at a time over any ordered byte stream of tokio: a TCP stream, a pipe, the local socket.
//!
//! Neither function is cancel-safe: dropped half-way, a stream is inside a frame and of no more use.

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{CodecError, Frame, HEADER_BYTES, Header, Kind, Received, RequestId, check_preamble, decoder::reserve, encode};

/// What is read at once of a payload.
const PIECE_BYTES: usize = 16 << 10;

/// Reads one frame. `None` when the stream ended between two frames.
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Received>, CodecError> {
    let Some(header) = read_header(stream).await? else { return Ok(None) };
    let mut frame = Frame { kind: header.kind.unwrap_or(Kind::Unsupported), request: header.request, payload: Vec::new() };
    let mut piece = [0; PIECE_BYTES];
    let mut left = header.payload_bytes;
    while left > 0 {
        let read = stream.read(&mut piece[..left.min(PIECE_BYTES)]).await.map_err(CodecError::Read)?;
        if read == 0 {
            return Err(CodecError::Cut);
        }
        left -= read;
        if header.kind.is_ok() {
            reserve(&mut frame.payload, read, header.payload_bytes);
            frame.payload.extend_from_slice(&piece[..read]);
        }
    }
    Ok(Some(header.kind.map_or_else(Received::Unsupported, |_| Received::Frame(frame))))
}

/// Writes one frame and flushes it.
pub async fn write_frame<T: Serialize + ?Sized>(stream: &mut (impl AsyncWrite + Unpin), kind: Kind, request: RequestId, body: &T) -> Result<(), CodecError> {
    let mut bytes = Vec::new();
    encode(kind, request, body, &mut bytes)?;
    stream.write_all(&bytes).await.map_err(CodecError::Write)?;
    stream.flush().await.map_err(CodecError::Write)
}

async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Header>, CodecError> {
    let mut bytes = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        match stream.read(&mut bytes[filled..]).await.map_err(CodecError::Read)? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(CodecError::Cut),
            read => filled += read,
        }
        check_preamble(&bytes[..filled])?;
    }
    Header::parse(&bytes, u32::MAX).map(Some)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn frames_cross_a_socket_and_its_end_is_an_end() {
        let (mut near, mut far) = pair().await;
        let text = "x".repeat(100_000);
        write_frame(&mut near, Kind::Heartbeat, RequestId(5), &text).await.unwrap();
        drop(near);
        let Some(Received::Frame(frame)) = read_frame(&mut far).await.unwrap() else { panic!("no frame") };
        assert_eq!((frame.kind, frame.request, frame.body::<String>().unwrap()), (Kind::Heartbeat, RequestId(5), text));
        assert_eq!(read_frame(&mut far).await.unwrap(), None);
    }

    #[tokio::test]
    async fn unknown_kind_is_skipped() {
        let (mut near, mut far) = pair().await;
        let mut bytes = Vec::new();
        encode(Kind::Hello, RequestId(6), &"from the future", &mut bytes).unwrap();
        bytes[6] = 99;
        near.write_all(&bytes).await.unwrap();
        write_frame(&mut near, Kind::Hello, RequestId(7), &1).await.unwrap();
        assert!(matches!(read_frame(&mut far).await.unwrap(), Some(Received::Unsupported(it)) if it.kind == 99 && it.request == RequestId(6)));
        assert!(matches!(read_frame(&mut far).await.unwrap(), Some(Received::Frame(it)) if it.request == RequestId(7)));
    }

    #[tokio::test]
    async fn cut_frame_is_an_error() {
        let (mut near, mut far) = pair().await;
        near.write_all(b"BITA\x01\x00").await.unwrap();
        drop(near);
        assert!(matches!(read_frame(&mut far).await, Err(CodecError::Cut)));
    }
}
