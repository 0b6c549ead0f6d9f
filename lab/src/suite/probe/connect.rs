//! A new TCP connection and one HTTP request per question.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Clock, Outcome, PATIENCE};

/// Questions under way at once: one per interval for as long as one may take, and some to spare.
const WORKERS: usize = 128;

#[derive(Default)]
struct Seen {
    outcomes: Vec<Outcome>,
    error: Option<String>,
}

/// Asks until the clock says stop, then waits for those under way.
pub(super) fn run(target: SocketAddr, clock: &Clock) -> (Vec<Outcome>, Option<String>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (questions, queue) = mpsc::sync_channel::<Duration>(WORKERS);
    let queue = Arc::new(Mutex::new(queue));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (queue, seen) = (Arc::clone(&queue), Arc::clone(&seen));
            std::thread::spawn(move || {
                while let Some(at) = take(&queue) {
                    note(&seen, at, ask(target));
                }
            })
        })
        .collect();
    let mut number = 0;
    while let Some(at) = clock.next(number) {
        if let Err(TrySendError::Full(at) | TrySendError::Disconnected(at)) = questions.try_send(at)
        {
            note(&seen, at, Err(io::Error::other("too many questions unanswered")));
        }
        number += 1;
    }
    drop(questions);
    for worker in workers {
        // A worker that panicked has lost its question, which is then missing in the list.
        let _ = worker.join();
    }
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut outcomes = std::mem::take(&mut seen.outcomes);
    outcomes.sort_by_key(|outcome| outcome.at);
    (outcomes, seen.error.take())
}

fn take(queue: &Mutex<Receiver<Duration>>) -> Option<Duration> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn note(seen: &Mutex<Seen>, at: Duration, result: io::Result<()>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.outcomes.push(Outcome { at, answered: result.is_ok() });
    if let Err(error) = result {
        seen.error.get_or_insert_with(|| error.to_string());
    }
}

/// One question; it succeeds when the whole answer is there within [`PATIENCE`].
pub(super) fn ask(target: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    let left = || match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut chunk)? {
            0 => break,
            read => answer.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
        if answer.len() > 16 * 1024 {
            return Err(io::Error::other("an endless answer"));
        }
    }
    let text = String::from_utf8_lossy(&answer);
    if text.starts_with("HTTP/1.1 200") && text.trim_end().ends_with('}') {
        Ok(())
    } else {
        Err(io::Error::other("an answer cut short"))
    }
}
