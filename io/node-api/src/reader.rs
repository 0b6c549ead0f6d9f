//! The reader of one watch: what it does not take in time ends the watch.

use std::time::Duration;

use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// How long a reader may take nothing while something waits for it. Its place is another's then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the messages of one watch go.
pub(crate) struct Reader<T> {
    messages: mpsc::Sender<Result<T, Status>>,
    /// A place in the queue that is kept free for the reason of the end.
    last: Option<OwnedPermit<Result<T, Status>>>,
    stop: watch::Receiver<bool>,
}

/// What the reader is served from.
pub(crate) type Messages<T> = ReceiverStream<Result<T, Status>>;

impl<T> Reader<T> {
    /// A reader for whom up to `waiting` messages may wait. It is left when `stop` becomes true.
    pub(crate) fn new(waiting: usize, stop: watch::Receiver<bool>) -> (Reader<T>, Messages<T>) {
        let (messages, stream) = mpsc::channel(waiting + 1);
        let last = messages.clone().try_reserve_owned().ok();
        (Reader { messages, last, stop }, ReceiverStream::new(stream))
    }

    /// Comes back when nobody reads any more, or the server stops.
    pub(crate) async fn gone(&self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.messages.closed() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Hands over a message; says whether there is to be another one.
    pub(crate) async fn take(&mut self, message: T) -> bool {
        let mut stop = self.stop.clone();
        let sent = tokio::select! {
            sent = tokio::time::timeout(PATIENCE, self.messages.send(Ok(message))) => sent,
            _ = stop.wait_for(|stop| *stop) => return false,
        };
        match (sent, self.last.take()) {
            (Ok(Ok(())), last) => {
                self.last = last;
                true
            }
            (Ok(Err(_)), _) | (Err(_), None) => false,
            (Err(_), Some(last)) => {
                let why = format!("too slow: nothing was read for {} s", PATIENCE.as_secs());
                last.send(Err(Status::resource_exhausted(why)));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, Reader};
    use tokio_stream::StreamExt as _;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_left_with_the_reason() {
        let (_go_on, stop) = tokio::sync::watch::channel(false);
        let (mut reader, mut messages) = Reader::new(1, stop);
        assert!(reader.take(1).await);
        let began = tokio::time::Instant::now();
        assert!(!reader.take(2).await);
        assert_eq!(began.elapsed(), PATIENCE);
        drop(reader);
        assert_eq!(messages.next().await.unwrap().unwrap(), 1);
        let end = messages.next().await.unwrap().unwrap_err();
        assert_eq!(end.code(), tonic::Code::ResourceExhausted);
        assert!(end.message().contains("nothing was read for 60 s"), "{end}");
        assert!(messages.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_waits_for_no_reader() {
        let (stopping, stop) = tokio::sync::watch::channel(false);
        let (mut reader, _messages) = Reader::new(1, stop);
        assert!(reader.take(1).await);
        stopping.send(true).unwrap();
        let began = tokio::time::Instant::now();
        assert!(!reader.take(2).await);
        reader.gone().await;
        assert!(began.elapsed().is_zero());
    }
}
