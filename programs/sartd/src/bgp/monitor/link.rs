//! The connection to a station: bytes, and nothing of what they say.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Bytes that may wait here; more waits in the station's own queue, which has a limit.
pub(super) const ROOM: usize = 256 << 10;

/// How long a dial may take.
const DIAL_TIME: Duration = Duration::from_secs(10);

/// How long the other end's kernel may say nothing, be there anything to say or not.
const SILENCE: Duration = Duration::from_secs(60);

/// How long what was sent last may take to go.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What has happened to a connection.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// It stands.
    Connected,
    /// It cannot be made, and why.
    Failed(String),
    /// So many bytes are gone.
    Sent(usize),
    /// It was closed by the other end, or broke.
    Closed(String),
}

/// A connection, or an attempt at one, by its number.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    /// What is still to go; never more than [`ROOM`], since the station counts.
    bytes: mpsc::UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
    /// Bytes that may still be given.
    pub(super) room: usize,
}

impl Link {
    pub(super) fn dial(id: u64, to: SocketAddr, events: mpsc::Sender<(u64, LinkEvent)>) -> Link {
        let (bytes, queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let told = match run(id, to, queue, &events).await {
                Ok(()) => return,
                Err(told) => told,
            };
            let _ = events.send((id, told)).await;
        });
        Link { id, bytes, task, room: ROOM }
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        self.room = self.room.saturating_sub(bytes.len());
        // A task that is gone has told so.
        let _ = self.bytes.send(bytes);
    }

    /// Sends what waits, for a short time, and closes.
    pub(super) fn close(self) -> impl Future<Output = ()> {
        let Link { bytes, mut task, .. } = self;
        drop(bytes);
        async move {
            if tokio::time::timeout(CLOSE_TIME, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

async fn run(
    id: u64,
    to: SocketAddr,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    events: &mpsc::Sender<(u64, LinkEvent)>,
) -> Result<(), LinkEvent> {
    let failed = |error: std::io::Error| LinkEvent::Failed(error.to_string());
    let closed = |error: std::io::Error| LinkEvent::Closed(error.to_string());
    let mut stream = tokio::select! {
        dialled = tokio::time::timeout(DIAL_TIME, TcpStream::connect(to)) => match dialled {
            Ok(stream) => stream.map_err(failed)?,
            Err(_) => return Err(LinkEvent::Failed("nobody answers".to_owned())),
        },
        // Nothing is sent before it stands: it is not wanted any more.
        _ = queue.recv() => return Ok(()),
    };
    stream.set_nodelay(true).map_err(failed)?;
    sockets::end_when_silent(&stream, SILENCE).map_err(failed)?;
    let _ = events.send((id, LinkEvent::Connected)).await;
    let (mut reader, mut writer) = stream.split();
    // A station says nothing (RFC 7854 §3.2). What it says all the same is dropped.
    let ended = async {
        let mut heard = [0; 512];
        loop {
            match reader.read(&mut heard).await {
                Ok(0) => return LinkEvent::Closed("the station has closed it".to_owned()),
                Ok(_) => {}
                Err(error) => return closed(error),
            }
        }
    };
    let sends = async {
        while let Some(bytes) = queue.recv().await {
            writer.write_all(&bytes).await.map_err(closed)?;
            let _ = events.send((id, LinkEvent::Sent(bytes.len()))).await;
        }
        writer.shutdown().await.map_err(closed)
    };
    tokio::select! {
        told = ended => Err(told),
        done = sends => done,
    }
}
