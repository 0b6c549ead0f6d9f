//! Several events of one kind at once.

use tokio::sync::mpsc;

/// Events that are taken one after another before others have their turn.
const EVENTS: usize = 64;

/// Bytes of messages after which the others have their turn in any case. What a burst changes goes
/// out together, so that a change of many prefixes becomes few messages.
const BYTES: usize = 256 << 10;

/// Takes `first`, then what waits, until a burst is full. `each` gives how many bytes of messages
/// an event was. What is beyond the burst stays in the channel.
pub(super) fn take<T>(
    waiting: &mut mpsc::Receiver<T>,
    mut first: Option<T>,
    mut each: impl FnMut(T) -> usize,
) {
    let mut bytes = 0;
    for _ in 0..EVENTS {
        let Some(event) = first.take().or_else(|| waiting.try_recv().ok()) else { return };
        bytes += each(event);
        if bytes > BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes bursts until nothing waits; gives what each had.
    fn bursts(count: usize, size: usize) -> Vec<Vec<usize>> {
        let (sender, mut receiver) = mpsc::channel(count);
        for event in 0..count {
            sender.try_send(event).unwrap();
        }
        let mut bursts = Vec::new();
        while let Ok(first) = receiver.try_recv() {
            let mut burst = Vec::new();
            take(&mut receiver, Some(first), |event| {
                burst.push(event);
                size
            });
            bursts.push(burst);
        }
        bursts
    }

    #[test]
    fn no_event_is_lost_between_bursts() {
        let taken = bursts(3 * EVENTS + 1, 0);
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [EVENTS, EVENTS, EVENTS, 1]);
        assert!(taken.into_iter().flatten().eq(0..3 * EVENTS + 1));
    }

    #[test]
    fn many_bytes_end_a_burst_and_lose_nothing() {
        let taken = bursts(7, BYTES / 2);
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert!(taken.into_iter().flatten().eq(0..7));
    }
}
