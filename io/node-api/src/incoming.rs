//! Accepted connections, counted, checked and with a time limit for their first bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// How many connections a listener holds at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;

/// What every client says first, in bytes (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// How long a connection may take to say it.
const PREFACE_TIME: Duration = Duration::from_secs(10);

/// The pause after an accept that failed (no file descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A stream of connections, for tonic.
pub(crate) type Incoming<S> = ReceiverStream<io::Result<Guarded<S>>>;

/// A connection that holds its place, and that is dropped when its client does not begin.
pub(crate) struct Guarded<S> {
    stream: S,
    silence: Option<Pin<Box<Sleep>>>,
    /// So much of the preface is still to come.
    awaited: usize,
    _place: OwnedSemaphorePermit,
}

/// A listener that hands out connections it has checked.
pub(crate) trait Accept: Send + Sync + 'static {
    /// What a connection is.
    type Stream: Send + 'static;

    /// The next connection, or why there is none. May be cancelled.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    /// Lets in root and our own user; others are dropped.
    async fn next(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.accept().await?;
        let uid = stream.peer_cred()?.uid();
        if uid == 0 || uid == own_uid() {
            return Ok(stream);
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("uid {uid} may not connect")))
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

/// Accepts for as long as the stream is read. An accept that fails is logged and tried again.
pub(crate) fn incoming<L: Accept>(listener: L) -> Incoming<L::Stream> {
    let (sender, receiver) = mpsc::channel(1);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.next() => accepted,
                () = sender.closed() => return,
            };
            match accepted {
                Ok(stream) => {
                    let silence = Some(Box::pin(tokio::time::sleep(PREFACE_TIME)));
                    let guarded = Guarded { stream, silence, awaited: PREFACE, _place: place };
                    if sender.send(Ok(guarded)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the router's API was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// The user that this process runs as, read from /proc so that no system call of our own is needed.
fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").map_or(0, |meta| meta.uid())
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(done) => {
                let read = buf.filled().len().saturating_sub(before);
                this.awaited = this.awaited.saturating_sub(read);
                if this.awaited == 0 {
                    this.silence = None;
                }
                Poll::Ready(done)
            }
            Poll::Pending => match &mut this.silence {
                Some(silence) => {
                    std::task::ready!(silence.as_mut().poll(cx));
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                }
                None => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: Connected> Connected for Guarded<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_part_of_the_preface_buys_no_time() {
        for (said, expect) in [(&b"PRI *"[..], true), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false)]
        {
            let (mut client, stream) = tokio::io::duplex(64);
            let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
            let silence = Some(Box::pin(tokio::time::sleep(Duration::from_millis(1))));
            let mut guarded = Guarded { stream, silence, awaited: PREFACE, _place: place };
            client.write_all(said).await.unwrap();
            let mut read = vec![0; said.len()];
            guarded.read_exact(&mut read).await.unwrap();
            assert_eq!(guarded.silence.is_some(), expect);
            if expect {
                let error = guarded.read_u8().await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            }
        }
    }
}
