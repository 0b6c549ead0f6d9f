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
                    let asked = Instant::now();
                    note(&seen, at, ask(target).map(|()| asked.elapsed()));
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

fn note(seen: &Mutex<Seen>, at: Duration, result: io::Result<Duration>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let took = match result {
        Ok(took) => Some(took),
        Err(error) => {
            seen.error.get_or_insert_with(|| error.to_string());
            None
        }
    };
    seen.outcomes.push(Outcome { at, took });
}

/// One question; it succeeds when the whole answer is there within [`PATIENCE`]. The error says how
/// far it came: what is lost on the way looks otherwise than what is slow at its end.
pub(super) fn ask(target: SocketAddr) -> io::Result<()> {
    let start = Instant::now();
    let stream = TcpStream::connect_timeout(&target, PATIENCE)
        .map_err(|error| named(&error, format_args!("no connection in {} ms", ms(start))))?;
    let (connected, port) = (ms(start), stream.local_addr().map_or(0, |own| own.port()));
    let mut answer = Vec::new();
    converse(stream, start + PATIENCE, &mut answer).map_err(|error| {
        let came = answer.len();
        let how = format_args!(
            "port {port} connected after {connected} ms, then {came} bytes in {} ms",
            ms(start)
        );
        named(&error, how)
    })?;
    let text = String::from_utf8_lossy(&answer);
    if text.starts_with("HTTP/1.1 200") && text.trim_end().ends_with('}') {
        Ok(())
    } else {
        Err(io::Error::other(format!("an answer cut short after {} bytes", answer.len())))
    }
}

fn ms(start: Instant) -> u128 {
    start.elapsed().as_millis()
}

fn named(error: &io::Error, how: std::fmt::Arguments<'_>) -> io::Error {
    // A socket's own time limit ends a read with "Resource temporarily unavailable".
    let silence = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    match silence {
        true => io::Error::new(io::ErrorKind::TimedOut, format!("{how}: silence")),
        false => io::Error::new(error.kind(), format!("{how}: {error}")),
    }
}

/// Asks and reads until the other side closes the connection.
fn converse(mut stream: TcpStream, end: Instant, answer: &mut Vec<u8>) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
    let mut chunk = [0; 1024];
    loop {
        match end.saturating_duration_since(Instant::now()) {
            // What has come lies in the socket though this thread be late: it is read even then.
            Duration::ZERO => stream.set_nonblocking(true)?,
            left => stream.set_read_timeout(Some(left))?,
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => answer.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
        if answer.len() > 16 * 1024 {
            return Err(io::Error::other("an endless answer"));
        }
    }
}
