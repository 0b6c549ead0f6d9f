//! What several of these programs do.

use sockets::Event;
use tokio::sync::mpsc::Receiver;

pub(crate) fn keepalive() -> Vec<u8> {
    let mut bytes = vec![0xFF; 16];
    bytes.extend([0, 19, 4]);
    bytes
}

/// The next event that is no news of room.
pub(crate) async fn next(events: &mut Receiver<Event>) -> Event {
    loop {
        match events.recv().await.unwrap() {
            Event::Room { .. } => {}
            event => return event,
        }
    }
}
